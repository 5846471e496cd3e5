//! What somebody with a captured message, a provider's key or the broker alone can do to calls, sessions and peers.

mod faults_support;

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use claims::{ClusterId, HostId, KeyKind, KeyPair};
use contracts::CallError;
use faults_support::{any_actor, figure};
use lattice::{
    HostData,
    control::{ActorDescription, ActorInstance, HostInventory},
    event::{Event, EventData},
    invocation::{DELEGATION_HEADER, Entity, Invocation, InvocationResponse, LIFETIME, OWN_KEY_MARK, UNTRUSTED_ISSUER},
    session::{Acquaintances, Granted, Hello, PROOF_HEADER, Parties},
    subject::{RpcSubject, events},
};
use lattice_tests::{
    Actor, HTTPSERVER, Signer, TestLattice, binary, eventually, free_address, get, http_link, now, subscribe,
};

fn any_host() -> HostId {
    KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key")
}

/// A signed call of an actor to itself, issued so many seconds from now.
fn issued(lattice: &TestLattice, actor: &claims::ActorId, ahead: i64) -> Invocation {
    let (entity, host) = (Entity::actor(actor), any_host());
    let time = now().checked_add_signed(ahead).expect("a time");
    let payload = Bytes::from_static(b"payload");
    Invocation::issue(entity.clone(), entity, "Test.Echo", payload, lattice.cluster(), &host, time).expect("signed")
}

