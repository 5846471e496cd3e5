//! Peers that are strangers, liars or echoes: what a host does with handshakes and batches that it must not believe.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use async_nats::{Client, Subscriber};
use bytes::Bytes;
use claims::{ActorId, ClusterId, HostId, KeyKind, KeyPair};
use futures_util::StreamExt;
use lattice::{
    LatticeId,
    invocation::Entity,
    session::{
        Acquaintances, Answer, BatchKind, CallParts, Draft, FromCallee, Granted, Hello, MAX_APART, MacKey, Opened,
        PROOF_HEADER, Parties, Refusal, SessionId, Unknown,
    },
    subject::RpcSubject,
};
use lattice_tests::{Actor, Gate, RELAY, Signer, TestLattice, eventually, now, relay};

const LONG: Duration = Duration::from_secs(20);

/// Somebody at the broker who speaks the format.
struct Peer {
    client: Client,
    lattice: LatticeId,
    host: HostId,
    cluster: KeyPair,
    answers: Subscriber,
    read: VecDeque<FromCallee>,
}

impl Peer {
    async fn new(lattice: &TestLattice, cluster: KeyPair) -> Self {
        let client = lattice.nats.client().await;
        let host = HostId::try_from(KeyPair::generate(KeyKind::Server).public()).expect("a host key");
        let subject = RpcSubject::Answers(host).render(lattice.name());
        let answers = client.subscribe(subject).await.expect("subscribed");
        Self { client, lattice: lattice.name().clone(), host, cluster, answers, read: VecDeque::new() }
    }

    fn parties(&self, to: HostId) -> Parties {
        let cluster = ClusterId::try_from(self.cluster.public()).expect("a cluster key");
        Parties { lattice: self.lattice.clone(), from: self.host, to, cluster }
    }

    /// Sends a question as it is; the answer.
    async fn ask(&self, to: HostId, question: Vec<u8>) -> Bytes {
        let subject = RpcSubject::Session(to).render(&self.lattice);
        let mut headers = async_nats::HeaderMap::new();
        let own = self.parties(to).cluster;
        let proof = Acquaintances::new(&self.cluster, own, &[own].into()).prove(&question).expect("one key");
        headers.insert(PROOF_HEADER, proof);
        let answer = self.client.request_with_headers(subject, headers, question.into()).await;
        answer.expect("a host answers what its members ask").payload
    }

    async fn refusal(&self, to: HostId, question: Vec<u8>) -> String {
        let answer = self.ask(to, question).await;
        Refusal::decode(&answer).expect("it must be refused").code
    }

    async fn session(&self, to: HostId) -> Granted {
        let (question, asked) = Hello::ask(self.parties(to), 600, &self.cluster, now());
        let answer = self.ask(to, question).await;
        let trusted = [self.parties(to).cluster].into();
        asked.granted(&answer, &trusted).expect("it is granted")
    }

    async fn send(&self, to: HostId, batch: Bytes) {
        let subject = RpcSubject::Calls(to).render(&self.lattice);
        self.client.publish(subject, batch).await.expect("published");
        self.client.flush().await.expect("NATS is there");
    }

    /// What the host says next.
    async fn next(&mut self, session: &Granted) -> FromCallee {
        while self.read.is_empty() {
            let message = tokio::time::timeout(LONG, self.answers.next()).await.expect("in time").expect("an answer");
            let opened = Opened::open(&message.payload, &session.keys.answers).expect("its code holds");
            self.read.extend(FromCallee::read_all(&opened).expect("answers"));
        }
        self.read.pop_front().expect("not empty")
    }

    /// The next answer: its number, and what it says.
    async fn answer(&mut self, session: &Granted) -> (u32, Answer) {
        match self.next(session).await {
            FromCallee::Answer { number, answer } => (number, answer),
            last => panic!("{last:?}"),
        }
    }
}

