//! Several calls at once in one instance.

use std::time::Duration;

use contracts::CallError;
use http_body_util::BodyExt;
use runtime::{Guest, GuestLimits};

use crate::world::{ask, context, eventually, limits, load, said, text, within};

const SOON: Duration = Duration::from_millis(300);

async fn shared(concurrent_calls: u32, calls_per_instance: u32) -> Guest {
    load(GuestLimits { concurrent_calls, calls_per_instance, ..limits() }).await
}

/// Whether a call has begun in the instance that `guest` would use next: it counts those before this one.
async fn begun(guest: &Guest, running: u32) {
    eventually("the call before", || guest.running() == running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_meet_in_one_instance_only_where_that_was_chosen() {
    let guest = shared(2, 100).await;
    let (one, other) = tokio::join!(said(&guest, "/meet"), said(&guest, "/meet"));
    assert_eq!((&*one, &*other), ("met", "met"));
    eventually("the end of the calls", || guest.running() == 0).await;
    assert_eq!(said(&guest, "/count").await, "3", "the instance is used again");

    let alone = shared(1, 100).await;
    let ask = || async { ask(&alone, "/meet", within(SOON)).await.map(drop).unwrap_err().code().to_owned() };
    let (one, other) = tokio::join!(ask(), ask());
    assert_eq!((&*one, &*other), ("deadline_exceeded", "deadline_exceeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_takes_no_more_calls_than_it_may() {
    let guest = shared(2, 100).await;
    let first = ask(&guest, "/unfinished", context()).await.unwrap();
    assert_eq!(said(&guest, "/count").await, "2", "the same instance");
    begun(&guest, 1).await; // its place is free a little after its answer was read
    let second = ask(&guest, "/unfinished", context()).await.unwrap();
    assert_eq!(said(&guest, "/count").await, "1", "it is full");
    drop((first, second));

    let guest = shared(100, 3).await;
    let first = ask(&guest, "/unfinished", context()).await.unwrap();
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(said(&guest, "/count").await);
    }
    assert_eq!(counts, ["2", "3", "1"]);
    drop(first);
    eventually("the end of all", || guest.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_are_served_by_few_instances() {
    let guest = shared(8, 1000).await;
    let calls = (0..64).map(|_| said(&guest, "/clock?5"));
    for waited in futures_util::future::join_all(calls).await {
        assert!(waited.parse::<u32>().unwrap() >= 5);
    }
    eventually("the end of all", || guest.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_ends_the_calls_of_its_instance_and_no_others() {
    let guest = shared(2, 100).await;
    let (neighbour, other) =
        (ask(&guest, "/unfinished", context()).await.unwrap(), ask(&guest, "/unfinished", context()).await.unwrap());
    // The third call begins another instance, in which a fourth traps.
    let third = ask(&guest, "/unfinished", context()).await.unwrap();
    let error = ask(&guest, "/trap", context()).await.map(drop).unwrap_err();
    assert!(matches!(error, CallError::Trap { .. }), "{error}");
    assert!(third.into_body().collect().await.is_err(), "its answer is cut off");
    // Whoever reads an answer sees its end a little before the call is over.
    eventually("the end of those two", || guest.running() == 2).await;
    let mut body = neighbour.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "the beginning");
    drop((body, other));
    eventually("the end of all", || guest.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_one_call_is_not_that_of_another() {
    let guest = shared(2, 100).await;
    let long = ask(&guest, "/clock?800", context());
    let short = async {
        begun(&guest, 1).await;
        ask(&guest, "/never", within(SOON)).await
    };
    let (long, short) = tokio::join!(long, short);
    assert_eq!(short.map(drop).unwrap_err().code(), "deadline_exceeded");
    assert!(text(long.unwrap()).await.parse::<u32>().unwrap() >= 800);
    eventually("the end of both", || guest.running() == 0).await;
    assert_eq!(said(&guest, "/count").await, "1", "what was left undone is not mixed with others");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_computes_without_end_holds_up_its_own_instance_until_the_last_deadline() {
    let guest = shared(2, 100).await;
    let waits = ask(&guest, "/clock?100", within(3 * SOON));
    let spins = async {
        begun(&guest, 1).await;
        ask(&guest, "/spin", within(SOON)).await
    };
    let (waits, spins) = tokio::join!(waits, spins);
    assert_eq!(spins.map(drop).unwrap_err().code(), "deadline_exceeded");
    assert_eq!(waits.map(drop).unwrap_err().code(), "deadline_exceeded");
    eventually("the end of both", || guest.running() == 0).await;
    assert_eq!(said(&guest, "/count").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_limited_for_all_calls_of_an_instance_together() {
    let guest = shared(2, 100).await;
    let waits = ask(&guest, "/clock?10000", context());
    let hoards = async {
        begun(&guest, 1).await;
        ask(&guest, "/memory", context()).await
    };
    let (waits, hoards) = tokio::join!(waits, hoards);
    for error in [waits.map(drop).unwrap_err(), hoards.map(drop).unwrap_err()] {
        assert!(error.to_string().contains("`memory_bytes`"), "{error}");
    }
}
