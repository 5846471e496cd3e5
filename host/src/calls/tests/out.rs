//! Calls out of an actor: to a provider of this host, to an actor that runs nowhere.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use contracts::{CallError, TraceContext};
use lattice_state::store::Standing;
use runtime::{Outbound, OutboundCall, OutboundTarget};

use crate::{
    actors::{ActorCalls, RevokedFlag},
    calls::{ActorOutbound, Calls},
    failures::Peer,
    settings::PolicyDefault,
    testing::{CONTRACT, Fake, World, account, actor, link, provider},
};

struct Guest {
    outbound: Arc<ActorOutbound>,
    flag: RevokedFlag,
    counted: Arc<ActorCalls>,
}

fn guest(calls: &Arc<Calls>, grants: &[&str]) -> Guest {
    let (flag, counted) = (RevokedFlag::default(), Arc::<ActorCalls>::default());
    let grants: Vec<String> = grants.iter().map(|grant| (*grant).to_owned()).collect();
    let outbound = ActorOutbound::new(calls, actor(1), grants.into(), flag.clone(), counted.clone());
    Guest { outbound, flag, counted }
}

fn call(target: OutboundTarget) -> OutboundCall {
    OutboundCall {
        target,
        operation: "Do".to_owned(),
        payload: Bytes::from_static(b"hello"),
        deadline: Instant::now() + Duration::from_secs(5),
        trace: TraceContext::default(),
    }
}

fn over_link(link_name: &str) -> OutboundTarget {
    OutboundTarget::Link { contract: CONTRACT.to_owned(), link_name: link_name.to_owned() }
}

fn to_actor(name: &str) -> OutboundTarget {
    OutboundTarget::Actor { name: name.to_owned() }
}

fn unresolved(binding: &str, namespace: &str) -> OutboundTarget {
    OutboundTarget::Unresolved { binding: binding.to_owned(), namespace: namespace.to_owned() }
}

/// A world with a fake provider that `actor(1)` is linked to.
async fn linked() -> (World, Arc<Fake>) {
    let (world, fake) = (World::new(), Arc::<Fake>::default());
    world.embed(provider(1), &fake);
    world.put_link(&link(actor(1), provider(1))).await;
    (world, fake)
}

fn counted(guest: &Guest) -> Vec<(String, String, u64)> {
    let rows = guest.counted.made.counted();
    rows.iter().map(|row| (row.contract.to_owned(), row.outcome.to_owned(), row.count)).collect()
}

#[tokio::test]
async fn a_provider_of_this_host_is_called_in_this_process() {
    let (world, fake) = linked().await;
    let calls = world.calls(None);
    let guest = guest(&calls, &[CONTRACT]);
    let answer = guest.outbound.call(call(over_link("default"))).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"hello")));
    assert_eq!(fake.seen(), ["Do"]);
    assert_eq!(counted(&guest), [(CONTRACT.to_owned(), "ok".to_owned(), 1)]);
}

#[tokio::test]
async fn what_the_claims_do_not_name_is_not_called_whatever_is_linked() {
    let (world, fake) = linked().await;
    let calls = world.calls(None);
    let guest = guest(&calls, &[]);
    let refused = guest.outbound.call(call(over_link("default"))).await.expect_err("it is not granted");
    assert_eq!(refused.code(), "not_granted");
    assert!(fake.seen().is_empty());
    assert_eq!(counted(&guest), [(CONTRACT.to_owned(), "not_granted".to_owned(), 1)]);
}

#[tokio::test]
async fn what_is_not_linked_is_not_called_and_remembered() {
    let (world, fake) = linked().await;
    let calls = world.calls(None);
    let guest = guest(&calls, &[CONTRACT]);
    let refused = guest.outbound.call(call(over_link("other"))).await.expect_err("it is not linked");
    assert_eq!(refused.code(), "not_linked");
    assert!(fake.seen().is_empty());
    let records = world.failures.about(Some(&actor(1)), |peer| matches!(peer, Peer::Link { .. }));
    assert!(records.iter().any(|record| record.code == "not_linked"), "{records:?}");
}

#[tokio::test]
async fn a_failure_of_a_provider_is_open_until_the_same_call_works() {
    let (world, fake) = linked().await;
    let calls = world.calls(None);
    let guest = guest(&calls, &[CONTRACT]);
    let error = CallError::Reported { message: "no".to_owned() };
    *fake.fails.lock().expect("not poisoned") = Some(error.clone());
    assert_eq!(guest.outbound.call(call(over_link("default"))).await, Err(error));
    let open = || world.failures.about(Some(&actor(1)), |_| false).into_iter().filter(|f| f.over_at.is_none()).count();
    assert_eq!(open(), 1);
    *fake.fails.lock().expect("not poisoned") = None;
    guest.outbound.call(call(over_link("default"))).await.expect("it works again");
    assert_eq!(open(), 0);
}