/// What became of a call that was sent to whichever host the broker chooses.
async fn send(client: &Client, lattice: &TestLattice, call: &Invocation) -> Result<Bytes, String> {
    let subject = RpcSubject::Actor(call.target.public_key.parse().expect("an actor")).render(lattice.name());
    let answer = client.request(subject, call.encode()).await.map_err(|error| error.to_string())?;
    let answer = InvocationResponse::decode(&answer.payload).expect("an answer");
    answer.error.map_or(Ok(answer.msg), Err)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_call_is_carried_out_by_one_host_once_also_after_restarts() {
    let Some(mut lattice) = TestLattice::start(["a", "b", "c"]).await else { return };
    let (signer, operator, client) = (Signer::default(), lattice.operator().await, lattice.nats.client().await);
    let echo = signer.actor(Actor::Echo);
    for host in ["a", "b", "c"] {
        operator.start_actor(&lattice.id(host), &echo.reference()).await.expect("it starts");
    }
    // Each host has to have heard which others run the actor, and of the call; until then one of them may be the first.
    let captured = eventually("a call that all three hosts know", || async {
        let call = issued(&lattice, &echo.id, 0);
        let first = send(&client, &lattice, &call).await;
        assert!(first.is_ok(), "{first:?}");
        // What others do meanwhile is the time in which the word of it arrives.
        for _ in 0..30 {
            let other = send(&client, &lattice, &issued(&lattice, &echo.id, 0)).await;
            assert!(other.is_ok(), "{other:?}");
        }
        let mut taken = 0;
        for _ in 0..30 {
            taken += usize::from(send(&client, &lattice, &call).await.is_ok());
        }
        if taken == 0 { Ok(call) } else { Err(format!("carried out {taken} times more")) }
    })
    .await;
    for host in ["a", "b", "c"] {
        lattice.start_again(host).await;
    }
    eventually("the actor again", || async { send(&client, &lattice, &issued(&lattice, &echo.id, 0)).await }).await;
    for _ in 0..30 {
        let error = send(&client, &lattice, &captured).await.expect_err("it was carried out before");
        assert!(error.contains("seen before"), "{error}");
    }
    let skew = i64::try_from(LIFETIME).expect("a small number");
    for (ahead, words) in [(-365 * 86_400, "expired"), (-skew - 30, "expired"), (skew + 30, "ahead")] {
        let error = send(&client, &lattice, &issued(&lattice, &echo.id, ahead)).await.expect_err("another time");
        assert!(error.contains(words), "{error}");
    }
    for ahead in [-3600, 3600] {
        let call = issued(&lattice, &echo.id, ahead);
        assert!(send(&client, &lattice, &call).await.is_ok(), "a clock that is an hour off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_the_name_of_an_actor_or_provider_that_nobody_has_claims_of_is_refused() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (signer, operator) = (Signer::default(), lattice.operator().await);
    let echo = signer.actor(Actor::Echo);
    operator.start_actor(&lattice.id("a"), &echo.reference()).await.expect("it starts");
    let (invented, late, caller) = (any_actor(), any_actor(), lattice.signed_caller().await);
    let call = |origin| {
        let caller = caller.clone();
        async move { caller.call_as(&origin, &echo.id, "Test.Echo", Bytes::from_static(b"x")).await }
    };
    let error = call(invented).await.expect_err("nobody has claims of it");
    assert_eq!(error.code(), "unauthorized", "{error}");
    assert!(error.to_string().contains("failed to look up claims for origin"), "{error}");
    // Claims that come while the call waits are in time.
    let (outcome, ()) = tokio::join!(call(late), lattice.introduce(&late));
    assert_eq!(outcome.expect("the lattice knows it by now"), "x");

    let provider = KeyPair::generate(KeyKind::Service).public().try_into().expect("a provider key");
    operator.control.put_link(&http_link(&echo.id, &provider, &[])).await.expect("it is taken");
    let link = http_link(&echo.id, &provider, &[]);
    let (origin, target) = (Entity::provider(&provider, &link.link_name, &link.contract_id), Entity::actor(&echo.id));
    let call = Invocation::issue(origin, target, "Test.Echo", Bytes::new(), lattice.cluster(), &any_host(), now());
    let client = lattice.nats.client().await;
    let error = send(&client, &lattice, &call.expect("signed")).await.expect_err("nobody has claims of it");
    assert!(error.contains("failed to look up claims for origin"), "{error}");
}

/// Sends a message as fast as it can be sent, until it is told to end. How many were sent.
struct Flood {
    end: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
    started: Instant,
}

/// How many messages a flood has in a millisecond; as many as can be sent, where it is not said.
#[derive(Clone, Copy)]
struct Pace(Option<u64>);

impl Flood {
    fn start(
        client: Client,
        pace: Pace,
        mut message: impl FnMut() -> (String, Option<HeaderMap>, Bytes) + Send + 'static,
    ) -> Self {
        let (end, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (ended, counted, begun) = (end.clone(), sent.clone(), Instant::now());
        let task = tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                let (subject, headers, payload) = message();
                let reply = "_INBOX.nobody".to_owned();
                let sending = match headers {
                    Some(headers) => client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
                    None => client.publish_with_reply(subject, reply, payload).await,
                };
                sending.expect("NATS is there");
                let sent = counted.fetch_add(1, Ordering::Relaxed) + 1;
                if let Pace(Some(pace)) = pace {
                    tokio::time::sleep_until((begun + Duration::from_millis(sent / pace)).into()).await;
                }
            }
            client.flush().await.ok();
        });
        Self { end, sent, task, started: begun }
    }

    /// Ends it; messages a second.
    async fn end(self) -> f64 {
        self.end.store(true, Ordering::Relaxed);
        self.task.await.expect("it ends");
        self.sent.load(Ordering::Relaxed) as f64 / self.started.elapsed().as_secs_f64()
    }
}

/// Processor time a process has used.
fn cpu_time(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: u64 = [11, 12].map(|at: usize| fields[at].parse::<u64>().expect("a number")).iter().sum();
    Duration::from_millis(ticks * 10)
}

/// Memory a process holds, in MiB.
fn memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a number") / 1024
}

/// A member of the lattice that is no host.
struct Member {
    client: Client,
    parties: Parties,
    cluster: KeyPair,
}

impl Member {
    async fn new(lattice: &TestLattice, to: HostId) -> Self {
        let cluster = lattice.cluster().clone();
        let id = ClusterId::try_from(cluster.public()).expect("a cluster key");
        let parties = Parties { lattice: lattice.name().clone(), from: any_host(), to, cluster: id };
        Self { client: lattice.nats.client().await, parties, cluster }
    }

    /// A handshake, as a host makes it.
    async fn session(&self) -> Result<(Granted, Duration), String> {
        let (question, asked) = Hello::ask(self.parties.clone(), 600, &self.cluster, now());
        let trusted = [self.parties.cluster].into();
        let proof = Acquaintances::new(&self.cluster, self.parties.cluster, &trusted).prove(&question);
        let mut headers = HeaderMap::new();
        headers.insert(PROOF_HEADER, proof.expect("one key"));
        let subject = RpcSubject::Session(self.parties.to).render(&self.parties.lattice);
        let started = Instant::now();
        let request = async_nats::Request::new().headers(headers).payload(question.into());
        let answer = self.client.send_request(subject, request.timeout(Some(Duration::from_secs(2)))).await;
        let took = started.elapsed();
        let answer = answer.map_err(|error| error.to_string())?;
        asked.granted(&answer.payload, &trusted).map(|granted| (granted, took)).map_err(|error| error.to_string())
    }
}

