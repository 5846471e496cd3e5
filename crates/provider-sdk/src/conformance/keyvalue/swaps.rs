//! Compare and swap.

use std::sync::Arc;

use contracts::keyvalue::CompareAndSwapResponse;

use super::client::{Client, text};
use crate::conformance::World;

fn answer(swapped: bool, current: Option<&[u8]>) -> CompareAndSwapResponse {
    CompareAndSwapResponse { swapped, current: current.map(|bytes| bytes.to_vec().into()) }
}

pub async fn they_need_what_is_there(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    store.set("key", "one").await.expect("a value");
    assert_eq!(store.swap("key", Some(b"other"), "two").await, Ok(answer(false, Some(b"one"))));
    assert_eq!(store.get("key").await, text("one"));
    assert_eq!(store.swap("key", Some(b"one"), "two").await, Ok(answer(true, Some(b"two"))));
    assert_eq!(store.get("key").await, text("two"));
    assert_eq!(store.swap("nothing", Some(b"one"), "two").await, Ok(answer(false, None)));
}

pub async fn they_need_nothing_there(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    assert_eq!(store.swap("key", None, "one").await, Ok(answer(true, Some(b"one"))));
    assert_eq!(store.swap("key", None, "two").await, Ok(answer(false, Some(b"one"))));
    assert_eq!(store.swap("empty", None, "").await, Ok(answer(true, Some(b""))));
    assert_eq!(store.swap("empty", Some(b""), "x").await, Ok(answer(true, Some(b"x"))), "empty is not absent");
}

pub async fn they_compare_bytes(world: Arc<dyn World>) {
    let store = Client::new(&world).await;
    store.set("key", vec![0xff, 0]).await.expect("a value");
    assert_eq!(store.swap("key", Some(&[0xff]), "x").await, Ok(answer(false, Some(&[0xff, 0]))));
    assert_eq!(store.swap("key", Some(&[0xff, 0]), vec![0, 0xfe]).await, Ok(answer(true, Some(&[0, 0xfe]))));
}

pub async fn swaps_of_many_add_up(world: Arc<dyn World>) {
    const TASKS: u32 = 6;
    const EACH: u32 = 5;
    let store = Client::new(&world).await;
    store.set("n", "0").await.expect("a value");
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(add_by_swaps(store.clone(), EACH))).collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(store.get("n").await, text(&(TASKS * EACH).to_string()));
}

async fn add_by_swaps(store: Client, times: u32) {
    let mut current = b"0".to_vec();
    let mut done = 0;
    while done < times {
        let number: u32 = String::from_utf8_lossy(&current).parse().expect("a number");
        let answer = store.swap("n", Some(&current), (number + 1).to_string()).await.expect("an answer");
        current = answer.current.expect("a value").0;
        done += u32::from(answer.swapped);
    }
}
