//! Whose data is whose.

use std::sync::Arc;

use super::client::{Client, code, text};
use crate::conformance::World;

pub async fn actors_do_not_see_each_other(world: Arc<dyn World>) {
    let (one, other) = (Client::new(&world).await, Client::new(&world).await);
    one.set("key", "mine").await.expect("a value");
    one.set_add("set", "a").await.expect("a set");
    assert_eq!(other.get("key").await, Ok(None));
    assert_eq!(other.set_union(&["set"]).await, Ok(vec![]));
    assert_eq!(other.list_keys(None, 10).await.map(|page| page.keys), Ok(vec![]));
    other.set("key", "yours").await.expect("a value");
    assert_eq!(other.del("set").await, Ok(false));
    assert_eq!(one.get("key").await, text("mine"));
}

pub async fn actors_with_one_namespace_do(world: Arc<dyn World>) {
    let Some((one, other)) = world.sharing().await else { return };
    let one = Client { world: Arc::clone(&world), actor: one };
    let other = Client { world: Arc::clone(&world), actor: other };
    assert_eq!(one.increment("n", 1).await, Ok(1));
    assert_eq!(other.increment("n", 1).await, Ok(2));
}

pub async fn an_actor_without_link_is_refused(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    store.set("key", "value").await.expect("a value");
    world.unlink(&store.actor).await;
    assert_eq!(code(store.get("key").await), "not_linked");
}
