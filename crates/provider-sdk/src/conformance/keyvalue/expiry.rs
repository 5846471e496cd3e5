//! Values that go by themselves. Each check waits for the end of a second or two, which is the unit of the contract.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::client::{Client, text};
use crate::conformance::World;

/// Longer than any expiry here, with room for a slow machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until a key is gone; when it was.
async fn gone(store: &Client, key: &str) -> Instant {
    let started = Instant::now();
    while store.contains(key).await.expect("an answer") {
        assert!(started.elapsed() < PATIENCE, "`{key}` is still there after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Instant::now()
}

pub async fn a_value_expires(world: Arc<dyn World>) {
    let (store, started) = (Client::new(&world).await, Instant::now());
    store.set_for("key", "value", 1).await.expect("a value");
    store.set_for("for long", "value", u32::MAX).await.expect("a value");
    let gone = gone(&store, "key").await;
    assert!(gone.duration_since(started) >= Duration::from_millis(900), "{:?}", gone.duration_since(started));
    assert_eq!(store.get("key").await, Ok(None));
    assert_eq!(store.del("key").await, Ok(false));
    assert_eq!(store.get("for long").await, text("value"));
}

pub async fn a_value_set_again_stays(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    store.set_for("key", "one", 1).await.expect("a value");
    store.set_for("other", "one", 1).await.expect("a value");
    store.set("key", "two").await.expect("a value");
    gone(&store, "other").await;
    assert_eq!(store.get("key").await, text("two"));
}

pub async fn a_number_keeps_its_expiry(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    store.set_for("number", "1", 1).await.expect("a value");
    store.set_for("swapped", "1", 1).await.expect("a value");
    assert_eq!(store.increment("number", 1).await, Ok(2));
    assert!(store.swap("swapped", Some(b"1"), "2").await.expect("a swap").swapped);
    gone(&store, "number").await;
    gone(&store, "swapped").await;
}

pub async fn what_has_expired_counts_as_absent(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    for key in ["number", "list", "set", "swap"] {
        store.set_for(key, "7", 1).await.expect("a value");
    }
    for key in ["number", "list", "set", "swap"] {
        gone(&store, key).await;
    }
    assert_eq!(store.increment("number", 1).await, Ok(1));
    assert_eq!(store.list_add("list", "x").await, Ok(1));
    assert_eq!(store.set_add("set", "x").await, Ok(1));
    assert!(store.swap("swap", None, "new").await.expect("a swap").swapped);
    assert_eq!(store.get("number").await, text("1"));
}
