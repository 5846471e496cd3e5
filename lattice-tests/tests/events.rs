//! What a host tells the lattice (protocol section 8.4): each event, with its data, on both of its subjects.
//!
//! The table of events and tests is in `docs/observability.md`; the last test here compares it with the code.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use claims::{ActorMetadata, HostId, KeyKind, KeyPair};
use contracts::CallError;
use futures_util::StreamExt;
use host::{Host, HostConfig};
use lattice::{
    LatticeId, Link, LinkName,
    client::{ControlClient, NatsOptions},
    control::{ScaleActor, StartProvider, StopProvider, UpdateActor},
    event::EventKind,
    subject::ControlRoot,
};
use lattice_tests::{Actor, NatsServer, Operator, Signer, eventually, free_address, http_link};
use provider_sdk::{Builtin, Descriptor, Health, LinkRefused, Provider, ProviderCall, Start, StartError};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

/// A provider whose health is what a test says.
struct Moody;

static WELL: AtomicBool = AtomicBool::new(true);

#[async_trait::async_trait]
impl Provider for Moody {
    async fn put_link(&self, _: &Link) -> Result<(), LinkRefused> {
        Ok(())
    }

    async fn delete_link(&self, _: &claims::ActorId) {}

    async fn call(&self, call: ProviderCall) -> Result<Bytes, CallError> {
        Err(CallError::Unsupported { target: "moody".to_owned(), operation: call.operation })
    }

    async fn health(&self) -> Health {
        Health { healthy: WELL.load(Ordering::Relaxed), message: None }
    }

    async fn shutdown(&self) {}
}

fn start_moody(_: Start) -> Result<Arc<dyn Provider>, StartError> {
    Ok(Arc::new(Moody))
}

const MOODY: Builtin = Builtin {
    descriptor: Descriptor {
        name: "moody",
        contract: "test:moody",
        display_name: "Moody",
        vendor: "Test",
        version: "0.1.0",
        revision: 1,
    },
    start: start_moody,
};

/// Everything that was told, by subject.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(String, Value)>>>);

impl Told {
    fn add(&self, subject: String, event: Value) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((subject, event));
    }

    /// The data of the first event of this name that fits, once it was told on both subjects in the same words.
    async fn data(&self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let (general, own) = ("wasmbus.evt.default", format!("wasmbus.evt.default.{name}"));
        eventually(&format!("`{name}`"), || async {
            let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let of_name: Vec<_> =
                told.iter().filter(|(_, event)| event["type"] == format!("com.wasmcloud.lattice.{name}")).collect();
            let found = of_name.iter().find(|(subject, event)| subject == general && fits(&event["data"]));
            let (_, event) = found.ok_or_else(|| format!("{of_name:?}"))?;
            let twin = of_name.iter().any(|(subject, other)| *subject == own && other == event);
            if twin { Ok(event["data"].clone()) } else { Err(format!("not on `{own}`: {event}")) }
        })
        .await
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, event)| event.clone()).collect()
    }
}

/// One host with NATS, and somebody who hears everything from before it starts.
struct Scene {
    told: Told,
    operator: Operator,
    id: HostId,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
    _nats: NatsServer,
    _dir: TempDir,
}

