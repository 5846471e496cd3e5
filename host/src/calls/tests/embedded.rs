//! Providers of this host: their calls to actors, and who may call them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::revocation::Revoked;
use contracts::{CallError, TraceContext};
use lattice::{LinkName, invocation::Entity};
use provider_sdk::Actors;

use crate::{
    calls::{Calls, EmbeddedActors, relay::own_provider, to_embedded::check_origin},
    settings::PolicyDefault,
    testing::{CONTRACT, Fake, World, account, actor, link, provider},
};

async fn serve(calls: &Arc<Calls>) -> Result<Bytes, CallError> {
    let actors = EmbeddedActors::new(calls, provider(1), LinkName::default());
    let deadline = Instant::now() + Duration::from_secs(5);
    actors.call(&actor(1), "Handle", Bytes::new(), deadline, TraceContext::default()).await
}

#[tokio::test]
async fn a_provider_calls_no_actor_that_is_not_linked_to_it() {
    let world = World::new();
    let refused = serve(&world.calls(None)).await.expect_err("there is no link");
    assert_eq!(refused.code(), "not_linked");
}

#[tokio::test]
async fn a_provider_calls_no_actor_whose_claims_do_not_name_its_contract() {
    let world = World::new();
    world.put_link(&link(actor(1), provider(1))).await;
    world.know_actor(actor(1), account(1), &[]).await;
    assert_eq!(serve(&world.calls(None)).await.expect_err("it is not granted").code(), "not_granted");
}

#[tokio::test]
async fn a_linked_actor_that_runs_nowhere_is_said_to_and_remembered_with_the_provider() {
    let world = World::new();
    world.put_link(&link(actor(1), provider(1))).await;
    let refused = serve(&world.calls(None)).await.expect_err("it runs nowhere");
    assert_eq!(refused.code(), "not_running");
    let records = world.failures.about(Some(&actor(1)), |_| false);
    assert!(records.iter().any(|record| record.code == "not_running" && record.peer.is_some()), "{records:?}");
}

#[tokio::test]
async fn about_an_actor_elsewhere_the_policy_is_not_asked_by_the_host_of_the_provider() {
    let world = World::new();
    world.put_link(&link(actor(1), provider(1))).await;
    let refused = serve(&world.calls(Some(PolicyDefault::Deny))).await.expect_err("it runs nowhere");
    assert_eq!(refused.code(), "not_running");
}

#[tokio::test]
async fn a_provider_that_outlives_its_host_hears_that_it_is_going() {
    let world = World::new();
    let calls = world.calls(None);
    let actors = EmbeddedActors::new(&calls, provider(1), LinkName::default());
    drop(calls);
    let deadline = Instant::now() + Duration::from_secs(5);
    let refused = actors.call(&actor(1), "Handle", Bytes::new(), deadline, TraceContext::default()).await;
    assert_eq!(refused.expect_err("there is no host").code(), "unreachable");
}

/// What a call from elsewhere to a provider of this host is told.
fn checked(world: &World, fake: &Arc<Fake>, origin: &str) -> Result<(), String> {
    let running = world.embed(provider(1), fake);
    check_origin(&world.calls(None), &running, origin).map(drop).map_err(|error| error.code().to_owned())
}

#[tokio::test]
async fn a_linked_and_granted_actor_may_call_a_provider_of_this_host_from_elsewhere() {
    let (world, fake) = (World::new(), Arc::<Fake>::default());
    world.put_link(&link(actor(1), provider(1))).await;
    assert_eq!(checked(&world, &fake, actor(1).as_str()), Ok(()), "of whom nothing is known yet");
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    assert_eq!(checked(&world, &fake, actor(1).as_str()), Ok(()));
}

#[tokio::test]
async fn from_elsewhere_everything_is_checked_that_is_checked_here() {
    let (world, fake) = (World::new(), Arc::<Fake>::default());
    assert_eq!(checked(&world, &fake, "nobody"), Err("unauthorized".to_owned()));
    assert_eq!(checked(&world, &fake, actor(1).as_str()), Err("not_linked".to_owned()));
    world.put_link(&link(actor(1), provider(1))).await;
    world.know_actor(actor(1), account(1), &[]).await;
    assert_eq!(checked(&world, &fake, actor(1).as_str()), Err("not_granted".to_owned()));
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    world.revoke(Revoked::Actor(actor(1))).await;
    assert_eq!(checked(&world, &fake, actor(1).as_str()), Err("unauthorized".to_owned()));
}

#[tokio::test]
async fn a_link_to_another_provider_is_none_to_this_one() {
    let (world, fake) = (World::new(), Arc::<Fake>::default());
    world.put_link(&link(actor(1), provider(2))).await;
    assert_eq!(checked(&world, &fake, actor(1).as_str()), Err("not_linked".to_owned()));
}

#[tokio::test]
async fn calls_are_made_for_no_provider_but_a_process_of_this_host() {
    let (world, fake) = (World::new(), Arc::<Fake>::default());
    let calls = world.calls(None);
    let contract = CONTRACT.parse().expect("a contract");
    let origin = Entity::provider(&provider(1), &LinkName::default(), &contract);
    let code = |origin: &Entity| match own_provider(&calls, origin) {
        Ok(_) => "made".to_owned(),
        Err(error) => error.code().to_owned(),
    };
    assert_eq!(code(&origin), "unauthorized", "it does not run");
    world.embed(provider(1), &fake);
    assert_eq!(code(&origin), "unauthorized", "it is embedded");
    assert_eq!(code(&Entity::actor(&actor(1))), "unauthorized");
}
