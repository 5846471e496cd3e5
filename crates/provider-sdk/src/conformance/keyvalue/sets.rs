//! Sets.

use std::sync::Arc;

use super::client::{Client, code};
use crate::conformance::World;

async fn filled(world: &Arc<dyn World>) -> Client {
    let store = Client::new(world).await;
    for (set, members) in [("one", ["a", "b", "c"]), ("two", ["b", "c", "d"])] {
        for member in members {
            assert_eq!(store.set_add(set, member).await, Ok(1));
        }
    }
    store
}

pub async fn members_are_there_once(world: Arc<dyn World>) {
    let store = filled(&world).await;
    assert_eq!(store.set_add("one", "a").await, Ok(0));
    assert_eq!(store.set_query("one").await, Ok(vec!["a".into(), "b".into(), "c".into()]));
    assert_eq!(store.set_del("one", "a").await, Ok(1));
    assert_eq!(store.set_del("one", "a").await, Ok(0));
    assert_eq!(store.set_query("one").await, Ok(vec!["b".into(), "c".into()]));
    assert_eq!(store.set_query("nothing").await, Ok(vec![]));
    assert_eq!(store.set_del("nothing", "a").await, Ok(0));
}

pub async fn an_empty_set_is_gone(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    assert_eq!(store.set_add("set", "").await, Ok(1), "the empty text is a member like others");
    assert_eq!(store.set_query("set").await, Ok(vec![String::new()]));
    assert_eq!(store.set_del("set", "").await, Ok(1));
    assert_eq!(store.contains("set").await, Ok(false));
}

pub async fn unions_and_intersections(world: Arc<dyn World>) {
    let store = filled(&world).await;
    let letters = |text: &str| Ok(text.chars().map(String::from).collect::<Vec<_>>());
    assert_eq!(store.set_union(&["one", "two"]).await, letters("abcd"));
    assert_eq!(store.set_union(&["one", "nothing"]).await, letters("abc"));
    assert_eq!(store.set_union(&[]).await, letters(""));
    assert_eq!(store.set_intersection(&["one", "two"]).await, letters("bc"));
    assert_eq!(store.set_intersection(&["one"]).await, letters("abc"));
    assert_eq!(store.set_intersection(&["one", "nothing"]).await, letters(""));
    assert_eq!(store.set_intersection(&[]).await, letters(""));
}

pub async fn a_set_is_cleared(world: Arc<dyn World>) {
    let store = filled(&world).await;
    assert_eq!(store.set_clear("one").await, Ok(true));
    assert_eq!(store.set_clear("one").await, Ok(false));
    assert_eq!(store.set_query("one").await, Ok(vec![]));
    assert_eq!(store.set_query("two").await.map(|members| members.len()), Ok(3));
}

pub async fn a_set_is_no_list(world: Arc<dyn World>) {
    let store = filled(&world).await;
    assert_eq!(code(store.list_add("one", "a").await), "reported");
    assert_eq!(code(store.get("one").await), "reported");
    store.list_add("list", "a").await.expect("a list");
    assert_eq!(code(store.set_add("list", "a").await), "reported");
    assert_eq!(code(store.set_query("list").await), "reported");
    assert_eq!(code(store.set_union(&["one", "list"]).await), "reported");
    assert_eq!(code(store.set_intersection(&["one", "list"]).await), "reported");
}
