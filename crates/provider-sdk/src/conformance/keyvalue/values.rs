//! Get, set, delete, contains.

use std::sync::Arc;

use super::client::{Client, text};
use crate::conformance::World;

pub async fn a_key_that_is_not_there(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    assert_eq!(store.get("nothing").await, Ok(None));
    assert_eq!(store.contains("nothing").await, Ok(false));
    assert_eq!(store.del("nothing").await, Ok(false));
}

pub async fn a_value_comes_back(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    assert_eq!(store.set("key", "value").await, Ok(()));
    assert_eq!(store.get("key").await, text("value"));
    assert_eq!(store.contains("key").await, Ok(true));
    assert_eq!(store.set("key", "other").await, Ok(()));
    assert_eq!(store.get("key").await, text("other"));
    assert_eq!(store.del("key").await, Ok(true));
    assert_eq!(store.get("key").await, Ok(None));
}

pub async fn any_bytes(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    let all: Vec<u8> = (0..=255).collect();
    for value in [vec![], vec![0], vec![0xff, 0xfe], "größe".as_bytes().to_vec(), all.repeat(8192)] {
        assert_eq!(store.set("key", value.clone()).await, Ok(()));
        let found = store.get("key").await.expect("a value");
        assert!(found.as_ref() == Some(&value), "{} bytes come back as {:?}", value.len(), found.map(|v| v.len()));
    }
}

pub async fn any_key(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    let long = "k".repeat(contracts::keyvalue::LONGEST_KEY);
    let keys = ["", ":", "a:b", "a b", "größe", "\0", "*", "{x}", "../x", &long];
    for (number, key) in (0_u32..).zip(keys) {
        store.set(key, number.to_string()).await.expect("any key");
    }
    for (number, key) in (0_u32..).zip(keys) {
        assert_eq!(store.get(key).await, text(&number.to_string()), "{key:?}");
    }
}

pub async fn a_set_replaces_whatever_was_there(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    store.list_add("list", "x").await.expect("a list");
    store.set_add("set", "x").await.expect("a set");
    for key in ["list", "set"] {
        assert_eq!(store.set(key, "value").await, Ok(()));
        assert_eq!(store.get(key).await, text("value"));
    }
    assert_eq!(store.del("list").await, Ok(true));
    assert_eq!(store.list_add("list", "y").await, Ok(1), "nothing of the old list is left");
}
