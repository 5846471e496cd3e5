//! Calls from one host to another: in sessions, signed one by one, and from one to the other without a wrong answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use claims::ActorId;
use contracts::CallError;
use futures_util::{StreamExt, future::join_all};
use lattice_tests::{
    Actor, Caller, Gate, RELAY, Signed, Signer, TestLattice, eventually, eventually_within, relay, subscribe,
};
use tokio_util::sync::CancellationToken;

/// More than any call here takes on a loaded machine.
const LONG: Duration = Duration::from_secs(20);

/// What travels over a subject, counted.
struct Spy(Arc<AtomicUsize>);

impl Spy {
    async fn on(lattice: &TestLattice, tail: &str) -> Self {
        let client = lattice.nats.client().await;
        let subject = format!("wasmbus.rpc.{}.{tail}", lattice.name());
        let mut messages = subscribe(&client, subject).await;
        let count = Arc::new(AtomicUsize::new(0));
        let counting = count.clone();
        tokio::spawn(async move {
            while messages.next().await.is_some() {
                counting.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self(count)
    }

    fn seen(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Host `a` runs an actor that relays calls, the others one that is called.
struct Pair {
    lattice: TestLattice,
    signer: Signer,
    relay: ActorId,
    callee: Signed<ActorId>,
}

impl Pair {
    async fn of(lattice: TestLattice, callees: &[&str], max_instances: u32) -> Self {
        let (operator, signer) = (lattice.operator().await, Signer::default());
        let (caller, callee) = (signer.actor(Actor::Echo), signer.actor(Actor::Echo));
        operator.start_actor(&lattice.id("a"), &caller.reference()).await.expect("it starts");
        for name in callees {
            operator.scale(&lattice.id(name), &callee.reference(), max_instances).await.expect("it starts");
        }
        Self { lattice, signer, relay: caller.id, callee }
    }

    async fn two() -> Option<Self> {
        Some(Self::of(TestLattice::start(["a", "b"]).await?, &["b"], 100).await)
    }

    async fn call(&self, payload: &[u8], timeout: Duration) -> Result<Bytes, CallError> {
        let argument = relay(&self.callee.id, "Test.Echo", payload);
        self.lattice.caller("a").within(timeout).call(&self.relay, RELAY, argument).await
    }

    /// Calls until a call travels in a batch.
    async fn in_session(&self) {
        let batches = Spy::on(&self.lattice, "*.calls").await;
        eventually("a call in a session", || async {
            let answer = self.call(b"first", LONG).await.map_err(|error| error.to_string())?;
            assert_eq!(answer, &b"first"[..]);
            if batches.seen() > 0 { Ok(()) } else { Err("signed".to_owned()) }
        })
        .await;
    }

    /// A call of the relay to the callee and on to the gate, which it is the `arrives`th to reach. Until `a` has heard
    /// that others run the callee, it turns the call away when its own is full.
    async fn hold_from_a(&self, gate: &Gate, arrives: usize) -> tokio::task::JoinHandle<Result<Bytes, CallError>> {
        let argument = relay(&self.callee.id, RELAY, &relay(&gate.id, "Gate.Pass", b"held"));
        loop {
            let (caller, relay_id, argument) = (self.lattice.caller("a"), self.relay, argument.clone());
            let mut held = tokio::spawn(async move { caller.within(2 * LONG).call(&relay_id, RELAY, argument).await });
            tokio::select! {
                () = gate.reached(arrives) => return held,
                ended = &mut held => {
                    let refused = ended.expect("no panic").expect_err("the gate is closed");
                    assert!(refused.to_string().contains("is busy"), "{refused}");
                }
            }
        }
    }

    /// Gives the callee on a host one place and no queue.
    async fn narrow(&self, name: &str) {
        let operator = self.lattice.operator().await;
        let limits = [("queue", "0"), ("max-concurrent", "1")];
        operator.limit(&self.lattice.id(name), &self.callee.reference(), &limits).await.expect("it is limited");
    }
}

/// A call of the callee to the gate, made at a host that runs it; it holds one place there.
fn hold(caller: Caller, callee: ActorId, gate: ActorId) -> tokio::task::JoinHandle<Result<Bytes, CallError>> {
    tokio::spawn(async move { caller.within(LONG).call(&callee, RELAY, relay(&gate, "Gate.Pass", b"held")).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_between_hosts_travel_in_batches_and_not_one_by_one() {
    let Some(pair) = Pair::two().await else { return };
    pair.in_session().await;
    let (batches, signed) =
        (Spy::on(&pair.lattice, "*.calls").await, Spy::on(&pair.lattice, pair.callee.id.as_str()).await);
    let payloads: Vec<String> = (0..256).map(|number| format!("call {number}")).collect();
    let answers = join_all(payloads.iter().map(|payload| pair.call(payload.as_bytes(), LONG))).await;
    for (payload, answer) in payloads.iter().zip(answers) {
        assert_eq!(answer.as_deref(), Ok(payload.as_bytes()));
    }
    // Some share a message. Which ones do is chance here, and decided in `crates/sessions/src/batch_writer/model.rs`.
    assert!(batches.seen() < 256, "{} batches for 256 calls at once", batches.seen());
    assert_eq!(signed.seen(), 0, "nothing is signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_every_size_arrive_whole_in_both_directions() {
    let Some(pair) = Pair::two().await else { return };
    let local = pair.signer.actor(Actor::Echo);
    pair.lattice.operator().await.start_actor(&pair.lattice.id("a"), &local.reference()).await.expect("it starts");
    pair.in_session().await;
    const KIB: usize = 1024;
    for size in [0, 1, 900 * KIB - 1, 900 * KIB, 900 * KIB + 1, KIB * KIB - 1, KIB * KIB, KIB * KIB + 1] {
        let payload: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("below 256")).collect();
        for (where_, actor) in [("remote", pair.callee.id), ("local", local.id)] {
            let argument = relay(&actor, "Test.Echo", &payload);
            let answer = pair.lattice.caller("a").within(LONG).call(&pair.relay, RELAY, argument).await;
            let answer = answer.unwrap_or_else(|error| panic!("{where_}, {size} bytes: {error}"));
            assert!(answer == payload, "{where_}, {size} bytes: {} bytes came back", answer.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_sessions_and_its_peers_call_each_other_signed() {
    let without = |config: &mut host::HostConfig| config.sessions = config.labels["host"] != "b";
    let Some(lattice) = TestLattice::start_with(["a", "b", "c"], without).await else { return };
    let pair = Pair::of(lattice, &["b", "c"], 100).await;
    let (batches, signed) =
        (Spy::on(&pair.lattice, "*.calls").await, Spy::on(&pair.lattice, pair.callee.id.as_str()).await);
    for _ in 0..40 {
        assert_eq!(pair.call(b"x", LONG).await.as_deref(), Ok(&b"x"[..]));
    }
    // One of the hosts that run the actor speaks no sessions: it gets its share through the queue group.
    assert_eq!((batches.seen(), signed.seen()), (0, 40));
    // Once it runs the actor no more, the others are called in sessions.
    let operator = pair.lattice.operator().await;
    operator.stop_actor(&pair.lattice.id("b"), &pair.callee.id).await.expect("it stops");
    pair.in_session().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_actor_passes_calls_on_and_is_busy_at_once_when_all_are_full() {
    let Some(lattice) = TestLattice::start(["a", "b", "c"]).await else { return };
    let pair = Pair::of(lattice, &["a", "b", "c"], 1).await;
    for name in ["a", "b", "c"] {
        pair.narrow(name).await;
    }
    let gate = Gate::start(pair.lattice.nats.client().await, pair.lattice.name()).await;
    // All come to `a`, by its local actor: one stays, the others go on, whoever of the others has room.
    let mut held = Vec::new();
    for calls in 1..=3 {
        held.push(pair.hold_from_a(&gate, calls).await);
    }
    // Not at its deadline, which says so.
    let refused = pair.call(b"one too many", LONG).await.expect_err("all are full");
    assert!(refused.to_string().contains("is busy"), "{refused}");
    // Also for one who knows nothing of sessions, whichever host takes the call.
    let signed = pair.lattice.signed_caller().await;
    let refused = signed.within(LONG).call(&pair.callee.id, "Test.Echo", Bytes::new()).await.expect_err("all are full");
    assert_eq!(refused.code(), "busy", "{refused}");
    gate.let_through(3);
    for call in held {
        assert_eq!(call.await.expect("no panic").as_deref(), Ok(&b"held"[..]));
    }
    assert_eq!(pair.call(b"room again", LONG).await.as_deref(), Ok(&b"room again"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_nothing_of_sessions_is_served_as_long_as_any_host_has_room() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let pair = Pair::of(lattice, &["a", "b"], 1).await;
    pair.narrow("a").await;
    let gate = Gate::start(pair.lattice.nats.client().await, pair.lattice.name()).await;
    let held = hold(pair.lattice.caller("a"), pair.callee.id, gate.id);
    gate.reached(1).await;
    // Knowledge of the other host comes with its events, or is asked for by the first call that needs it.
    let signed = pair.lattice.signed_caller().await;
    let signed = signed.within(LONG);
    let call = || signed.call(&pair.callee.id, "Test.Echo", Bytes::from_static(b"x"));
    eventually("twenty calls in a row that are served", || async {
        for _ in 0..20 {
            call().await.map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    })
    .await;
    for _ in 0..100 {
        assert_eq!(call().await.as_deref(), Ok(&b"x"[..]), "the queue group chooses the full host half of the time");
    }
    gate.let_through(1);
    assert!(held.await.expect("no panic").is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_takes_its_call_with_it() {
    let Some(pair) = Pair::two().await else { return };
    pair.in_session().await;
    pair.narrow("b").await;
    let gate = Gate::start(pair.lattice.nats.client().await, pair.lattice.name()).await;
    let argument = relay(&pair.callee.id, RELAY, &relay(&gate.id, "Gate.Pass", b"held"));
    let (caller, relay_id) = (pair.lattice.caller("a"), pair.relay);
    let held =
        tokio::spawn(async move { caller.within(Duration::from_secs(3600)).call(&relay_id, RELAY, argument).await });
    gate.reached(1).await;
    let refused = pair.call(b"x", LONG).await.expect_err("the only place is taken");
    assert!(refused.to_string().contains("busy"), "{refused}");
    held.abort();
    eventually_within(Duration::from_secs(5), "room, long before the deadline of the call that went", || async {
        pair.call(b"x", LONG).await.map_err(|error| error.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_travel_and_end_the_call_on_both_hosts() {
    let Some(pair) = Pair::two().await else { return };
    pair.in_session().await;
    pair.narrow("b").await;
    let gate = Gate::start(pair.lattice.nats.client().await, pair.lattice.name()).await;
    let argument = relay(&pair.callee.id, RELAY, &relay(&gate.id, "Gate.Pass", b"held"));
    let late = pair.lattice.caller("a").within(Duration::from_millis(800)).call(&pair.relay, RELAY, argument).await;
    let late = late.expect_err("nobody opens the gate");
    assert!(late.to_string().contains("deadline"), "{late}");
    eventually_within(Duration::from_secs(4), "the place on the other host", || async {
        pair.call(b"x", LONG).await.map_err(|error| error.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_arrive_with_their_code() {
    let Some(pair) = Pair::two().await else { return };
    pair.in_session().await;
    let operator = pair.lattice.operator().await;
    let limits = [("payload", "100")];
    operator.limit(&pair.lattice.id("b"), &pair.callee.reference(), &limits).await.expect("it is limited");
    let refused = pair.call(&[0; 101], LONG).await.expect_err("too large an argument");
    assert!(refused.to_string().contains("`payload_bytes` of 100"), "{refused}");
    operator.stop_actor(&pair.lattice.id("b"), &pair.callee.id).await.expect("it stops");
    // A host answers what the broker has given it before it stops.
    eventually("nobody runs it", || async {
        match pair.call(b"x", LONG).await {
            // Not at its deadline, which says so.
            Err(refused) if refused.to_string().contains("not running") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_called_host_under_load_costs_no_call_while_another_serves() {
    let Some(lattice) = TestLattice::start(["a", "b", "c"]).await else { return };
    let mut pair = Pair::of(lattice, &["b", "c"], 100).await;
    pair.in_session().await;
    for _ in 0..3 {
        let stop = CancellationToken::new();
        let callers: Vec<_> = (0..8).map(|_| background(&pair, &stop)).collect();
        pair.lattice.start_again("b").await;
        let b = pair.lattice.id("b");
        let operator = pair.lattice.operator().await;
        let callee = pair.callee.id;
        eventually("the actor on the restarted host", || async {
            let runs = operator.inventory(&b).await.actors.iter().any(|actor| actor.id == callee);
            if runs { Ok(()) } else { Err("not yet") }
        })
        .await;
        stop.cancel();
        let (mut total, mut lost) = (0, Vec::new());
        for caller in callers {
            let (right, failures) = caller.await.expect("no wrong answer");
            total += right;
            lost.extend(failures);
        }
        println!("{total} calls during a restart of the called host, lost: {lost:?}");
        assert!(total > 0 && lost.is_empty(), "{lost:?}");
    }
}

/// Calls without pause until it is told to stop: how many went right, and what went wrong.
fn background(pair: &Pair, stop: &CancellationToken) -> tokio::task::JoinHandle<(usize, Vec<String>)> {
    let (caller, relay_id, callee) = (pair.lattice.caller("a"), pair.relay, pair.callee.id);
    let stop = stop.clone();
    tokio::spawn(async move {
        let (mut right, mut failures) = (0_usize, Vec::new());
        while !stop.is_cancelled() {
            let payload = format!("{right} and {}", failures.len());
            let argument = relay(&callee, "Test.Echo", payload.as_bytes());
            match caller.within(Duration::from_secs(5)).call(&relay_id, RELAY, argument).await {
                Ok(answer) => {
                    assert_eq!(answer, payload.as_bytes(), "a wrong answer");
                    right += 1;
                }
                Err(error) => {
                    failures.push(error.to_string());
                    // A host that is not there refuses without a wait; it must not be all that runs here.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        (right, failures)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_calling_host_leaves_no_wrong_answer_and_no_lost_session() {
    let Some(mut pair) = Pair::two().await else { return };
    pair.in_session().await;
    let stop = CancellationToken::new();
    let callers: Vec<_> = (0..4).map(|_| background(&pair, &stop)).collect();
    pair.lattice.start_again("a").await;
    // Calls at a host that is not there fail; none has the answer of another, which `background` checks.
    eventually("a call after the restart", || async {
        pair.call(b"again", Duration::from_secs(5)).await.map_err(|error| error.to_string())
    })
    .await;
    stop.cancel();
    for caller in callers {
        caller.await.expect("no wrong answer");
    }
    pair.in_session().await;
}
