//! `wash why` on fifteen broken set-ups: each time the true cause by its stable code, and a next step.
//!
//! Real hosts, real servers, the real `wash`. What needs no NATS runs without, over the control socket of one host.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use claims::{
    ActorId, ProviderId,
    revocation::{Entry, RevocationList, Revoked},
};
use futures_util::StreamExt;
use host::{PolicyConfig, PolicyDefault};
use lattice::{
    HealthResponse, LatticeId, Link,
    client::NatsOptions,
    policy::{PolicyAction, PolicyDecision, PolicyRequest},
    subject::RpcSubject,
};
use lattice_tests::{
    Actor, HTTPSERVER, NatsServer, Signed, Signer, SingleHost, TestLattice, binary, eventually, free_address, get,
    http_link, now, post, try_get,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PROVIDER: &str = "builtin://httpserver";
const KEYVALUE: &str = "wasmcloud:keyvalue";
/// Computes for ever, whatever it is asked.
const ENDLESS: &str = r#"(module (memory (export "memory") 1)
    (func (export "__guest_call") (param i32 i32) (result i32) (loop $l (br $l)) (i32.const 1)))"#;

/// Asks `wash why`, away from the async runtime.
async fn ask(way: &[&str], question: &[&str]) -> (Option<i32>, Value) {
    let args: Vec<String> =
        ["-o", "json", "why"].iter().chain(question).chain(way).map(|&argument| argument.to_owned()).collect();
    let asking = tokio::task::spawn_blocking(move || {
        let home = tempfile::tempdir().expect("a directory");
        let mut wash = Command::new(binary("wash"));
        wash.env_clear().env("HOME", home.path()).env("WASH_HOME", home.path()).args(&args).stdin(Stdio::null());
        let output = wash.output().expect("wash runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let answer = serde_json::from_slice(&output.stdout);
        (output.status.code(), answer.unwrap_or_else(|_| panic!("`wash {args:?}` gives no answer: {stderr}")))
    });
    asking.await.expect("it answers")
}

/// The cause that `wash why` gives, at the socket of a host.
async fn cause(socket: &Path, question: &[&str]) -> String {
    let socket = socket.to_str().expect("a path in UTF-8");
    cause_by(&["--socket", socket], question).await
}

async fn cause_by(way: &[&str], question: &[&str]) -> String {
    let (exit_code, answer) = ask(way, question).await;
    println!("{answer:#}");
    assert_eq!(answer["broken"], answer["cause"].is_object(), "{answer:#}");
    assert_eq!(exit_code, Some(i32::from(answer["cause"].is_object())), "{answer:#}");
    if answer["cause"].is_null() {
        return "nothing".to_owned();
    }
    let next = answer["cause"]["next_step"].as_str().unwrap_or_default();
    assert!(next.len() > 10, "a next step: {answer:#}");
    let broken: Vec<&Value> =
        answer["chain"].as_array().expect("a chain").iter().filter(|step| step["state"] == "broken").collect();
    assert_eq!(broken.len(), 1, "it breaks in one place: {answer:#}");
    answer["cause"]["code"].as_str().expect("a code").to_owned()
}

/// A host without NATS that has an HTTP server and an echo actor, not linked.
struct World {
    host: SingleHost,
    signer: Signer,
    provider: ProviderId,
    echo: Signed<ActorId>,
}

impl World {
    async fn new() -> Self {
        let (host, signer) = (SingleHost::start().await, Signer::default());
        let provider = host.operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
        let echo = signer.actor_with(Actor::Echo, |claims| {
            let caps = vec![HTTPSERVER.to_owned(), "acme:web".to_owned()];
            claims.metadata.as_mut().expect("there is metadata").caps = Some(caps);
        });
        host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
        Self { host, signer, provider, echo }
    }

    /// The same, linked and answering.
    async fn serving(values: &[(&str, &str)]) -> (Self, std::net::SocketAddr) {
        let (world, address) = (Self::new().await, free_address());
        let text = address.to_string();
        let values: Vec<_> = values.iter().copied().chain([("address", text.as_str())]).collect();
        world.host.operator.link(&world.echo.id, &world.provider, &values).await.expect("the link is taken");
        get(address, "/").await;
        (world, address)
    }

    async fn cause(&self, question: &[&str]) -> String {
        cause(&self.host.socket(), question).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_broken_where_everything_works() {
    let (world, _) = World::serving(&[]).await;
    let echo = world.echo.id.as_str();
    assert_eq!(world.cause(&["link", echo, HTTPSERVER]).await, "nothing");
    assert_eq!(world.cause(&["call", "echo", HTTPSERVER]).await, "nothing", "by name");
    assert_eq!(world.cause(&["actor", &world.echo.reference()]).await, "nothing", "by reference");
    assert_eq!(world.cause(&["place", &world.echo.reference()]).await, "nothing");
    let other = world.signer.actor(Actor::Echo);
    world.host.operator.start_actor(&world.host.id, &other.reference()).await.expect("it starts");
    assert_eq!(world.cause(&["call", echo, other.id.as_str()]).await, "nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_claim() {
    let world = World::new().await;
    assert_eq!(world.cause(&["call", world.echo.id.as_str(), KEYVALUE]).await, "missing_claim");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_link() {
    let world = World::new().await;
    assert_eq!(world.cause(&["call", world.echo.id.as_str(), HTTPSERVER]).await, "missing_link");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_contract() {
    let world = World::new().await;
    let link = Link {
        contract_id: "acme:web".parse().expect("a contract id"),
        ..http_link(&world.echo.id, &world.provider, &[("address", &free_address().to_string())])
    };
    world.host.operator.control.put_link(&link).await.expect("the link is put");
    let echo = world.echo.id.as_str();
    assert_eq!(world.cause(&["call", echo, HTTPSERVER]).await, "wrong_contract", "what was meant");
    assert_eq!(world.cause(&["link", echo, "acme:web"]).await, "wrong_contract", "what was put");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_link_name() {
    let (world, _) = World::serving(&[]).await;
    let echo = world.echo.id.as_str();
    assert_eq!(world.cause(&["call", echo, HTTPSERVER, "--link-name", "other"]).await, "wrong_link_name");
}

/// Processes whose program is this file.
fn running(program: &Path) -> Vec<Pid> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).is_ok_and(|exe| exe == program))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_provider() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer, a) = (lattice.operator().await, Signer::default(), lattice.id("a"));
    let program = fs::read(binary("wash-httpserver")).expect("the program");
    let par = signer.provider(&program, HTTPSERVER);
    let provider = operator.start_provider(&a, &par.reference()).await.expect("the process starts");
    let echo = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("the actor starts");
    let address = free_address().to_string();
    operator.link(&echo, &provider, &[("address", &address)]).await.expect("the link is taken");
    let unpacked = lattice.host("a").state_dir.join("cache").join("providers");
    let unpacked = fs::read_dir(unpacked).expect("unpacked").flatten().next().expect("one program").path();
    let [pid] = running(&unpacked)[..] else { panic!("one process runs") };
    // From now on it ends as soon as it is started.
    fs::remove_file(&unpacked).expect("removed");
    fs::copy("/bin/false", &unpacked).expect("replaced");
    kill_process(pid, Signal::KILL).expect("it runs");

    let way = [
        "--ctl-host",
        &lattice.nats.address().ip().to_string(),
        "--ctl-port",
        &lattice.nats.address().port().to_string(),
    ]
    .map(str::to_owned);
    let way: Vec<&str> = way.iter().map(String::as_str).collect();
    eventually("the death noticed", || async {
        let found = cause_by(&way, &["link", echo.as_str(), HTTPSERVER]).await;
        if found == "provider_dead" { Ok(()) } else { Err(found) }
    })
    .await;
    operator.stop_provider(&a, &provider).await.expect("it stops");
    let found = cause_by(&way, &["link", echo.as_str(), HTTPSERVER]).await;
    assert_eq!(found, "provider_not_running", "and that is something else");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_provider() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer, a) = (lattice.operator().await, Signer::default(), lattice.id("a"));
    // A provider of another maker: a process that lives, and a voice on its health subject.
    let par = signer.provider(b"#!/bin/sh\nexec /bin/sleep 600\n", HTTPSERVER);
    let client = lattice.nats.client().await;
    let subject = RpcSubject::Health { id: par.id, link_name: lattice::LinkName::default() };
    let mut checks = client.subscribe(subject.render(&LatticeId::default())).await.expect("a subscription");
    client.flush().await.expect("the server has it");
    tokio::spawn(async move {
        while let Some(check) = checks.next().await {
            let ill = HealthResponse { healthy: false, message: Some("redis is away".to_owned()) };
            client.publish(check.reply.expect("somebody asks"), ill.encode().into()).await.expect("answered");
        }
    });
    let provider = operator.start_provider(&a, &par.reference()).await.expect("the process starts");
    let echo = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("the actor starts");
    operator.control.put_link(&http_link(&echo, &provider, &[])).await.expect("the link is put");
    let socket = lattice.host("a").state_dir.join("host.sock");
    eventually("the link on the host", || async {
        let found = cause(&socket, &["link", echo.as_str(), HTTPSERVER]).await;
        if found == "provider_unhealthy" { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_denies() {
    let change = |config: &mut host::HostConfig| {
        config.policy = Some(PolicyConfig {
            topic: "policy.ask".to_owned(),
            changes_topic: None,
            timeout: Duration::from_secs(2),
            default: PolicyDefault::Deny,
        });
    };
    let Some(lattice) = TestLattice::start_with(["a"], change).await else { return };
    let client = lattice.nats.client().await;
    let mut questions = client.subscribe("policy.ask").await.expect("a subscription");
    client.flush().await.expect("the server has it");
    let service = tokio::spawn(async move {
        while let Some(message) = questions.next().await {
            let request: PolicyRequest = serde_json::from_slice(&message.payload).expect("a question");
            let permitted = request.action != PolicyAction::PerformInvocation;
            let answer = PolicyDecision { request_id: request.request_id, permitted, message: None };
            client.publish(message.reply.expect("asked"), answer.to_json().into()).await.expect("answered");
        }
    });
    let (operator, signer, a) = (lattice.operator().await, Signer::default(), lattice.id("a"));
    let provider = operator.start_provider(&a, PROVIDER).await.expect("the provider starts");
    let echo = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("the actor starts");
    let other = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("the actor starts");
    operator.link(&echo, &provider, &[("address", &free_address().to_string())]).await.expect("the link is taken");
    let socket = lattice.host("a").state_dir.join("host.sock");
    assert_eq!(cause(&socket, &["link", echo.as_str(), HTTPSERVER]).await, "policy_denied");
    service.abort();
    let found = cause(&socket, &["call", echo.as_str(), other.as_str()]).await;
    assert_eq!(found, "policy_unanswered", "nobody is asked any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_does_not_run() {
    let (world, _) = World::serving(&[]).await;
    world.host.operator.stop_actor(&world.host.id, &world.echo.id).await.expect("it stops");
    assert_eq!(world.cause(&["link", world.echo.id.as_str(), HTTPSERVER]).await, "actor_not_running");
    assert_eq!(world.cause(&["actor", "echo"]).await, "actor_not_running");
    let never = world.signer.actor(Actor::Echo).reference();
    assert_eq!(world.cause(&["actor", &never]).await, "actor_not_running", "nobody ever started it");
}

/// An actor that never ends, linked; as many instances as given.
async fn endless(instances: u32, values: &[(&str, &str)]) -> (World, ActorId, std::net::SocketAddr) {
    let (world, address) = (World::new().await, free_address());
    let endless = world.signer.wasm("endless", &wat::parse_str(ENDLESS).expect("a module"));
    world.host.operator.scale(&world.host.id, &endless.reference(), instances).await.expect("the actor starts");
    let text = address.to_string();
    let values: Vec<_> = values.iter().copied().chain([("address", text.as_str())]).collect();
    world.host.operator.link(&endless.id, &world.provider, &values).await.expect("the link is taken");
    (world, endless.id, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_actor() {
    let (world, actor, address) = endless(1, &[("timeout_ms", "60000")]).await;
    let call = tokio::spawn(async move { try_get(address, "/").await });
    eventually("the only instance taken", || async {
        let found = world.cause(&["actor", actor.as_str()]).await;
        if found == "actor_full" { Ok(()) } else { Err(found) }
    })
    .await;
    assert_eq!(world.cause(&["link", actor.as_str(), HTTPSERVER]).await, "actor_full");
    call.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_too_short() {
    let (world, actor, address) = endless(5, &[("timeout_ms", "150")]).await;
    let answer = try_get(address, "/").await.expect("the server answers");
    assert!(answer.status.is_server_error(), "{answer:?}");
    assert_eq!(world.cause(&["link", actor.as_str(), HTTPSERVER]).await, "deadline_too_short");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_too_large() {
    let (world, address) = World::serving(&[]).await;
    let operator = &world.host.operator;
    operator.limit(&world.host.id, &world.echo.reference(), &[("payload", "2KiB")]).await.expect("it has other limits");
    let answer = post(address, "/", vec![b'x'; 5000]).await.expect("the server answers");
    assert!(!answer.status.is_success(), "{answer:?}");
    assert_eq!(world.cause(&["link", world.echo.id.as_str(), HTTPSERVER]).await, "payload_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_actor() {
    let (world, _) = World::serving(&[]).await;
    let entry =
        Entry { revoked: Revoked::Issuer(world.signer.account()), reason: Some("key leaked".into()), since: now() };
    let list = RevocationList { lattice: LatticeId::default().to_string(), number: 1, entries: vec![entry] };
    let token = list.sign(world.signer.key(), now()).expect("it can be signed");
    world.host.operator.control.put_revocations(&token).await.expect("the list is accepted");
    assert_eq!(world.cause(&["link", world.echo.id.as_str(), HTTPSERVER]).await, "revoked");
    assert_eq!(world.cause(&["actor", world.echo.id.as_str()]).await, "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_issuer() {
    let host = SingleHost::start_with(|config| config.allowed_issuers = Some(Vec::new())).await;
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    host.operator.start_actor(&host.id, &echo.reference()).await.expect_err("it is refused");
    assert_eq!(cause(&host.socket(), &["actor", &echo.reference()]).await, "untrusted_issuer");
    assert_eq!(cause(&host.socket(), &["actor", echo.id.as_str()]).await, "untrusted_issuer", "by id");
    assert_eq!(cause(&host.socket(), &["place", &echo.reference()]).await, "untrusted_issuer");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_host_that_matches_the_constraint() {
    let world = World::new().await;
    let reference = world.signer.actor(Actor::Hello).reference();
    let found = world.cause(&["place", &reference, "--constraint", "zone=moon"]).await;
    assert_eq!(found, "no_host_matches");
    world.host.operator.control.put_label(&world.host.id, "zone", "moon").await.expect("it has the label");
    assert_eq!(world.cause(&["place", &reference, "--constraint", "zone=moon"]).await, "nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_nats_permission() {
    let Some(mut nats) = NatsServer::prepare() else { return };
    nats.configure(
        r#"authorization { users = [
            { user: host, password: pw, permissions: { subscribe: { deny: ["wasmbus.rpc.>"] } } }
            { user: visitor, password: pw, permissions: { publish: { deny: ["wasmbus.ctl.>"] } } }
        ] }"#,
    );
    nats.start_again().await;
    let url = format!("nats://host:pw@{}", nats.address());
    let host = SingleHost::start_with(|config| {
        config.ctl = Some(NatsOptions { urls: vec![url], retry: true, ..NatsOptions::default() });
    })
    .await;
    let signer = Signer::default();
    let echo = host.operator.start_actor(&host.id, &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    eventually("the host told what it may not do", || async {
        let found = cause(&host.socket(), &["actor", echo.as_str()]).await;
        if found == "nats_permission_missing" { Ok(()) } else { Err(found) }
    })
    .await;
    let visitor = format!("nats://visitor:pw@{}", nats.address());
    let found = cause_by(&["--ctl-host", &visitor], &["actor", echo.as_str()]).await;
    assert_eq!(found, "nats_permission_missing", "of whoever asks");
}

/// A trouble that is over is history, not a verdict.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_was_too_short_once_is_history() {
    let (world, address) = World::serving(&[]).await;
    let (operator, echo) = (&world.host.operator, world.echo.id);
    let question = ["link", echo.as_str(), HTTPSERVER];
    let text = address.to_string();
    let link = |timeout: &'static str| {
        let values = [("address", text.clone()), ("timeout_ms", timeout.to_owned())];
        async move {
            let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
            operator.link(&echo, &world.provider, &values).await.expect("the link is taken");
        }
    };
    link("1").await;
    let large = "x".repeat(8 << 20); // which takes the actor more than a millisecond to describe
    eventually("a call that takes too long", || async {
        post(address, "/", large.clone()).await?;
        let found = world.cause(&question).await;
        if found == "deadline_too_short" { Ok(()) } else { Err(found) }
    })
    .await;
    link("60000").await;
    get(address, "/").await;
    assert_eq!(world.cause(&question).await, "nothing");
    let socket = world.host.socket();
    let (_, answer) = ask(&["--socket", socket.to_str().expect("a path")], &question).await;
    let remarks = answer["remarks"].to_string();
    assert!(remarks.contains("the same worked later"), "it is told as history: {remarks}");
    assert!(!answer.to_string().contains("log of that host says more"), "{answer}");
}

/// Two hosts of one machine run the HTTP server: one has the address, and that is enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_one_host_serves_is_not_a_refused_link() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let echo = operator.start_actor(&lattice.id("a"), &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    let mut provider = None;
    for name in ["a", "b"] {
        provider = Some(operator.start_provider(&lattice.id(name), PROVIDER).await.expect("it starts"));
    }
    let (provider, address) = (provider.expect("a provider"), free_address());
    let mut events = operator.events().await;
    let link = http_link(&echo, &provider, &[("address", &address.to_string())]);
    operator.control.put_link(&link).await.expect("it is put");
    let (mut served, mut refused) = (None, None);
    while served.is_none() || refused.is_none() {
        match events.next().await.expect("told").data {
            lattice::event::EventData::LinkdefApplied(applied) => served = Some(applied.host_id),
            lattice::event::EventData::LinkdefFailed(failed) => refused = Some(failed.link.host_id),
            _ => {}
        }
    }
    let nats = lattice.nats.address();
    let (ip, port) = (nats.ip().to_string(), nats.port().to_string());
    let way = ["--ctl-host", ip.as_str(), "--ctl-port", port.as_str()];
    let question = ["link", echo.as_str(), HTTPSERVER];
    assert_eq!(cause_by(&way, &question).await, "nothing");
    // The one that was refused loses its provider: what it said of the link is over.
    operator.stop_provider(&refused.expect("refused"), &provider).await.expect("it stops");
    assert_eq!(cause_by(&way, &question).await, "nothing");
}
