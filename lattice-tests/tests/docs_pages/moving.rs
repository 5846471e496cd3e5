//! What `docs/moving-from-0.82.md` says of `wash` and hosts of 0.82: it works with them, and does not wait for words that
//! they never say.
//!
//! The host is scripted from the protocol (sections 3.2 to 3.4 and 8.3): it answers what a real one answers, and is silent
//! where a real one is. Every command gets a minute to wait for each answer; one that waited for what never comes would take
//! that minute.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    process::Output,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use claims::{KeyKind, KeyPair};
use futures_util::StreamExt;
use lattice::{client::ControlClient, subject::ControlRoot};
use lattice_tests::{Guarded, NatsServer, binary, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

const LATTICE: &str = "default";
/// Far below the minute that an answer which never comes is waited for, far above what anything here takes.
const AT_ONCE: Duration = Duration::from_secs(30);

/// A host of 0.82 that runs nothing but what it is told.
struct OldHost {
    id: String,
    actor: String,
    provider: String,
    runs: Arc<Mutex<Runs>>,
    nats: async_nats::Client,
}

/// What it runs: references with their number of instances, and references of providers.
#[derive(Default)]
struct Runs {
    actors: BTreeMap<String, u64>,
    providers: Vec<String>,
}

impl OldHost {
    async fn start(nats: async_nats::Client) -> Arc<Self> {
        let key = |kind| KeyPair::generate(kind).public().to_string();
        let host = Arc::new(Self {
            id: key(KeyKind::Server),
            actor: key(KeyKind::Module),
            provider: key(KeyKind::Service),
            runs: Arc::default(),
            nats,
        });
        let (root, id) = (format!("wasmbus.ctl.{LATTICE}"), host.id.clone());
        for (subject, queue) in [
            (format!("{root}.ping.hosts"), None),
            (format!("{root}.cmd.{id}.*"), None),
            (format!("{root}.get.{id}.inv"), None),
            (format!("{root}.linkdefs.*"), Some(format!("{root}.linkdefs"))),
            (format!("{root}.get.*"), Some(format!("{root}.get"))),
        ] {
            let mut asked = match queue {
                Some(queue) => host.nats.queue_subscribe(subject, queue).await.expect("a subscription"),
                None => host.nats.subscribe(subject).await.expect("a subscription"),
            };
            let host = host.clone();
            tokio::spawn(async move {
                while let Some(message) = asked.next().await {
                    let request = serde_json::from_slice(&message.payload).unwrap_or_default();
                    let answer = host.answer(message.subject.rsplit('.').next().unwrap_or_default(), &request).await;
                    let reply = message.reply.expect("whoever asks wants to know");
                    host.nats.publish(reply, answer.to_string().into()).await.expect("it is connected");
                }
            });
        }
        host.nats.flush().await.expect("it is connected");
        host
    }

    async fn answer(&self, operation: &str, request: &Value) -> Value {
        match operation {
            "hosts" => json!({
                "id": self.id, "issuer": "C", "labels": {}, "friendly_name": "old-sea-1", "uptime_seconds": 1,
                "uptime_human": "1s", "version": "0.82.0", "cluster_issuers": "C", "js_domain": null,
                "ctl_host": "", "rpc_host": "", "lattice": LATTICE, "lattice_prefix": LATTICE,
            }),
            "inv" => self.inventory(),
            "claims" => json!({"claims": []}),
            "links" => json!({"links": []}),
            "scale" => {
                self.scale(request).await;
                json!({"accepted": true, "error": ""})
            }
            _ => json!({"accepted": true, "error": ""}),
        }
    }

    fn inventory(&self) -> Value {
        let runs = self.runs.lock().expect("no panic");
        let instances: Vec<Value> = runs
            .actors
            .iter()
            .map(|(reference, max)| {
                json!({"annotations": {}, "image_ref": reference, "instance_id": "1", "revision": 0, "max_instances": max})
            })
            .collect();
        let reference = runs.actors.keys().next();
        let actors = json!([{"id": self.actor, "image_ref": reference, "name": "echo", "instances": instances}]);
        let providers: Vec<Value> = runs
            .providers
            .iter()
            .map(|reference| {
                json!({"id": self.provider, "annotations": {}, "image_ref": reference, "contract_id": "acme:kv",
                       "link_name": "default", "name": "kv", "revision": 0})
            })
            .collect();
        json!({"host_id": self.id, "issuer": "C", "friendly_name": "old-sea-1", "labels": {}, "version": "0.82.0",
               "uptime_human": "1s", "uptime_seconds": 1, "actors": actors, "providers": providers})
    }

    /// Section 8.3: nothing is said of what cannot be fetched, and nothing where the number stays as it is.
    async fn scale(&self, request: &Value) {
        let (reference, count) = (request["actor_ref"].as_str().expect("a reference"), request["count"].as_u64());
        if reference.contains("absent") {
            return;
        }
        let count = count.expect("a number");
        if self.runs.lock().expect("no panic").actors.insert(reference.to_owned(), count) == Some(count) {
            return;
        }
        let claims = json!({"call_alias": null, "caps": [], "issuer": "A", "tags": null, "name": "echo",
                            "version": "0.1.0", "revision": 0, "not_before_human": "TODO", "expires_human": "TODO"});
        let data = json!({"public_key": self.actor, "claims": claims, "annotations": {}, "host_id": self.id,
                          "image_ref": reference, "max_instances": count});
        let event = json!({"specversion": "1.0", "id": "1", "source": self.id, "datacontenttype": "application/json",
                           "type": "com.wasmcloud.lattice.actor_scaled", "time": "2026-01-01T00:00:00Z", "data": data});
        for subject in [format!("wasmbus.evt.{LATTICE}"), format!("wasmbus.evt.{LATTICE}.actor_scaled")] {
            self.nats.publish(subject, event.to_string().into()).await.expect("it is connected");
        }
    }
}

/// The host, and `wash` in a home of its own.
struct World {
    server: NatsServer,
    host: Arc<OldHost>,
    home: TempDir,
}

impl World {
    async fn start() -> Option<Self> {
        let server = NatsServer::start().await?;
        let host = OldHost::start(server.client().await).await;
        Some(Self { server, host, home: tempfile::tempdir().expect("a directory") })
    }

    async fn run(&self, line: &str) -> Output {
        let mut wash = tokio::process::Command::new(binary("wash"));
        wash.env_clear().env("HOME", self.home.path()).env("WASH_HOME", self.home.path().join("wash"));
        wash.args(["--output", "json"]).args(line.split_whitespace());
        wash.args(["--ctl-port", &self.server.address().port().to_string()]);
        wash.output().await.expect("wash runs")
    }

    /// What must succeed, without waiting for anything.
    async fn at_once(&self, line: &str) -> Value {
        let began = Instant::now();
        let output = self.run(&format!("{line} --timeout-ms 60000")).await;
        assert!(output.status.success(), "`wash {line}`: {}", String::from_utf8_lossy(&output.stderr));
        assert!(began.elapsed() < AT_ONCE, "`wash {line}` took {:?}", began.elapsed());
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_put_without_waiting_for_hosts_that_do_not_say_whether_it_is_served() {
    let Some(world) = World::start().await else { return };
    let OldHost { actor, provider, .. } = &*world.host;
    let put = world.at_once(&format!("link put {actor} {provider} acme:kv a=b")).await;
    assert_eq!((&put["actor_id"], &put["applied_on"]), (&json!(actor), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_already_is_seen_and_not_waited_for() {
    let Some(world) = World::start().await else { return };
    let host = &world.host;
    {
        let mut runs = host.runs.lock().expect("no panic");
        runs.actors.insert("acme.test/echo:1".to_owned(), 1);
        runs.providers.push("acme.test/kv:1".to_owned());
    }
    let started = world.at_once(&format!("start actor acme.test/echo:1 --host-id {}", host.id)).await;
    assert!(started["result"].as_str().is_some_and(|text| text.contains("runs already")), "{started}");
    assert_eq!(started["actor_id"], json!(host.actor));
    let started = world.at_once(&format!("start provider acme.test/kv:1 --host-id {}", host.id)).await;
    assert_eq!(started["provider_id"], json!(host.provider));
    let scaled = world.at_once(&format!("scale actor {} acme.test/echo:1 --max-instances 1", host.id)).await;
    assert_eq!(scaled["actor_id"], json!(host.actor));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_is_started_and_scaled_by_its_event() {
    let Some(world) = World::start().await else { return };
    let host = &world.host;
    let started = world.at_once(&format!("start actor acme.test/echo:1 --host-id {}", host.id)).await;
    assert_eq!(started["actor_id"], json!(host.actor));
    world.at_once(&format!("scale actor {} acme.test/echo:1 --max-instances 7", host.id)).await;
    assert_eq!(host.runs.lock().expect("no panic").actors.get("acme.test/echo:1"), Some(&7));
}

/// Such a host says nothing at all then (section 8.3), so this is the one wait that is left: five seconds, as its own
/// `wash` has it, not the thirty of a host that reports every outcome.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_waited_for_no_longer_than_their_own_tool_does() {
    let Some(world) = World::start().await else { return };
    let output = world.run(&format!("start actor acme.test/absent:1 --host-id {}", world.host.id)).await;
    assert_eq!(output.status.code(), Some(1));
    let failure: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert!(failure["error"].as_str().is_some_and(|error| error.starts_with("waited 5 s for the start")), "{failure}");
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("0.82")), "{failure}");
}

/// Section 8.1: the older name of the lattice's variable counts where the newer one is not set.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_joins_the_lattice_that_its_old_environment_names() {
    let Some(server) = NatsServer::start().await else { return };
    let port = server.address().port().to_string();
    let nats = server.client().await;
    let control = |lattice: &str| {
        let root = ControlRoot::new(lattice.parse().expect("a name"));
        ControlClient::nats(nats.clone(), root, Duration::from_secs(5))
    };
    for (newer, joined) in [(None, "older"), (Some("newer"), "newer")] {
        let state = tempfile::tempdir().expect("a directory");
        let own = state.path().join("state");
        let mut env = vec![
            ("WASH_STATE_DIR", own.as_os_str()),
            ("HOME", state.path().as_os_str()),
            ("WASMCLOUD_LATTICE_PREFIX", OsStr::new("older")),
        ];
        env.extend(newer.map(|name| ("WASMCLOUD_LATTICE", OsStr::new(name))));
        let _host = Guarded::start(&binary("wash-host"), &["--nats-port", &port], &env, &state.path().join("log"));
        eventually(&format!("a host in lattice `{joined}`"), || async {
            let hosts = control(joined).hosts().await.map_err(|error| error.to_string())?;
            let found = hosts.replies.first().map(|host| host.lattice.clone());
            found.filter(|found| found == joined).ok_or_else(|| "no host".to_owned())
        })
        .await;
    }
}
