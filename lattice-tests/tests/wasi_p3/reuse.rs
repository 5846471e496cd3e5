//! One instance for several calls.

use runtime::GuestLimits;

use crate::world::{ask, context, limits, load, said};

#[tokio::test]
async fn an_instance_serves_as_many_calls_as_it_may() {
    let guest = load(GuestLimits { calls_per_instance: 3, ..limits() }).await;
    let mut said_so_far = Vec::new();
    for _ in 0..4 {
        said_so_far.push(said(&guest, "/count").await);
        crate::world::eventually("the end of the call", || guest.running() == 0).await;
    }
    assert_eq!(said_so_far, ["1", "2", "3", "1"]);
}

#[tokio::test]
async fn one_that_failed_is_not_used_again() {
    let guest = load(GuestLimits { calls_per_instance: 100, ..limits() }).await;
    assert_eq!(said(&guest, "/count").await, "1");
    crate::world::eventually("the end of the call", || guest.running() == 0).await;
    assert_eq!(ask(&guest, "/trap", context()).await.unwrap_err().code(), "trap");
    assert_eq!(said(&guest, "/count").await, "1");
}