#[tokio::test]
async fn a_revoked_actor_calls_nothing_from_the_moment_its_flag_is_set() {
    let (world, fake) = linked().await;
    let calls = world.calls(None);
    let guest = guest(&calls, &[CONTRACT]);
    guest.flag.set();
    let refused = guest.outbound.call(call(over_link("default"))).await.expect_err("it is revoked");
    assert_eq!(refused.code(), "unauthorized");
    assert_eq!(guest.outbound.config().await.expect_err("it is revoked").code(), "unauthorized");
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_policy_that_denies_stands_before_the_provider() {
    let (world, fake) = linked().await;
    let calls = world.calls(Some(PolicyDefault::Deny));
    let guest = guest(&calls, &[CONTRACT]);
    let refused = guest.outbound.call(call(over_link("default"))).await.expect_err("nobody permits it");
    assert_eq!(refused.code(), "policy_unanswered");
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn an_actor_that_has_no_such_name_is_unknown() {
    let world = World::new();
    let calls = world.calls(None);
    let refused = guest(&calls, &[]).outbound.call(call(to_actor("nobody"))).await.expect_err("unknown");
    assert_eq!(refused.code(), "unknown_actor");
}

#[tokio::test]
async fn an_actor_is_found_by_its_alias_and_by_its_key_and_does_not_run_without_a_lattice() {
    let world = World::new();
    world.know_actor(actor(2), account(1), &[]).await;
    let calls = world.calls(None);
    let guest = guest(&calls, &[]);
    for name in ["alias", actor(2).as_str()] {
        let refused = guest.outbound.call(call(to_actor(name))).await.expect_err("it runs nowhere");
        assert_eq!(refused, CallError::NotRunning { target: actor(2).to_string() }, "{name}");
    }
}

#[tokio::test]
async fn a_provider_that_runs_elsewhere_is_not_reached_without_a_lattice() {
    let world = World::new();
    world.put_link(&link(actor(1), provider(1))).await;
    let calls = world.calls(None);
    let refused = guest(&calls, &[CONTRACT]).outbound.call(call(over_link("default"))).await;
    assert_eq!(refused, Err(CallError::NotRunning { target: provider(1).to_string() }));
}

#[tokio::test]
async fn what_a_module_calls_without_saying_what_it_is_may_be_a_link_or_an_actor() {
    let (world, fake) = linked().await;
    world.know_actor(actor(2), account(1), &[]).await;
    let calls = world.calls(None);
    let guest = guest(&calls, &[CONTRACT]);
    guest.outbound.call(call(unresolved("", CONTRACT))).await.expect("the default link");
    guest.outbound.call(call(unresolved("default", CONTRACT))).await.expect("the link of that name");
    assert_eq!(fake.seen().len(), 2);
    let code = |outcome: Result<Bytes, CallError>| outcome.expect_err("it leads nowhere").code().to_owned();
    assert_eq!(code(guest.outbound.call(call(unresolved("other", CONTRACT))).await), "not_linked");
    assert_eq!(code(guest.outbound.call(call(unresolved("", "alias"))).await), "not_running");
    assert_eq!(code(guest.outbound.call(call(unresolved("", "nobody"))).await), "unknown_actor");
}

#[tokio::test]
async fn an_actor_reads_its_own_configuration_and_no_others() {
    let world = World::new();
    for (id, value) in [(actor(1), "mine"), (actor(2), "theirs")] {
        let entity = id.public_key();
        world.store.put_config(Standing::Known, &entity, "key", Bytes::from(value)).await.expect("kept");
    }
    let calls = world.calls(None);
    let config = guest(&calls, &[]).outbound.config().await.expect("it may");
    assert_eq!(config.into_iter().collect::<Vec<_>>(), [("key".to_owned(), b"mine".to_vec())]);
}

#[tokio::test]
async fn a_guest_that_outlives_its_host_hears_that_it_is_going() {
    let world = World::new();
    let calls = world.calls(None);
    let guest = guest(&calls, &[CONTRACT]);
    drop(calls);
    let refused = guest.outbound.call(call(over_link("default"))).await.expect_err("there is no host");
    assert_eq!(refused.code(), "unreachable");
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_does_not_keep_the_deadline_is_ended() {
    let began = tokio::time::Instant::now();
    let deadline = Instant::now() + Duration::from_millis(100);
    let never = std::future::pending::<Result<(), CallError>>();
    let ended = crate::calls::out::within(deadline, "waiting", never).await.expect_err("it never answers");
    assert_eq!(ended.code(), "deadline_exceeded");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_in_time_is_handed_on_as_it_is() {
    let deadline = Instant::now() + Duration::from_secs(5);
    assert_eq!(crate::calls::out::within(deadline, "waiting", async { Ok(7) }).await, Ok(7));
    let error = CallError::Reported { message: "no".to_owned() };
    let failed = crate::calls::out::within::<()>(deadline, "waiting", std::future::ready(Err(error.clone()))).await;
    assert_eq!(failed, Err(error));
}
