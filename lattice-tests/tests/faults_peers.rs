//! Invocations that a host must not believe, over bare NATS: each is answered with what is wrong with it, counted, and the
//! host serves on. (Handshakes and batches of sessions: `sessions.rs`.)

mod faults_support;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ActorId, HostId, KeyKind, KeyPair};
use faults_support::{any_actor, figure};
use host::AdminAddress;
use lattice::{
    invocation::{ERROR_CODE_HEADER, Entity, Invocation, InvocationResponse},
    subject::RpcSubject,
};
use lattice_tests::{Actor, Signer, TestLattice, free_address, get, now};

/// A host that is talked to by somebody who is no host.
struct World {
    lattice: TestLattice,
    client: async_nats::Client,
    echo: ActorId,
    admin: SocketAddr,
    slowest: Duration,
    refused: usize,
    _signer: Signer,
}

impl World {
    async fn new() -> Option<Self> {
        let admin = free_address();
        let with_pages = |config: &mut host::HostConfig| config.admin_address = Some(AdminAddress(admin));
        let lattice = TestLattice::start_with(["a"], with_pages).await?;
        let signer = Signer::default();
        let echo = signer.actor(Actor::Echo);
        lattice.operator().await.start_actor(&lattice.id("a"), &echo.reference()).await.expect("it starts");
        let client = lattice.nats.client().await;
        let (slowest, refused) = (Duration::ZERO, 0);
        Some(Self { lattice, client, echo: echo.id, admin, slowest, refused, _signer: signer })
    }

    /// An invocation of the echo actor, signed by this key.
    fn signed_by(&self, cluster: &KeyPair, target: &ActorId) -> Invocation {
        let host: HostId = KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key");
        let (origin, target) = (Entity::actor(&self.echo), Entity::actor(target));
        let call =
            Invocation::issue(origin, target, "Test.Echo", Bytes::from_static(b"payload"), cluster, &host, now());
        call.expect("a cluster key can sign")
    }

    fn good(&self) -> Invocation {
        self.signed_by(self.lattice.cluster(), &self.echo)
    }

    /// Sends bytes to the actor; the answer, and the code of a failure.
    async fn send(&self, message: Bytes) -> (InvocationResponse, Option<String>) {
        let subject = RpcSubject::Actor(self.echo).render(self.lattice.name());
        let answer = self.client.request(subject, message).await.expect("whoever asks is answered");
        let code = answer.headers.as_ref().and_then(|headers| headers.get(ERROR_CODE_HEADER)).map(ToString::to_string);
        (InvocationResponse::decode(&answer.payload).expect("an answer can be read"), code)
    }

    async fn is_refused(&mut self, what: &str, message: Bytes, code: &str, words: &str) {
        let started = Instant::now();
        let (answer, found) = self.send(message).await;
        self.slowest = self.slowest.max(started.elapsed());
        self.refused += 1;
        let error = answer.error.unwrap_or_else(|| panic!("{what} must be refused"));
        assert_eq!(found.as_deref(), Some(code), "{what}: {error}");
        assert!(error.contains(words), "{what}: {error}");
        assert!(answer.msg.is_empty(), "{what}");
    }