impl Scene {
    async fn start() -> Option<Self> {
        let nats = NatsServer::start().await?;
        let client = nats.client().await;
        let told = Told::default();
        for subject in ["wasmbus.evt.default", "wasmbus.evt.default.*"] {
            let (told, mut messages) = (told.clone(), client.subscribe(subject).await.expect("subscribed"));
            tokio::spawn(async move {
                while let Some(message) = messages.next().await {
                    let event = serde_json::from_slice(&message.payload).expect("an event is JSON");
                    told.add(message.subject.to_string(), event);
                }
            });
        }
        client.flush().await.expect("the server has the subscriptions");
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = HostConfig::new(LatticeId::default(), dir.path().to_owned());
        config.ctl = Some(NatsOptions { urls: vec![nats.url()], retry: true, ..NatsOptions::default() });
        config.allow_file_load = true;
        config.timings.heartbeat = Duration::from_millis(200);
        config.timings.health_check = Duration::from_millis(100);
        let host = Box::pin(Host::start(config, &[MOODY, provider_httpserver::BUILTIN])).await.expect("a host starts");
        let id = host.id();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            host.run(async {
                stopped.await.ok();
            })
            .await;
        });
        let control = ControlClient::nats(client, ControlRoot::new(LatticeId::default()), Duration::from_secs(20));
        Some(Self { told, operator: Operator { control }, id, stop: Some(stop), running, _nats: nats, _dir: dir })
    }

    async fn scale(&self, reference: &str, max_instances: u32) {
        let annotations = annotations();
        let actor_ref = reference.to_owned();
        let command = ScaleActor { actor_ref, max_instances, annotations, ..ScaleActor::default() };
        self.operator.control.scale_actor(&self.id, &command).await.expect("accepted");
    }

    async fn start_provider(&self, reference: &str) {
        let command = StartProvider {
            provider_ref: reference.to_owned(),
            link_name: LinkName::default(),
            annotations: annotations(),
            configuration: None,
            host_id: String::new(),
        };
        self.operator.control.start_provider(&self.id, &command).await.expect("accepted");
    }
}