/// How long the flood lasts: seconds, because others are on this machine.
const ATTACK: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn honest_handshakes_stay_fast_beside_forged_ones() {
    let Some(mut lattice) = TestLattice::start_processes(["a"]).await else { return };
    let host = lattice.id("a");
    let member = Member::new(&lattice, host).await;
    let (_, alone) = member.session().await.expect("it is granted");
    let pid = lattice.process("a").pid();
    for pace in [Pace(Some(5)), Pace(None)] {
        let (before, used) = (memory(pid), cpu_time(pid));
        let flood = Flood::start(lattice.nats.client().await, pace, forged_questions(&lattice, &member));
        let (until, mut slowest, mut granted, mut failed) = (Instant::now() + ATTACK, Duration::ZERO, 0, 0);
        while Instant::now() < until {
            match Member::new(&lattice, host).await.session().await {
                Ok((_, took)) => (slowest, granted) = (slowest.max(took), granted + 1),
                Err(_) => failed += 1,
            }
        }
        let (rate, used, after) = (flood.end().await, cpu_time(pid).saturating_sub(used), memory(pid));
        figure(
            "forged session questions",
            &format!(
                "{rate:.0}/s: {granted} honest handshakes, slowest {slowest:.0?} (alone {alone:.0?}), {failed} without an \
                 answer; the host used {used:.1?} of processor in {ATTACK:?}, memory {before} to {after} MiB"
            ),
        );
        // As many as can be sent are more than the processor of a busy machine lets the host even look at.
        if pace.0.is_some() {
            assert!(granted > 0 && failed * 10 <= granted, "{granted} granted, {failed} failed");
        }
        assert!(after < before + 150, "{before} to {after} MiB");
    }
    eventually("a handshake after the flood", || async { member.session().await.map(drop) }).await;
}

/// Questions in the name of the trusted key and of a new nonce each time, with a signature that is none, and half of them
/// with a proof that is none.
fn forged_questions(
    lattice: &TestLattice,
    member: &Member,
) -> impl FnMut() -> (String, Option<HeaderMap>, Bytes) + Send + use<> {
    let stranger = KeyPair::generate(KeyKind::Cluster);
    let (template, _) = Hello::ask(member.parties.clone(), 600, &stranger, now());
    let subject = RpcSubject::Session(member.parties.to).render(lattice.name());
    let mut number = 0_u64;
    move || {
        number += 1;
        let mut question = template.clone();
        let end = question.len() - 64 - 4 - 8 - 32;
        question[end - 8..end].copy_from_slice(&number.to_be_bytes()); // the nonce
        let headers = number.is_multiple_of(2).then(|| {
            let mut headers = HeaderMap::new();
            headers.insert(PROOF_HEADER, "AAAAAAAAAAAAAAAAAAAAAA");
            headers
        });
        (subject.clone(), headers, question.into())
    }
}