    /// How many calls were refused as unbelievable, by code.
    async fn counted(&self, code: &str) -> usize {
        let page = get(self.admin, "/metrics").await;
        let is_ours = |line: &&str| {
            line.starts_with("lattice_calls_total{")
                && line.contains(r#"contract="unverified""#)
                && line.contains(&format!(r#"outcome="{code}""#))
        };
        let counts = page.lines().filter(is_ours).filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
        counts.sum()
    }

    async fn serves_on(&self) {
        let (answer, _) = self.send(self.good().encode()).await;
        assert_eq!((answer.error, &answer.msg[..]), (None, &b"payload"[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_invocation_is_answered_as_malformed() {
    let Some(mut world) = World::new().await else { return };
    let whole = world.good().encode();
    let (mut cases, end) = (vec![Bytes::new(), Bytes::from(vec![0xff; 100]), Bytes::from_static(b"{}")], whole.len());
    cases.extend([1, 10, end / 2, end - 1].map(|length| whole.slice(..length)));
    cases.push(Bytes::from(vec![0xc1; 1_000_000])); // as large as the server lets pass
    cases.push(Bytes::from_static(&[0xdd, 0xff, 0xff, 0xff, 0xff])); // a list of four thousand million
    cases.push(Bytes::from(vec![0x91; 500_000])); // lists in lists in lists
    let count = cases.len();
    for (number, case) in cases.into_iter().enumerate() {
        world.is_refused(&format!("case {number}"), case, "malformed", "invocation").await;
    }
    assert_eq!(world.counted("malformed").await, count);
    world.serves_on().await;
    figure(
        "malformed and oversized invocations",
        &format!("{count} refused as malformed, slowest {:.0?}", world.slowest),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_as_it_must_be_is_answered_as_unauthorized() {
    let Some(mut world) = World::new().await else { return };
    let stranger = KeyPair::generate(KeyKind::Cluster);
    let untrusted = world.signed_by(&stranger, &world.echo).encode();
    world.is_refused("an untrusted key", untrusted, "unauthorized", "issuer").await;
    let other = any_actor();
    let elsewhere = world.signed_by(world.lattice.cluster(), &other).encode();
    world.is_refused("one for another actor", elsewhere, "unauthorized", "another target").await;
    let redirected =
        Invocation { target: Entity::actor(&world.echo), ..world.signed_by(world.lattice.cluster(), &other) };
    world.is_refused("one turned to this actor", redirected.encode(), "unauthorized", "target").await;
    let changed = Invocation { msg: Bytes::from_static(b"Payload"), ..world.good() };
    world.is_refused("another body", changed.encode(), "unauthorized", "hash").await;
    let emptied = Invocation { msg: Bytes::new(), content_length: 0, ..world.good() };
    world.is_refused("no body", emptied.encode(), "unauthorized", "hash").await;
    let changed = Invocation { operation: "Test.Other".to_owned(), ..world.good() };
    world.is_refused("another operation", changed.encode(), "unauthorized", "target").await;
    let changed = Invocation { origin: Entity::actor(&other), ..world.good() };
    world.is_refused("another caller", changed.encode(), "unauthorized", "origin").await;
    let unsigned = Invocation { encoded_claims: String::new(), ..world.good() };
    world.is_refused("no signature", unsigned.encode(), "unauthorized", "claims").await;
    let (head, signature) =
        world.good().encoded_claims.rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a token");
    let of_another = world.good().encoded_claims.rsplit_once('.').expect("a token").1.to_owned();
    assert_ne!(signature, of_another);
    let forged = Invocation { encoded_claims: format!("{head}.{of_another}"), ..world.good() };
    world.is_refused("a signature of another token", forged.encode(), "unauthorized", "signature").await;

    let once = world.good().encode();
    assert_eq!(world.send(once.clone()).await.0.error, None, "the first time it is carried out");
    world.is_refused("a replay", once.clone(), "unauthorized", "seen before").await;
    let renamed = Invocation { id: "another".to_owned(), ..Invocation::decode(&once).expect("it is one") };
    world.is_refused("a replay under another id", renamed.encode(), "unauthorized", "seen before").await;

    assert_eq!(world.counted("unauthorized").await, world.refused);
    world.serves_on().await;
    figure(
        "invocations not to be believed",
        &format!("{} refused as unauthorized, slowest {:.0?}", world.refused, world.slowest),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_that_are_announced_and_do_not_exist_are_answered_soon() {
    let Some(mut world) = World::new().await else { return };
    let announced = |length| Invocation { msg: Bytes::new(), content_length: length, ..world.good() };
    let (endless, missing) = (announced(u64::MAX).encode(), announced(2 << 20).encode());
    world.is_refused("more than any actor may be given", endless, "limit_exceeded", "at most").await;
    world.is_refused("one that is not in the object store", missing, "malformed", "object store").await;
    world.serves_on().await;
    figure("payloads announced and not there", &format!("refused, slowest {:.0?}", world.slowest));
}