fn annotations() -> BTreeMap<String, String> {
    BTreeMap::from([("team".to_owned(), "a".to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_host_is_told() {
    let Some(mut scene) = Scene::start().await else { return };
    let started = scene.told.data("host_started", |_| true).await;
    assert_eq!((&started["uptime_seconds"], &started["labels"]["hostcore.osfamily"]), (&json!(0), &json!("unix")));
    assert!(started["friendly_name"].is_string() && started["version"].is_string(), "{started}");

    let heartbeat = scene.told.data("host_heartbeat", |_| true).await;
    assert_eq!(heartbeat["host_id"], scene.id.as_str());
    let over_control = serde_json::to_value(scene.operator.inventory(&scene.id).await).expect("JSON");
    assert_eq!(heartbeat["actors"], over_control["actors"]);

    drop(scene.stop.take());
    (&mut scene.running).await.expect("a host does not panic");
    let stopped = scene.told.data("host_stopped", |_| true).await;
    assert_eq!(stopped["labels"], started["labels"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_a_cloud_event_with_an_id_of_its_own() {
    let Some(scene) = Scene::start().await else { return };
    scene.start_provider("builtin://moody").await;
    scene.told.data("provider_started", |_| true).await;
    scene.told.data("host_heartbeat", |_| true).await;
    let mut ids = BTreeMap::<String, usize>::new();
    for event in scene.told.all() {
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["datacontenttype"], "application/json");
        assert_eq!(event["source"], scene.id.as_str());
        let time = event["time"].as_str().expect("a time");
        assert!(time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        let id = event["id"].as_str().expect("an id").to_owned();
        assert_eq!(id.len(), 36);
        *ids.entry(id).or_default() += 1;
    }
    assert!(ids.len() >= 3 && ids.values().all(|times| *times <= 2), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_an_actor_is_told() {
    let (Some(scene), signer) = (Scene::start().await, Signer::default()) else { return };
    let actor = signer.actor(Actor::Echo);
    let (reference, id) = (actor.reference(), actor.id.to_string());
    let common = json!({
        "public_key": id, "image_ref": reference, "host_id": scene.id.as_str(), "annotations": {"team": "a"},
    });
    let is_common =
        |data: &Value| common.as_object().expect("an object").iter().all(|(key, value)| data[key] == *value);

    scene.scale(&reference, 3).await;
    let started = scene.told.data("actors_started", |data| data["count"] == 3).await;
    assert!(is_common(&started), "{started}");
    assert_eq!(started["claims"]["issuer"], signer.account().as_str());
    assert!(started["claims"]["caps"].is_array(), "{started}");
    for member in ["not_before_human", "expires_human", "name", "version"] {
        assert!(started["claims"][member].is_string(), "{member}: {started}");
    }
    let scaled = scene.told.data("actor_scaled", |data| data["max_instances"] == 3).await;
    assert!(is_common(&scaled) && scaled["claims"] == started["claims"], "{scaled}");

    scene.scale(&reference, 5).await;
    scene.told.data("actors_started", |data| data["count"] == 2).await;
    scene.scale(&reference, 1).await;
    let stopped = scene.told.data("actors_stopped", |data| data["count"] == 4).await;
    assert!(is_common(&stopped) && stopped["remaining"] == 1, "{stopped}");
    scene.told.data("actor_scaled", |data| data["max_instances"] == 1).await;
    scene.scale(&reference, 0).await;
    scene.told.data("actors_stopped", |data| data["count"] == 1 && data["remaining"] == 0).await;
    scene.told.data("actor_scaled", |data| data["max_instances"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_cannot_start_is_told_in_the_words_of_its_command() {
    let Some(scene) = Scene::start().await else { return };
    let reference = "file:///nowhere/missing.wasm";
    scene.scale(reference, 2).await;
    for name in ["actors_start_failed", "actor_scale_failed"] {
        let failed = scene.told.data(name, |_| true).await;
        assert_eq!((&failed["actor_ref"], &failed["image_ref"]), (&json!(reference), &json!(reference)), "{name}");
        assert_eq!((&failed["host_id"], &failed["annotations"]["team"]), (&json!(scene.id.as_str()), &json!("a")));
        assert!(failed["error"].as_str().is_some_and(|text| text.contains("/nowhere/missing.wasm")), "{failed}");
    }
    let failed = scene.told.data("actor_scale_failed", |_| true).await;
    assert_eq!(failed["max_instances"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_starts_the_new_and_stops_the_old() {
    let (Some(scene), signer) = (Scene::start().await, Signer::default()) else { return };
    let old = signer.actor(Actor::Echo);
    let new = signer.actor_with(Actor::Echo, |claims| {
        claims.subject = old.id.to_string();
        claims.metadata = claims.metadata.take().map(|metadata| ActorMetadata { rev: Some(2), ..metadata });
    });
    scene.scale(&old.reference(), 2).await;
    scene.told.data("actor_scaled", |data| data["image_ref"] == old.reference()).await;
    let command = UpdateActor {
        actor_id: old.id,
        new_actor_ref: new.reference(),
        annotations: annotations(),
        host_id: String::new(),
    };
    scene.operator.control.update_actor(&scene.id, &command).await.expect("accepted");
    let started = scene.told.data("actors_started", |data| data["image_ref"] == new.reference()).await;
    assert_eq!((&started["count"], &started["claims"]["revision"]), (&json!(2), &json!(2)));
    scene.told.data("actor_scaled", |data| data["image_ref"] == new.reference()).await;
    let stopped = scene.told.data("actors_stopped", |data| data["image_ref"] == old.reference()).await;
    assert_eq!((&stopped["count"], &stopped["remaining"]), (&json!(2), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_provider_is_told() {
    let Some(scene) = Scene::start().await else { return };
    scene.start_provider("builtin://httpserver").await;
    let started = scene.told.data("provider_started", |_| true).await;
    let expected = json!({
        "host_id": scene.id.as_str(), "image_ref": "builtin://httpserver", "link_name": "default",
        "contract_id": "wasmcloud:httpserver", "annotations": {"team": "a"},
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(started[key], *value, "{key}");
    }
    for member in ["issuer", "name", "version", "not_before_human", "expires_human"] {
        assert!(started["claims"][member].is_string(), "{member}: {started}");
    }
    let command = StopProvider {
        provider_id: started["public_key"].as_str().and_then(|id| id.parse().ok()).expect("an id"),
        contract_id: None,
        link_name: LinkName::default(),
        annotations: BTreeMap::new(),
        host_id: String::new(),
    };
    scene.operator.control.stop_provider(&scene.id, &command).await.expect("accepted");
    let stopped = scene.told.data("provider_stopped", |_| true).await;
    assert_eq!((&stopped["reason"], &stopped["instance_id"]), (&json!("stop"), &started["instance_id"]));
    for member in ["host_id", "public_key", "link_name", "contract_id", "annotations"] {
        assert_eq!(stopped[member], started[member], "{member}");
    }

    scene.start_provider("builtin://nothing").await;
    let failed = scene.told.data("provider_start_failed", |_| true).await;
    assert_eq!((&failed["provider_ref"], &failed["link_name"]), (&json!("builtin://nothing"), &json!("default")));
    assert!(failed["error"].as_str().is_some_and(|text| text.contains("builtin://moody")), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_when_it_changes_and_when_it_does_not() {
    let Some(scene) = Scene::start().await else { return };
    WELL.store(true, Ordering::Relaxed);
    scene.start_provider("builtin://moody").await;
    let id = scene.told.data("provider_started", |_| true).await["public_key"].clone();
    let passed = scene.told.data("health_check_passed", |data| data["public_key"] == id).await;
    assert_eq!(passed, json!({"public_key": id, "link_name": "default", "contract_id": "test:moody"}));
    assert_eq!(scene.told.data("health_check_status", |_| true).await, passed);
    WELL.store(false, Ordering::Relaxed);
    assert_eq!(scene.told.data("health_check_failed", |_| true).await, passed);
    let names = || scene.told.all().iter().map(|event| event["type"].to_string()).collect::<Vec<_>>();
    eventually("statuses of the sick", || async {
        let names = names();
        let failed = names.iter().position(|name| name.contains("health_check_failed"));
        let after = failed.is_some_and(|at| names[at..].iter().any(|name| name.contains("health_check_status")));
        if after { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
    WELL.store(true, Ordering::Relaxed);
    eventually("the recovery", || async {
        let times = names().iter().filter(|name| name.contains("health_check_passed")).count();
        if times == 4 { Ok(()) } else { Err(times.to_string()) } // two, each on two subjects
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_told_when_set_taken_refused_and_deleted() {
    let (Some(scene), signer) = (Scene::start().await, Signer::default()) else { return };
    let provider = scene.operator.start_provider(&scene.id, "builtin://httpserver").await.expect("it starts");
    let echo = signer.actor(Actor::Echo);
    let actor = echo.id;
    let address = free_address().to_string();
    let link = http_link(&actor, &provider, &[("address", &address)]);
    scene.operator.control.put_link(&link).await.expect("accepted");
    let expected = json!({
        "id": link.id().to_string(), "actor_id": actor.to_string(), "provider_id": provider.to_string(),
        "link_name": "default", "contract_id": "wasmcloud:httpserver", "values": {"address": address},
    });
    assert_eq!(scene.told.data("linkdef_set", |_| true).await, expected);
    let waiting = scene.told.data("linkdef_waiting", |_| true).await;
    assert_eq!(waiting["id"], expected["id"]);
    scene.operator.start_actor(&scene.id, &echo.reference()).await.expect("it starts");
    let applied = scene.told.data("linkdef_applied", |_| true).await;
    assert_eq!((&applied["id"], &applied["host_id"]), (&expected["id"], &json!(scene.id.as_str())));

    scene.operator.unlink(&actor).await.expect("accepted");
    assert_eq!(scene.told.data("linkdef_deleted", |_| true).await, expected);

    let occupant = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let taken = occupant.local_addr().expect("an address").to_string();
    let refused = http_link(&actor, &provider, &[("address", &taken)]);
    scene.operator.control.put_link(&refused).await.expect("accepted");
    let failed = scene.told.data("linkdef_failed", |_| true).await;
    assert!(failed["error"].as_str().is_some_and(|text| text.contains(&taken)), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_told_by_key_and_never_by_value() {
    let Some(scene) = Scene::start().await else { return };
    let entity = KeyPair::generate(KeyKind::Module).public();
    let control = &scene.operator.control;
    control.put_config(&entity, "color", b"topsecret").await.expect("accepted");
    let expected = json!({"entity_id": entity.to_string(), "key": "color"});
    assert_eq!(scene.told.data("config_set", |_| true).await, expected);
    control.delete_config(&entity, "color").await.expect("accepted");
    assert_eq!(scene.told.data("config_deleted", |_| true).await, expected);
    assert!(scene.told.all().iter().all(|event| !event.to_string().contains("topsecret")));
}

#[test]
fn every_event_has_its_line_in_the_documentation() {
    let documented = include_str!("../../docs/observability.md");
    for kind in EventKind::ALL {
        let name = kind.as_str();
        let line = documented.lines().find(|line| line.starts_with(&format!("| `{name}`")));
        assert!(line.is_some_and(|line| line.contains(".rs")), "`{name}` has no line with its test");
    }
}