/// A batch of one call, whose payload is its number.
fn batch(session: SessionId, key: &MacKey, origin: &Entity, target: &ActorId, number: u32) -> Bytes {
    let payload = Bytes::from(number.to_string());
    let trace = BTreeMap::new();
    let call = CallParts { origin, target, operation: "Test.Echo", trace: &trace, payload: &payload };
    let mut draft = Draft::new(BatchKind::Calls, session);
    draft.add(|to| call.write(number, LONG, to));
    draft.finish(u64::from(number), key)
}

fn result(number: u32) -> (u32, Answer) {
    (number, Answer::Result(Bytes::from(number.to_string())))
}

struct World {
    lattice: TestLattice,
    echo: ActorId,
    host: HostId,
    _signer: Signer,
}

impl World {
    async fn new() -> Option<Self> {
        let lattice = TestLattice::start(["a"]).await?;
        let (signer, host) = (Signer::default(), lattice.id("a"));
        let echo = signer.actor(Actor::Echo);
        lattice.operator().await.start_actor(&host, &echo.reference()).await.expect("it starts");
        Some(Self { lattice, echo: echo.id, host, _signer: signer })
    }

    async fn friend(&self) -> Peer {
        Peer::new(&self.lattice, self.lattice.cluster().clone()).await
    }

