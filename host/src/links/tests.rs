//! What a change of lattice state sets in motion, over fakes.

use std::sync::Arc;

use bytes::Bytes;
use lattice::{Link, LinkName};
use lattice_state::store::Standing;

use super::Changes;
use crate::testing::{CONTRACT, Fake, World, account, actor, link, provider};

fn changes(world: &World) -> Arc<Changes> {
    Arc::new(Changes {
        store: world.store.clone(),
        providers: world.providers.clone(),
        owners: world.owners(Vec::new()),
        events: world.events.clone(),
        failures: world.failures.clone(),
        nats: None,
        life: world.life.clone(),
    })
}

/// Follows the changes of `world` until they have all been told.
async fn follow(world: &World, change: impl AsyncFnOnce(&World)) -> Vec<String> {
    let following = tokio::spawn(changes(world).follow(world.take_effects()));
    change(world).await;
    let entity = actor(200).public_key();
    let marked = world.store.put_config(Standing::Known, &entity, "mark", Bytes::from_static(b"1"));
    marked.await.expect("kept");
    let mut told = Vec::new();
    while told.last().is_none_or(|(name, data): &(String, serde_json::Value)| {
        name != "config_set" || data["key"].as_str() != Some("mark")
    }) {
        tokio::task::yield_now().await;
        told.extend(world.told());
    }
    following.abort();
    told.pop();
    told.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_link_that_is_put_is_told_once_and_again_when_it_is_put_again() {
    let world = World::new();
    let told = follow(&world, async |world| {
        world.put_link(&link(actor(1), provider(1))).await;
        world.put_link(&link(actor(1), provider(1))).await;
    });
    assert_eq!(told.await, ["linkdef_set", "linkdef_set"]);
}

#[tokio::test]
async fn a_link_that_is_deleted_is_told_and_one_that_is_not_there_is_not() {
    let world = World::new();
    let told = follow(&world, async |world| {
        let link = link(actor(1), provider(1));
        world.store.delete_link(Standing::Known, link.id()).await.expect("nothing to delete");
        world.put_link(&link).await;
        world.store.delete_link(Standing::Known, link.id()).await.expect("deleted");
    });
    assert_eq!(told.await, ["linkdef_set", "linkdef_deleted"]);
}

#[tokio::test]
async fn a_link_that_is_put_anew_or_deleted_has_no_open_refusal() {
    let world = World::new();
    let refused = link(actor(1), provider(1));
    let open = || world.failures.about(Some(&actor(1)), |_| false).into_iter().filter(|f| f.over_at.is_none()).count();
    world.failures.link_refused(&refused, "no");
    assert_eq!(open(), 1);
    let put = refused.clone();
    follow(&world, async move |world| world.put_link(&put).await).await;
    assert_eq!(open(), 0);
}

#[tokio::test]
async fn configuration_is_told_when_it_is_set_and_when_it_is_deleted() {
    let world = World::new();
    let told = follow(&world, async |world| {
        let entity = actor(1).public_key();
        let put = world.store.put_config(Standing::Known, &entity, "key", Bytes::from_static(b"1"));
        put.await.expect("kept");
        world.store.delete_config(Standing::Known, &entity, "key").await.expect("deleted");
    });
    assert_eq!(told.await, ["config_set", "config_deleted"]);
}

#[tokio::test]
async fn claims_of_another_account_leave_the_owner_who_it_was() {
    let world = World::new();
    follow(&world, async |world| {
        world.know_actor(actor(1), account(1), &[]).await;
        world.know_actor(actor(1), account(2), &[]).await;
    })
    .await;
    assert_eq!(world.store.tables().owner(&actor(1).public_key()), Some(account(1)));
}

#[tokio::test]
async fn a_provider_of_this_host_is_woken_by_its_links() {
    let (world, fake) = (World::new(), Arc::<Fake>::default());
    let running = world.embed(provider(1), &fake);
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    let every = std::time::Duration::from_secs(60);
    let serving = crate::providers::links::serve(Arc::downgrade(&world.providers), running.clone(), every);
    let serving = tokio::spawn(serving);
    tokio::task::yield_now().await; // it has looked once and found nothing
    let put: Link = link(actor(1), provider(1));
    let told = follow(&world, async |world| {
        world.put_link(&link(actor(1), provider(1))).await;
        running.serves(&put).await;
    });
    let told = told.await;
    assert!(told.contains(&"linkdef_set".to_owned()), "{told:?}");
    assert_eq!(fake.links.lock().expect("not poisoned").as_slice(), [put]);
    running.stop_token().cancel();
    serving.await.expect("it ends with the provider");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_moves_is_kept_by_the_old_provider_for_a_moment_and_then_let_go() {
    let (world, fake) = (World::new(), Arc::<Fake>::default());
    world.embed(provider(2), &fake);
    let (old, new) = (link(actor(1), provider(1)), link(actor(1), provider(2)));
    let following = tokio::spawn(changes(&world).follow(world.take_effects()));
    world.put_link(&old).await;
    world.put_link(&new).await;
    let links = || &world.store.tables().links;
    let granted = |id| links().granting(&actor(1), &id, LinkName::default().as_str()).is_some();
    assert!(granted(provider(1)) && granted(provider(2)), "both may serve it while it moves");
    tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while granted(provider(1)) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a move ends");
    let found = links().find(&actor(1), CONTRACT, "default").expect("it is linked");
    assert_eq!(found.provider_id, provider(2));
    following.abort();
}