/// A heartbeat of a host that does not exist, with as many actors as a message takes.
fn forged_heartbeat(actors: &[claims::ActorId]) -> Bytes {
    let describe = |id: &claims::ActorId| ActorDescription {
        id: *id,
        image_ref: Some("x".repeat(40)),
        name: None,
        instances: vec![ActorInstance {
            annotations: [("k".to_owned(), id.to_string())].into(),
            image_ref: None,
            instance_id: String::new(),
            revision: 1,
            max_instances: 1,
        }],
        limits: [].into(),
        limits_exceeded: [].into(),
    };
    let host = any_host();
    let inventory = HostInventory {
        host_id: host,
        issuer: String::new(),
        friendly_name: "forged".to_owned(),
        labels: [].into(),
        version: "0.82.0".to_owned(),
        uptime_human: String::new(),
        uptime_seconds: 1,
        actors: actors.iter().map(describe).collect(),
        left_out: 0,
        providers: Vec::new(),
        sessions: Some(lattice::session::VERSION),
    };
    Event::new(&host, SystemTime::now(), EventData::HostHeartbeat(inventory)).to_json().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_heartbeats_take_little_memory_and_no_place_of_a_member() {
    let Some(mut lattice) = TestLattice::start_processes(["a", "b"]).await else { return };
    let (signer, operator) = (Signer::default(), lattice.operator().await);
    let echo = signer.actor(Actor::Echo);
    operator.start_actor(&lattice.id("a"), &echo.reference()).await.expect("it starts");
    let actors: Vec<_> = (0..600).map(|_| any_actor()).collect();
    // Made beforehand, so that sending is what takes time: some that are read, and some that are too long to be.
    let mut forged: Vec<Bytes> = (0..200).map(|at| forged_heartbeat(&actors[..1 + at * 3])).collect();
    forged.push(Bytes::from(vec![b' '; 1_000_000]));
    let (pid, subject) = (lattice.process("a").pid(), events(lattice.name()));
    let (before, used, mut at) = (memory(pid), cpu_time(pid), 0);
    let flood = Flood::start(lattice.nats.client().await, Pace(None), move || {
        at += 1;
        (subject.clone(), None, forged[at % forged.len()].clone())
    });
    let (caller, until, mut slowest, mut most) = (lattice.caller("a"), Instant::now() + ATTACK, Duration::ZERO, before);
    while Instant::now() < until {
        let started = Instant::now();
        caller.call(&echo.id, "Test.Echo", Bytes::from_static(b"x")).await.expect("a host serves beside it");
        slowest = slowest.max(started.elapsed());
        most = most.max(memory(pid));
    }
    let (rate, used) = (flood.end().await, cpu_time(pid).saturating_sub(used));
    figure(
        "forged heartbeats",
        &format!(
            "{rate:.0}/s, up to 1 MB each: memory {before} to {most} MiB at most, {used:.1?} of processor in {ATTACK:?}, \
             slowest call {slowest:.0?}"
        ),
    );
    // What is kept is little (`peers::tests`), and so is what waits: the inbox of events has a bound in bytes.
    assert!(most < before + 200, "{before} to {most} MiB");
    // The member that came before is known as one, and called in a session.
    let b = lattice.id("b");
    let hosts = lattice.operator_at("a").hosts().await.expect("it answers");
    let peers = hosts.iter().find_map(|host| host.peers.clone()).expect("a host of ours");
    assert_eq!(peers[0], b, "members come first");
    assert!(
        peers.len() <= 65,
        "nobody is told to wait for more made up hosts than a mixed lattice has: {}",
        peers.len()
    );
}

/// A program that keeps what its host tells it, and is no provider otherwise.
fn listener(file: &Path, own_key: bool) -> Vec<u8> {
    let mut program =
        format!("#!/bin/sh\nIFS= read -r line\nprintf '%s' \"$line\" > {0}.new\n", file.display()).into_bytes();
    program.extend(format!("/bin/mv {0}.new {0}\nexec /bin/sleep 60\n", file.display()).into_bytes());
    if own_key {
        let length = program.len().next_multiple_of(16);
        program.resize(length, b'\n');
        program.extend_from_slice(&OWN_KEY_MARK.0);
    }
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_process_of_ours_gets_a_key_for_its_own_calls_and_no_cluster_seed() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (signer, operator, dir) =
        (Signer::default(), lattice.operator().await, tempfile::tempdir().expect("a directory"));
    let echo = signer.actor(Actor::Echo);
    operator.start_actor(&lattice.id("b"), &echo.reference()).await.expect("it starts");
    let told = async |own_key: bool| {
        let file = dir.path().join(format!("told-{own_key}"));
        let par = signer.provider(&listener(&file, own_key), HTTPSERVER);
        let (host, reference) = (lattice.id("a"), par.reference());
        let starting = operator.start_provider(&host, &reference);
        let read = eventually("the host data", || async {
            let line = fs::read(&file).map_err(|error| error.to_string())?;
            HostData::from_stdin_line(&line).map_err(|error| error.to_string())
        });
        let (refused, data) = tokio::join!(starting, read);
        refused.expect_err("it answers no health check");
        data
    };
    let (legacy, ours) = tokio::join!(told(false), told(true));
    let seed = lattice.cluster().seed().expose().to_owned();
    assert_eq!(legacy.invocation_seed.expose(), seed, "the protocol gives it to providers of others");
    assert_eq!(legacy.invocation_delegation, None);
    assert_ne!(ours.invocation_seed.expose(), seed);
    let own = KeyPair::from_seed(ours.invocation_seed.expose()).expect("a seed");
    assert_eq!(own.kind(), KeyKind::Cluster);

    // What it may: call the actor it is linked to, in its own name, on any host.
    let link = http_link(&echo.id, &ours.provider_key, &[]);
    operator.control.put_link(&link).await.expect("it is taken");
    let name = Entity::provider(&ours.provider_key, &link.link_name, &link.contract_id);
    let statement = ours.invocation_delegation.expect("a statement");
    let client = lattice.nats.client().await;
    let call = async |origin: &Entity, statement: Option<&str>| {
        let target = Entity::actor(&echo.id);
        let payload = Bytes::from_static(b"x");
        let call = Invocation::issue(origin.clone(), target, "Test.Echo", payload, &own, &ours.host_id, now());
        let mut headers = HeaderMap::new();
        statement.iter().for_each(|statement| headers.insert(DELEGATION_HEADER, *statement));
        let subject = RpcSubject::Actor(echo.id).render(lattice.name());
        let call = call.expect("signed").encode();
        let answer = client.request_with_headers(subject, headers, call).await.expect("an answer");
        InvocationResponse::decode(&answer.payload).expect("an answer").error
    };
    // Its claims are not known, because it never ran: believed, and refused for that alone.
    let error = call(&name, Some(&statement)).await.expect("no claims");
    assert!(error.contains("failed to look up claims for origin") || error.contains("no link"), "{error}");
    // What it may not: call in the name of an actor, of another provider, or without its statement.
    let elsewhere = Entity { link_name: "other".to_owned(), ..name.clone() };
    for (origin, statement) in [
        (&Entity::actor(&echo.id), Some(statement.as_str())),
        (&elsewhere, Some(statement.as_str())),
        (&name, None),
        (&name, Some("")),
    ] {
        assert_eq!(call(origin, statement).await.as_deref(), Some(UNTRUSTED_ISSUER));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_process_of_ours_calls_actors_on_hosts_of_ours_and_of_others() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (signer, operator) = (Signer::default(), lattice.operator().await);
    let par = signer.provider(&fs::read(binary("wash-httpserver")).expect("the program"), HTTPSERVER);
    let provider = operator.start_provider(&lattice.id("a"), &par.reference()).await.expect("the process starts");
    let (echo, address) = (signer.actor(Actor::Echo), free_address());
    operator.start_actor(&lattice.id("b"), &echo.reference()).await.expect("it starts");
    operator.link(&echo.id, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    assert!(get(address, "/ours").await.contains("/ours"));

    // A host of another make: it knows cluster keys, and says so in the protocol's words, without a code.
    let (theirs, address) = (signer.actor(Actor::Echo), free_address());
    lattice.introduce(&theirs.id).await;
    let client = lattice.nats.client().await;
    let mut calls = subscribe(&client, RpcSubject::Actor(theirs.id).render(lattice.name())).await;
    let trusted = [ClusterId::try_from(lattice.cluster().public()).expect("a cluster key")].into();
    let (seen, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (answered, turned_away) = (seen.clone(), refused.clone());
    let host = tokio::spawn(async move {
        while let Some(message) = futures_util::StreamExt::next(&mut calls).await {
            let call = Invocation::decode(&message.payload).expect("a call");
            let answer = match call.validate(now(), &trusted) {
                Ok(_) => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    InvocationResponse::failure(&call.id, "it was called")
                }
                Err(error) => {
                    turned_away.fetch_add(1, Ordering::Relaxed);
                    InvocationResponse::failure(&call.id, error.to_string())
                }
            };
            client.publish(message.reply.expect("a call"), answer.encode()).await.expect("NATS is there");
        }
    });
    let link = http_link(&theirs.id, &provider, &[("address", &address.to_string())]);
    operator.control.put_link(&link).await.expect("it is taken");
    eventually("a call by way of the host", || async {
        let answer = lattice_tests::try_get(address, "/theirs").await?;
        let count = seen.load(Ordering::Relaxed);
        if count > 0 { Ok(()) } else { Err(format!("{:?}", answer.status)) }
    })
    .await;
    assert!(refused.load(Ordering::Relaxed) > 0, "it was tried without the host first");
    host.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_provider_process_of_a_host_has_calls_made_by_it() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (signer, client) = (Signer::default(), lattice.nats.client().await);
    let echo = signer.actor(Actor::Echo);
    let started = lattice.operator().await.start_actor(&lattice.id("a"), &echo.reference()).await;
    started.expect("it starts");
    let call = issued(&lattice, &echo.id, 0);
    let subject = RpcSubject::Relay(lattice.id("a")).render(lattice.name());
    let answer = client.request(subject, call.encode()).await.expect("an answer");
    let error = InvocationResponse::decode(&answer.payload).expect("an answer").error.expect("it is refused");
    assert!(error.contains("no provider process"), "{error}");
    let error: CallError = CallError::from_wire(None, error);
    assert_eq!(error.code(), "reported");
}
