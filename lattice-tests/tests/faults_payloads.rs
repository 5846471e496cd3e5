//! Payloads as large as anybody sends: whole, or refused with the limit that they break.

mod faults_support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use faults_support::figure;
use lattice_tests::{Actor, Caller, RELAY, Signed, Signer, TestLattice, relay};

const MIB: usize = 1 << 20;
/// For a machine on which everything else is built meanwhile.
const VERY_LONG: Duration = Duration::from_secs(60);

fn payload(bytes: usize) -> Bytes {
    let mut payload = (0..251).collect::<Vec<u8>>().repeat(bytes / 251 + 1);
    payload.truncate(bytes);
    payload.into()
}

/// One call with this payload: "whole", or what it was refused with; and after how long.
async fn outcome(
    caller: &Caller,
    actor: &Signed<claims::ActorId>,
    operation: &str,
    argument: Bytes,
    expected: &Bytes,
) -> (String, Duration) {
    let started = Instant::now();
    let outcome = match caller.within(VERY_LONG).call(&actor.id, operation, argument).await {
        Ok(answer) => {
            assert!(answer == expected, "{} bytes came back", answer.len());
            "whole".to_owned()
        }
        Err(error) => format!("{}: {error}", error.code()),
    };
    (outcome, started.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_mebibytes_pass_whole_to_actors_here_and_elsewhere() {
    let room = |config: &mut host::HostConfig| {
        config.limits.memory_bytes = 1 << 30;
        config.runtime.memory_bytes = 1 << 30;
    };
    let Some(lattice) = TestLattice::start_with(["a", "b"], room).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let (near, far) = (signer.actor(Actor::Echo), signer.actor(Actor::Echo));
    operator.start_actor(&lattice.id("a"), &near.reference()).await.expect("it starts");
    operator.start_actor(&lattice.id("b"), &far.reference()).await.expect("it starts");
    let large = payload(64 * MIB);
    let (here, over_nats) = (lattice.caller("a"), lattice.signed_caller().await);
    let there = relay(&far.id, "Test.Echo", &large);
    let ways = [
        ("local, over the control socket", outcome(&here, &near, "Test.Echo", large.clone(), &large).await),
        ("remote, over NATS", outcome(&over_nats, &far, "Test.Echo", large.clone(), &large).await),
        ("from an actor to one on another host", outcome(&here, &near, RELAY, there, &large).await),
    ];
    for (way, (outcome, after)) in &ways {
        figure("a payload of 64 MiB", &format!("{way}: {outcome} after {after:.1?}"));
    }
    for (way, (outcome, _)) in &ways {
        assert_eq!(outcome, "whole", "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_more_than_an_actor_may_be_given_is_refused_by_name_wherever_it_comes_from() {
    let narrow = |config: &mut host::HostConfig| config.limits.payload_bytes = 2 << 20;
    let Some(lattice) = TestLattice::start_with(["a", "b"], narrow).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let (near, far) = (signer.actor(Actor::Echo), signer.actor(Actor::Echo));
    operator.start_actor(&lattice.id("a"), &near.reference()).await.expect("it starts");
    operator.start_actor(&lattice.id("b"), &far.reference()).await.expect("it starts");
    let (here, over_nats) = (lattice.caller("a"), lattice.signed_caller().await);
    for (bytes, expected) in [(2 * MIB, "whole"), (2 * MIB + 1, "limit_exceeded: "), (64 * MIB, "limit_exceeded: ")] {
        let large = payload(bytes);
        for (way, caller, actor) in [("local", &here, &near), ("remote", &over_nats, &far)] {
            let (outcome, after) = outcome(caller, actor, "Test.Echo", large.clone(), &large).await;
            figure(&format!("{bytes} bytes where 2 MiB are allowed"), &format!("{way}: {outcome} after {after:.1?}"));
            assert!(outcome.starts_with(expected), "{way}, {bytes}: {outcome}");
        }
    }
    let (outcome, _) = outcome(&here, &near, "Test.Echo", payload(257 * MIB), &Bytes::new()).await;
    assert!(outcome.starts_with("limit_exceeded: limit exceeded: the control socket takes"), "{outcome}");
}
