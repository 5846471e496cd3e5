//! Increment.

use std::sync::Arc;

use super::client::{Client, code, text};
use crate::conformance::World;

pub async fn they_begin_at_zero(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    assert_eq!(store.increment("n", 5).await, Ok(5));
    assert_eq!(store.increment("zero", 0).await, Ok(0));
    assert_eq!(store.contains("zero").await, Ok(true), "an increment by nothing makes the key");
}

pub async fn they_add_and_subtract(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    assert_eq!(store.increment("n", 5).await, Ok(5));
    assert_eq!(store.increment("n", -7).await, Ok(-2));
}

pub async fn they_are_text(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    store.set("n", "41").await.expect("a value");
    assert_eq!(store.increment("n", 1).await, Ok(42));
    assert_eq!(store.get("n").await, text("42"));
}

pub async fn they_are_wider_than_32_bits(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    assert_eq!(store.increment("n", 1 << 40).await, Ok(1 << 40));
    assert_eq!(store.increment("n", 1).await, Ok((1 << 40) + 1));
}

pub async fn text_is_no_number(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    for value in ["abc", "", " 1", "1.5", "+1", "01", "99999999999999999999"] {
        store.set("n", value).await.expect("a value");
        assert_eq!(code(store.increment("n", 1).await), "reported", "{value:?}");
        assert_eq!(store.get("n").await, text(value), "unchanged");
    }
}

pub async fn an_overflow_changes_nothing(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    for (limit, step) in [(i64::MAX, 1), (i64::MIN, -1)] {
        store.set("n", limit.to_string()).await.expect("a value");
        assert_eq!(code(store.increment("n", step).await), "reported");
        assert_eq!(store.get("n").await, text(&limit.to_string()));
    }
}

pub async fn increments_of_many_add_up(world: Arc<dyn World>) {
    const TASKS: i64 = 16;
    const EACH: i64 = 20;
    let store = Client::new(&world).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for _ in 0..EACH {
                    seen.push(store.increment("n", 1).await.expect("an increment"));
                }
                seen
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.expect("no panic"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=TASKS * EACH).collect::<Vec<_>>(), "each number was given to one caller");
}