    async fn refused(&self, code: &'static str, count: u64) {
        eventually(&format!("{count} refusals `{code}`"), || async {
            let seen = self.lattice.session_refusals("a");
            if seen.get(code) == Some(&count) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }

    /// The host still does what it should.
    async fn is_well(&self) {
        let mut peer = self.friend().await;
        let session = peer.session(self.host).await;
        let origin = Entity::actor(&self.echo);
        peer.send(self.host, batch(session.session, &session.keys.calls, &origin, &self.echo, 1)).await;
        assert_eq!(peer.answer(&session).await, result(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_must_not_be_believed_are_refused_and_counted() {
    let Some(world) = World::new().await else { return };
    let (friend, host) = (world.friend().await, world.host);
    let stranger = Peer::new(&world.lattice, KeyPair::generate(KeyKind::Cluster)).await;
    let question = |peer: &Peer, parties: Parties, time: u64| Hello::ask(parties, 600, &peer.cluster, time).0;
    let good = || question(&friend, friend.parties(host), now());

    let untrusted = question(&stranger, stranger.parties(host), now());
    assert_eq!(stranger.refusal(host, untrusted).await, "untrusted_issuer");
    // In the name of a trusted key, signed with another.
    let forged = question(&stranger, Parties { from: stranger.host, ..friend.parties(host) }, now());
    assert_eq!(stranger.refusal(host, forged).await, "session_signature");
    let lattice = "elsewhere".parse().expect("a lattice");
    let other = question(&friend, Parties { lattice, ..friend.parties(host) }, now());
    assert_eq!(friend.refusal(host, other).await, "session_lattice");
    let other = question(&friend, friend.parties(friend.host), now());
    assert_eq!(friend.refusal(host, other).await, "session_host");
    let own = question(&friend, Parties { from: host, ..friend.parties(host) }, now());
    assert_eq!(friend.refusal(host, own).await, "session_host", "in the name of the host itself");
    let old = question(&friend, friend.parties(host), now() - MAX_APART - 60);
    assert_eq!(friend.refusal(host, old).await, "session_time");

    let once = good();
    assert!(Refusal::decode(&friend.ask(host, once.clone()).await).is_err(), "the first time it is granted");
    assert_eq!(friend.refusal(host, once).await, "session_replayed");

    let mut malformed = 0;
    for length in [0, 1, 4, 100, good().len() - 1] {
        assert_eq!(friend.refusal(host, good()[..length].to_vec()).await, "malformed_session_message", "{length}");
        malformed += 1;
    }
    assert_eq!(friend.refusal(host, vec![b'L'; 500_000]).await, "session_too_large");
    for at in (4..good().len()).step_by(17) {
        let mut changed = good();
        changed[at] ^= 4;
        let code = friend.refusal(host, changed).await;
        malformed += u64::from(code == "malformed_session_message");
    }

    world.refused("untrusted_issuer", 1).await;
    world.refused("session_replayed", 1).await;
    world.refused("session_time", 1).await;
    world.refused("malformed_session_message", malformed).await;
    world.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_must_not_be_believed_run_nothing() {
    let Some(world) = World::new().await else { return };
    let (mut peer, host) = (world.friend().await, world.host);
    let session = peer.session(host).await;
    let another = peer.session(host).await;
    let origin = Entity::actor(&world.echo);
    let make = |session: &Granted, key: &MacKey, number| batch(session.session, key, &origin, &world.echo, number);
    let good = |number| make(&session, &session.keys.calls, number);

    // Sent again: carried out once. What comes out of order is carried out.
    for sent in [good(1), good(1), good(3), good(2), good(3), good(1)] {
        peer.send(host, sent).await;
    }
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(peer.answer(&session).await.0);
    }
    answers.sort_unstable();
    assert_eq!(answers, [1, 2, 3]);
    world.refused("session_replayed", 3).await;

    // Another key: of the other direction, of another session, of nobody.
    for key in [&session.keys.answers, &another.keys.calls, &MacKey::new([0; 32])] {
        peer.send(host, make(&session, key, 10)).await;
    }
    // Any byte changed, from the number on.
    let (whole, mut changes) = (good(10), 0);
    for at in (20..whole.len()).step_by(7) {
        let mut changed = whole.to_vec();
        changed[at] ^= 0x10;
        peer.send(host, changed.into()).await;
        changes += 1;
    }
    for length in [whole.len() - 1, whole.len() - 32] {
        peer.send(host, whole.slice(..length)).await;
        changes += 1;
    }
    world.refused("session_code", 3 + changes).await;

    // Too short, no batch at all, and answers where calls belong.
    let answers = Draft::new(BatchKind::Answers, session.session).finish(11, &session.keys.calls);
    for bad in [Bytes::new(), whole.slice(..40), Bytes::from_static(&[0xff; 2000]), answers] {
        peer.send(host, bad).await;
    }
    world.refused("malformed_session_message", 4).await;

    // The session goes on, as if nothing had been.
    peer.send(host, good(10)).await;
    assert_eq!(peer.answer(&session).await, result(10));
    world.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_known_is_answered_with_a_signed_word() {
    let Some(world) = World::new().await else { return };
    let (peer, host) = (world.friend().await, world.host);
    let (nobody, key) = (SessionId::random(), MacKey::new([1; 32]));
    let origin = Entity::actor(&world.echo);
    let subject = RpcSubject::Calls(host).render(&peer.lattice);
    let word =
        peer.client.request(subject, batch(nobody, &key, &origin, &world.echo, 5)).await.expect("a word").payload;
    let trusted = [peer.parties(host).cluster].into();
    let believed = Unknown::accept(&word, (&peer.lattice, &host), (nobody, 5), &trusted).expect("it is signed");
    assert_eq!(believed.session, nobody);
    world.refused("unknown_session", 1).await;
    world.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_allows_no_more_than_a_signed_invocation() {
    let Some(world) = World::new().await else { return };
    let (mut peer, host) = (world.friend().await, world.host);
    let session = peer.session(host).await;
    let provider = |contract: &str| Entity {
        public_key: KeyPair::generate(KeyKind::Service).public().to_string(),
        link_name: "default".to_owned(),
        contract_id: contract.to_owned(),
    };
    let absent = ActorId::try_from(KeyPair::generate(KeyKind::Module).public()).expect("an actor key");
    let nobody = Entity { public_key: "nobody".to_owned(), ..Entity::default() };
    let cases = [
        (Entity::actor(&absent), world.echo, "unauthorized"),
        (provider("wasmcloud:httpserver"), world.echo, "not_linked"),
        (provider("wasmcloud:keyvalue"), world.echo, "not_granted"),
        (nobody, world.echo, "unauthorized"),
        (Entity::actor(&world.echo), absent, "not_running"),
    ];
    for (number, (origin, target, expected)) in (1..).zip(cases) {
        peer.send(host, batch(session.session, &session.keys.calls, &origin, &target, number)).await;
        let (answered, answer) = peer.answer(&session).await;
        let Answer::Failure { begun, code, sentence } = answer else { panic!("{expected}: {answer:?}") };
        assert_eq!((answered, begun, code.as_str()), (number, false, expected), "{sentence}");
    }
}

/// A batch of one call of the echo actor to a gate.
fn batch_to(gate: &Gate, session: &Granted, echo: &ActorId, number: u32) -> Bytes {
    let (origin, trace) = (Entity::actor(echo), BTreeMap::new());
    let payload = relay(&gate.id, "Gate.Pass", number.to_string().as_bytes());
    let call = CallParts { origin: &origin, target: echo, operation: RELAY, trace: &trace, payload: &payload };
    let mut draft = Draft::new(BatchKind::Calls, session.session);
    draft.add(|to| call.write(number, LONG, to));
    draft.finish(u64::from(number), &session.keys.calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_says_which_batch_was_the_last_and_answers_what_it_has_begun() {
    let Some(mut world) = World::new().await else { return };
    let (mut peer, host) = (world.friend().await, world.host);
    let gate = Gate::start(world.lattice.nats.client().await, world.lattice.name()).await;
    let session = peer.session(host).await;
    let mut idle = world.friend().await;
    let unused = idle.session(host).await;
    peer.send(host, batch_to(&gate, &session, &world.echo, 1)).await;
    gate.reached(1).await;
    let echo = world.echo;
    let told = async {
        assert_eq!(peer.next(&session).await, FromCallee::Last { batch: 1 });
        assert_eq!(idle.next(&unused).await, FromCallee::Last { batch: 0 });
        let (question, _) = Hello::ask(peer.parties(host), 600, &peer.cluster, now());
        assert_eq!(peer.refusal(host, question).await, "session_host", "no more sessions");
        peer.send(host, batch_to(&gate, &session, &echo, 2)).await;
        gate.let_through(2);
        assert_eq!(peer.answer(&session).await, result(1));
    };
    tokio::join!(world.lattice.stop("a"), told);
    assert!(peer.read.is_empty(), "{:?}", peer.read);
    assert_eq!(gate.arrived(), 1, "the call that came after the last batch is not made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_in_the_middle_of_a_call_says_so() {
    let Some(world) = World::new().await else { return };
    let (mut peer, host) = (world.friend().await, world.host);
    let gate = Gate::start(world.lattice.nats.client().await, world.lattice.name()).await;
    let session = peer.session(host).await;
    peer.send(host, batch_to(&gate, &session, &world.echo, 1)).await;
    gate.reached(1).await;
    let told = async {
        assert_eq!(peer.next(&session).await, FromCallee::Last { batch: 1 });
        let (number, answer) = peer.answer(&session).await;
        let Answer::Failure { begun, code, sentence } = answer else { panic!("{answer:?}") };
        assert_eq!((number, begun, code.as_str()), (1, true, "unreachable"), "{sentence}");
    };
    world.lattice.operator().await.control.stop_host(&host, Some(200)).await.expect("it stops");
    told.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_logged_once() {
    let Some(mut lattice) = TestLattice::start_processes(["a"]).await else { return };
    let peer = Peer::new(&lattice, lattice.cluster().clone()).await;
    let host = lattice.id("a");
    for _ in 0..50 {
        assert_eq!(peer.refusal(host, vec![1, 2, 3, 4]).await, "malformed_session_message");
    }
    peer.session(host).await;
    let log = lattice.process("a").log();
    assert_eq!(log.matches("a session message is refused").count(), 1, "{log}");
}
