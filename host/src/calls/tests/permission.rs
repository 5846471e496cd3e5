//! Who may call whom, as a table.

use std::time::{Duration, Instant};

use claims::{KeyKind, revocation::Revoked};
use contracts::CallError;
use futures_util::{FutureExt, future::join_all};
use lattice::{LinkName, invocation::Entity};

use crate::{
    calls::origin::{MOST_WAITING, check_known},
    settings::PolicyDefault,
    testing::{CONTRACT, World, account, actor, key, link, provider},
};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[tokio::test]
async fn an_actor_of_which_nothing_is_known_is_denied_nothing_by_its_claims() {
    let world = World::new();
    assert_eq!(world.permission(None).check_grant(&actor(1), CONTRACT), Ok(()));
}

#[tokio::test]
async fn known_claims_grant_what_they_name_and_nothing_else() {
    let world = World::new();
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    let permission = world.permission(None);
    assert_eq!(permission.check_grant(&actor(1), CONTRACT), Ok(()));
    let refused = permission.check_grant(&actor(1), "wasmcloud:httpserver").expect_err("it is not named");
    assert_eq!(refused.code(), "not_granted");
}

#[tokio::test]
async fn without_a_list_nobody_is_revoked() {
    let world = World::new();
    assert_eq!(world.permission(None).check_caller(actor(1).public_key()), Ok(()));
}

#[tokio::test]
async fn a_revoked_actor_calls_nobody_and_others_do() {
    let world = World::new();
    world.revoke(Revoked::Actor(actor(1))).await;
    let permission = world.permission(None);
    let refused = permission.check_caller(actor(1).public_key()).expect_err("it is revoked");
    assert_eq!(refused.code(), "unauthorized");
    assert_eq!(permission.check_caller(actor(2).public_key()), Ok(()));
}

#[tokio::test]
async fn an_actor_of_a_revoked_account_is_known_by_the_claims_of_the_lattice() {
    let world = World::new();
    world.know_actor(actor(1), account(7), &[]).await;
    world.revoke(Revoked::Issuer(account(7))).await;
    let permission = world.permission(None);
    assert!(permission.check_caller(actor(1).public_key()).is_err());
    assert_eq!(permission.check_caller(actor(2).public_key()), Ok(()), "of whom no account is known");
}

#[tokio::test]
async fn without_a_policy_every_question_is_answered_at_once() {
    let (world, link) = (World::new(), link(actor(1), provider(1)));
    let permission = world.permission(None);
    let origin = Entity::actor(&actor(2));
    let at_once = [
        permission.may_call(&actor(1), &actor(2), soon()).now_or_never(),
        permission.may_call_over(&link, soon()).now_or_never(),
        permission.may_serve(&link, soon()).now_or_never(),
        permission.may_take(&origin, &actor(1), soon()).now_or_never(),
    ];
    assert!(at_once.iter().all(|outcome| *outcome == Some(Ok(()))), "{at_once:?}");
    assert!(permission.refuses_link(&link).await.is_none());
    assert!(permission.refuses_actor(&actor(1), &actor(2)).await.is_none());
}

#[tokio::test]
async fn a_policy_that_cannot_be_asked_denies_or_permits_as_the_operator_said() {
    let (world, link) = (World::new(), link(actor(1), provider(1)));
    let denying = world.permission(Some(PolicyDefault::Deny));
    let refused = denying.may_call_over(&link, soon()).await.expect_err("there is no NATS");
    assert_eq!(refused.code(), "policy_unanswered");
    let permitting = world.permission(Some(PolicyDefault::Permit));
    assert_eq!(permitting.may_call_over(&link, soon()).await, Ok(()));
}

#[tokio::test]
async fn a_call_that_arrives_is_asked_about_here() {
    let world = World::new();
    let denying = world.permission(Some(PolicyDefault::Deny));
    for origin in [
        Entity::actor(&actor(2)),
        Entity::provider(&provider(1), &LinkName::default(), &CONTRACT.parse().expect("a contract")),
    ] {
        let refused = denying.may_take(&origin, &actor(1), soon()).await.expect_err("there is no NATS");
        assert_eq!(refused.code(), "policy_unanswered", "{origin:?}");
    }
}

#[tokio::test]
async fn about_an_actor_elsewhere_its_own_host_asks() {
    let (world, link) = (World::new(), link(actor(1), provider(1)));
    let denying = world.permission(Some(PolicyDefault::Deny));
    assert_eq!(denying.may_call(&actor(2), &actor(1), soon()).await, Ok(()));
    assert_eq!(denying.may_serve(&link, soon()).await, Ok(()));
    assert!(denying.refuses_link(&link).await.is_none());
}

#[tokio::test]
async fn an_origin_that_has_no_name_is_refused_where_there_is_a_policy() {
    let world = World::new();
    let mut origin = Entity::actor(&actor(2));
    origin.public_key = "nobody".to_owned();
    let permission = world.permission(Some(PolicyDefault::Permit));
    let refused = permission.may_take(&origin, &actor(1), soon()).await.expect_err("it cannot be asked about");
    assert_eq!(refused.code(), "unauthorized");
}

#[tokio::test]
async fn a_caller_that_the_lattice_knows_does_not_wait() {
    let world = World::new();
    world.know_actor(actor(1), account(1), &[]).await;
    let permission = world.permission(None);
    assert_eq!(check_known(&permission, actor(1).public_key(), soon()).now_or_never(), Some(Ok(())));
}

#[tokio::test]
async fn a_caller_whose_claims_come_late_is_waited_for() {
    let world = World::new();
    let permission = world.permission(None);
    let (known, ()) = tokio::join!(check_known(&permission, actor(1).public_key(), soon()), async {
        tokio::task::yield_now().await;
        world.know_actor(actor(1), account(1), &[]).await;
    });
    assert_eq!(known, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_claims_is_refused_after_a_moment() {
    let world = World::new();
    let (permission, began) = (world.permission(None), tokio::time::Instant::now());
    let far = Instant::now() + Duration::from_secs(3600);
    let refused = check_known(&permission, actor(1).public_key(), far).await.expect_err("nobody knows it");
    assert_eq!(refused.code(), "unauthorized");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn so_many_callers_wait_and_the_next_one_is_refused_at_once() {
    let world = World::new();
    let permission = world.permission(None);
    let stranger = |number: usize| {
        let byte = u8::try_from(number % 200).expect("a byte");
        key(KeyKind::Module, byte)
    };
    let mut waiting: Vec<_> =
        (0..MOST_WAITING).map(|number| Box::pin(check_known(&permission, stranger(number), soon()))).collect();
    assert!(waiting.iter_mut().all(|call| call.now_or_never().is_none()));
    let refused = check_known(&permission, stranger(0), soon()).now_or_never();
    assert!(matches!(refused, Some(Err(CallError::Unauthorized { .. }))), "{refused:?}");
    assert!(join_all(waiting).await.iter().all(Result::is_err));
}
