//! Payloads that arrive have one bound for all of them, however they come: in a message, through the object store, in a
//! session between hosts. It is that of the process, in which the hosts of a test are: hence one test.

use std::time::Duration;

use bytes::Bytes;
use claims::ActorId;
use contracts::{Budget, CallError};
use host::{AdminAddress, HostConfig};
use lattice_tests::{Actor, Caller, Gate, RELAY, Signer, TestLattice, eventually, free_address, get, relay};
use tokio::task::JoinHandle;

/// The least that there can be.
const ALL: u64 = 64 << 20;
/// Below what goes through the object store, and above it.
const IN_MESSAGE: usize = 800_000;
const STORED: usize = 3 << 20;
/// Longer than all of it takes on a loaded machine.
const LONG: Duration = Duration::from_secs(60);

/// Of the sentence of a refusal.
const FULL: &str = "the 67108864 bytes that this host has for the bodies";

type Call = JoinHandle<Result<Bytes, CallError>>;

/// An actor of one instance, which stands still in its first call: what comes meanwhile waits with its payload.
struct World {
    lattice: TestLattice,
    gate: Gate,
    callee: ActorId,
    /// Passes calls on from another host.
    relay: ActorId,
    _signer: Signer,
}

impl World {
    async fn new(change: impl Fn(&mut HostConfig)) -> Option<Self> {
        let lattice = TestLattice::start_with(["a", "b"], change).await?;
        let (operator, signer) = (lattice.operator().await, Signer::default());
        let (passing, waiting) = (signer.actor(Actor::Echo), signer.actor(Actor::Echo));
        operator.scale(&lattice.id("a"), &passing.reference(), 100).await.expect("it starts");
        operator.scale(&lattice.id("b"), &waiting.reference(), 1).await.expect("it starts");
        let gate = Gate::start(lattice.nats.client().await, lattice.name()).await;
        Some(Self { lattice, gate, callee: waiting.id, relay: passing.id, _signer: signer })
    }

    /// The argument with which the callee calls the gate.
    fn argument(&self, size: usize) -> Bytes {
        relay(&self.gate.id, "Test.Echo", &vec![7; size])
    }

    fn signed(&self, caller: &Caller, size: usize) -> Call {
        let (caller, callee, argument) = (caller.within(LONG), self.callee, self.argument(size));
        tokio::spawn(async move { caller.call(&callee, RELAY, argument).await })
    }

    fn in_session(&self, size: usize) -> Call {
        let (caller, relayed) = (self.lattice.caller("a").within(LONG), self.relay);
        let argument = relay(&self.callee, RELAY, &self.argument(size));
        tokio::spawn(async move { caller.call(&relayed, RELAY, argument).await })
    }

    /// Makes calls, each when the one before is held, until one is refused; then lets all others end.
    async fn fill(&self, what: &str, size: usize, call: impl Fn(usize) -> Call) -> CallError {
        let (bodies, arrived) = (Budget::bodies(), self.gate.arrived());
        let first = call(0);
        self.gate.reached(arrived + 1).await;
        let held_by_first = still(what, size).await;
        let mut held = Vec::new();
        let refused = loop {
            let next = call(held.len() + 1);
            let expected = held_by_first + (held.len() as u64 + 1) * size as u64;
            eventually(&format!("{what}: call {} is held, or ends", held.len()), || async {
                if bodies.used() >= expected || next.is_finished() { Ok(()) } else { Err(bodies.used()) }
            })
            .await;
            assert!(bodies.used() <= ALL, "{what}: never more than there is");
            if next.is_finished() {
                break next.await.expect("no panic").expect_err("it is refused");
            }
            held.push(next);
        };
        let whole = ALL as usize / size;
        assert!((whole / 2..=whole).contains(&held.len()), "{what}: {} of {whole} were held", held.len());
        self.gate.let_through(held.len() + 1);
        // Their results need room too, of which there is none until the first of them have ended.
        for call in held.into_iter().chain([first]) {
            if let Err(error) = call.await.expect("no panic") {
                assert!(error.to_string().contains(FULL), "{what}: {error}");
            }
        }
        is_given_back(what).await;
        self.gate.let_through(1);
        call(0).await.expect("no panic").unwrap_or_else(|error| panic!("{what}: there is room again: {error}"));
        refused
    }
}

/// What is held once nothing moves any more: no more than one payload.
async fn still(what: &str, size: usize) -> u64 {
    eventually(&format!("{what}: nothing moves"), || async {
        let before = Budget::bodies().used();
        tokio::time::sleep(Duration::from_millis(200)).await; // what is looked at
        let after = Budget::bodies().used();
        if before == after && after < 2 * size as u64 { Ok(after) } else { Err(format!("{before}, then {after}")) }
    })
    .await
}

async fn is_given_back(what: &str) {
    eventually(&format!("{what}: all of it is given back"), || async {
        match Budget::bodies().used() {
            0 => Ok(()),
            used => Err(used),
        }
    })
    .await;
}

/// A value of the page of metrics.
async fn metric(page: std::net::SocketAddr, name: &str) -> u64 {
    let page = get(page, "/metrics").await;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no `{name}`: {page}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_that_arrive_have_a_bound_together_and_what_does_not_fit_is_busy() {
    let page = free_address();
    let change = |config: &mut HostConfig| {
        config.runtime.body_memory_bytes = Some(ALL);
        if config.labels["host"] == "b" {
            config.admin_address = Some(AdminAddress(page));
        }
    };
    let Some(world) = World::new(change).await else { return };
    let caller = world.lattice.signed_caller().await;
    for (what, size) in [("in a message", IN_MESSAGE), ("through the object store", STORED)] {
        let refused = world.fill(what, size, |_| world.signed(&caller, size)).await;
        assert_eq!(refused.code(), "busy", "{what}: {refused}");
        assert!(refused.to_string().contains(FULL), "{refused}");
    }
    // The word of the actor that passes it on.
    let refused = world.fill("in a session", IN_MESSAGE, |_| world.in_session(IN_MESSAGE)).await;
    assert!(refused.to_string().contains(FULL), "{refused}");
    assert_eq!(world.lattice.session_refusals("b"), [].into(), "no batch was refused as a whole");

    assert_eq!(metric(page, "lattice_body_memory_max_bytes").await, ALL);
    assert_eq!(metric(page, "lattice_body_memory_bytes").await, 0);
    assert!(metric(page, "lattice_body_memory_refused_total").await >= 3);
    assert!(metric(page, "lattice_guest_memory_bytes").await <= metric(page, "lattice_guest_memory_max_bytes").await);
}
