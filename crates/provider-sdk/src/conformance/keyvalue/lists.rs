//! Lists.

use std::sync::Arc;

use super::client::{Client, code};
use crate::conformance::World;

async fn letters(world: &Arc<dyn World>, letters: &[&str]) -> Client {
    let store = Client::new(world).await;
    for (letter, length) in letters.iter().zip(1..) {
        assert_eq!(store.list_add("list", letter).await, Ok(length));
    }
    store
}

pub async fn they_keep_their_order(world: Arc<dyn World>) {
    let store = letters(&world, &["b", "a", "b", "c"]).await;
    assert_eq!(store.list_range("list", 0, -1).await, Ok(vec!["b".into(), "a".into(), "b".into(), "c".into()]));
    assert_eq!(store.list_range("nothing", 0, -1).await, Ok(vec![]));
}

pub async fn ranges_count_from_either_end(world: Arc<dyn World>) {
    let store = letters(&world, &["a", "b", "c", "d"]).await;
    for (start, stop, expected) in [
        (0, 0, "a"),
        (1, 2, "bc"),
        (0, 100, "abcd"),
        (-2, -1, "cd"),
        (-100, 1, "ab"),
        (2, 1, ""),
        (4, 9, ""),
        (0, -5, ""),
        (i32::MIN, i32::MAX, "abcd"),
    ] {
        let found = store.list_range("list", start, stop).await.expect("a range").concat();
        assert_eq!(found, expected, "{start}..={stop}");
    }
}

pub async fn one_value_is_removed(world: Arc<dyn World>) {
    let store = letters(&world, &["a", "b", "a"]).await;
    assert_eq!(store.list_del("list", "x").await, Ok(false));
    assert_eq!(store.list_del("list", "a").await, Ok(true));
    assert_eq!(store.list_range("list", 0, -1).await, Ok(vec!["b".into(), "a".into()]), "the first of them");
    assert_eq!(store.list_range("list", 1, 1).await, Ok(vec!["a".into()]), "positions close up");
    assert_eq!(store.list_add("list", "c").await, Ok(3));
    assert_eq!(store.list_del("nothing", "a").await, Ok(false));
}

pub async fn an_empty_list_is_gone(world: Arc<dyn World>) {
    let store = letters(&world, &["a"]).await;
    assert_eq!(store.list_del("list", "a").await, Ok(true));
    assert_eq!(store.contains("list").await, Ok(false));
    assert_eq!(store.list_clear("list").await, Ok(false));
}

pub async fn a_list_is_cleared(world: Arc<dyn World>) {
    let store = letters(&world, &["a", "b"]).await;
    assert_eq!(store.list_clear("list").await, Ok(true));
    assert_eq!(store.list_clear("list").await, Ok(false));
    assert_eq!(store.list_range("list", 0, -1).await, Ok(vec![]));
    assert_eq!(store.list_add("list", "c").await, Ok(1));
    assert_eq!(store.list_range("list", 0, -1).await, Ok(vec!["c".into()]));
}

pub async fn a_list_is_no_value(world: Arc<dyn World>) {
    let store = letters(&world, &["a"]).await;
    assert_eq!(code(store.get("list").await), "reported");
    assert_eq!(code(store.increment("list", 1).await), "reported");
    assert_eq!(code(store.swap("list", None, "x").await), "reported");
    assert_eq!(store.contains("list").await, Ok(true));
    store.set("value", "x").await.expect("a value");
    assert_eq!(code(store.list_add("value", "a").await), "reported");
    assert_eq!(code(store.list_range("value", 0, -1).await), "reported");
    assert_eq!(code(store.list_del("value", "a").await), "reported");
    assert_eq!(store.del("list").await, Ok(true));
}
