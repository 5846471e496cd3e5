//! Providers of this host with their links and their health, over fakes.

use std::{sync::Arc, time::Duration};

use contracts::CallError;
use lattice_state::store::Standing;

use super::{RunningProvider, health, links};
use crate::testing::{CONTRACT, Fake, World, account, actor, link, provider};

const RETRY: Duration = Duration::from_secs(2);

/// A world with a fake provider whose links are kept.
fn served(world: &World) -> (Arc<Fake>, Arc<RunningProvider>) {
    let fake = Arc::<Fake>::default();
    let running = world.embed(provider(1), &fake);
    world.life.spawn(links::serve(Arc::downgrade(&world.providers), running.clone(), RETRY));
    (fake, running)
}

/// Waits until an event of this name was told; the names up to it.
async fn until_told(world: &World, name: &str) -> Vec<String> {
    let mut told = Vec::new();
    let told_it = async {
        while !told.iter().any(|told| told == name) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            told.extend(world.names_told());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told_it).await.expect("it is told");
    told
}

#[tokio::test]
async fn a_link_is_given_when_its_actor_exists_and_said_to_wait_until_then() {
    let world = World::new();
    let (fake, running) = served(&world);
    world.put_link(&link(actor(1), provider(1))).await;
    running.wake();
    until_told(&world, "linkdef_waiting").await;
    assert!(fake.links.lock().expect("not poisoned").is_empty());
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    running.wake();
    until_told(&world, "linkdef_applied").await;
    assert_eq!(fake.links.lock().expect("not poisoned").len(), 1);
    assert!(running.has_taken(&link(actor(1), provider(1))));
}

#[tokio::test]
async fn a_link_that_the_claims_do_not_grant_is_not_given() {
    let world = World::new();
    let (fake, running) = served(&world);
    world.know_actor(actor(1), account(1), &[]).await;
    world.put_link(&link(actor(1), provider(1))).await;
    running.wake();
    until_told(&world, "linkdef_waiting").await;
    assert!(fake.links.lock().expect("not poisoned").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_refused_for_now_is_told_remembered_and_given_again() {
    let world = World::new();
    let (fake, running) = served(&world);
    *fake.refuses_links.lock().expect("not poisoned") = Some("port in use".to_owned());
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    world.put_link(&link(actor(1), provider(1))).await;
    running.wake();
    until_told(&world, "linkdef_failed").await;
    let open = || world.failures.about(Some(&actor(1)), |_| false).into_iter().filter(|f| f.over_at.is_none()).count();
    assert_eq!(open(), 1);
    *fake.refuses_links.lock().expect("not poisoned") = None;
    until_told(&world, "linkdef_applied").await;
    assert_eq!(open(), 0);
}

#[tokio::test]
async fn a_link_that_is_deleted_is_taken_away() {
    let world = World::new();
    let (fake, running) = served(&world);
    let link = link(actor(1), provider(1));
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    world.put_link(&link).await;
    running.wake();
    running.serves(&link).await;
    world.store.delete_link(Standing::Known, link.id()).await.expect("deleted");
    running.wake();
    while !fake.links.lock().expect("not poisoned").is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!running.has_taken(&link));
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_the_links_of_its_actor_but_not_for_long() {
    let world = World::new();
    let fake = Arc::<Fake>::default();
    world.embed(provider(1), &fake); // whose links nobody gives
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    world.put_link(&link(actor(1), provider(1))).await;
    let began = tokio::time::Instant::now();
    links::given(&world.providers, &actor(1)).await;
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
    links::given(&world.providers, &actor(2)).await; // has none
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn health_is_told_as_a_change_and_then_as_a_status() {
    let world = World::new();
    let running = world.embed(provider(1), &Arc::default());
    let healthy = |healthy| provider_sdk::Health { healthy, message: None };
    for (health, event) in [
        (healthy(true), "health_check_passed"),
        (healthy(true), "health_check_status"),
        (healthy(false), "health_check_failed"),
        (healthy(false), "health_check_status"),
    ] {
        health::record(&world.providers, &running, &health);
        assert_eq!(world.names_told(), [event]);
        assert_eq!(running.is_healthy(), health.healthy);
    }
}

#[tokio::test(start_paused = true)]
async fn an_embedded_provider_is_asked_at_once_and_then_at_every_interval() {
    let world = World::with(|settings| settings.timings.health_check = Duration::from_secs(30));
    let running = world.embed(provider(1), &Arc::default());
    let watching = tokio::spawn(health::watch(Arc::downgrade(&world.providers), running.clone()));
    assert_eq!(until_told(&world, "health_check_passed").await, ["health_check_passed"]);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(world.names_told().is_empty());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.names_told(), ["health_check_status"]);
    running.stop_token().cancel();
    watching.await.expect("it ends with the provider");
}

#[tokio::test]
async fn an_embedded_provider_is_always_reachable() {
    let world = World::new();
    let running = world.embed(provider(1), &Arc::default());
    assert_eq!(running.check_reachable(), Ok::<(), CallError>(()));
    assert_eq!(running.words(), None);
}

#[tokio::test]
async fn the_table_has_one_provider_for_each_id_and_link_name() {
    let world = World::new();
    let (one, two) = (world.embed(provider(1), &Arc::default()), world.embed(provider(2), &Arc::default()));
    assert_eq!(world.providers.all().len(), 2);
    assert!(world.providers.runs("builtin://fake", &one.spec.link_name));
    let other = "other".parse().expect("a link name");
    assert!(!world.providers.runs("builtin://fake", &other) && world.providers.get(&provider(1), &other).is_none());
    assert!(world.providers.remove_this(&one) && !world.providers.remove_this(&one));
    assert!(world.providers.get(&two.spec.id, &two.spec.link_name).is_some());
}
