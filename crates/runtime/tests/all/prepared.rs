//! Instances made before they are needed: as fresh as any other, and only for guests to which it makes no difference.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use runtime::{Guest, GuestLimits, use_idle_time};
use tokio::time::Instant;

use crate::support::{self, answering, call, limits, load_with, within};

/// Answers with how often this instance was called, and with the time when it was made, in nanoseconds since 1970.
const BORN: &str = r#"(module
  (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func $born (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 8))))
  (start $born)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
    (call $response (i32.const 0) (i32.const 16))
    (i32.const 1)))"#;

/// Calls out when it starts, and answers with what it was told then.
const CURIOUS: &str = r#"(module
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasmbus" "__host_response" (func $answer (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "defaulta:b/c")
  (func $ask
    (drop (call $call (i32.const 16) (i32.const 7) (i32.const 23) (i32.const 3) (i32.const 27)
      (i32.const 1) (i32.const 16) (i32.const 1)))
    (call $answer (i32.const 64)))
  (start $ask)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $response (i32.const 64) (i32.const 2))
    (i32.const 1)))"#;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

/// Lets the thread become idle.
async fn rest() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Runs on a thread that does what was put off before it sleeps.
fn with_idle_time(test: impl Future<Output = ()> + Send + 'static) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let executor = use_idle_time(builder.worker_threads(1).enable_all()).build().unwrap();
    executor.block_on(executor.spawn(test)).unwrap();
}

/// Calls a [`BORN`]: which call of its instance it was, and whether that was made before.
async fn is_made_before(guest: &Guest) -> (u64, bool) {
    let begun = now();
    let answer = call(guest, b"").await.unwrap();
    let number = |range: std::ops::Range<usize>| u64::from_le_bytes(answer[range].try_into().unwrap());
    (number(0..8), number(8..16) < begun)
}

#[test]
fn the_next_instance_is_ready_and_has_served_nobody() {
    with_idle_time(async {
        let guest = load_with(BORN, limits()).await;
        assert_eq!(is_made_before(&guest).await, (1, false));
        let (mut before, until) = (0, Instant::now() + Duration::from_secs(20));
        while before < 20 {
            assert!(Instant::now() < until, "only {before} were made before their calls");
            rest().await;
            let (calls, is_before) = is_made_before(&guest).await;
            assert_eq!(calls, 1);
            before += u32::from(is_before);
        }
    });
}

#[test]
fn who_wants_no_idle_instances_has_none() {
    with_idle_time(async {
        let guest = load_with(BORN, GuestLimits { idle_instances: 0, ..limits() }).await;
        for _ in 0..20 {
            assert_eq!(is_made_before(&guest).await, (1, false));
            rest().await;
        }
    });
}

#[test]
fn a_guest_that_asks_something_when_it_starts_is_made_for_its_call() {
    with_idle_time(async {
        let guest = load_with(CURIOUS, limits()).await;
        for number in 10..30_u8 {
            let context = answering(move |_| Ok(Bytes::from(number.to_string())));
            assert_eq!(guest.call("Test.Call", Bytes::new(), context).await.unwrap(), number.to_string());
            rest().await;
        }
    });
}

/// Its start function never ends once it is later than this, in nanoseconds since 1970.
fn stuck_after(time: u64) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func $born
    (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 8)))
    (loop $stuck (br_if $stuck (i64.gt_u (i64.load (i32.const 8)) (i64.const {time})))))
  (start $born)
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#
    )
}

#[test]
fn a_start_that_never_ends_holds_up_no_thread() {
    with_idle_time(async {
        let time = now() + 500_000_000;
        let guest = load_with(&stuck_after(time), limits()).await;
        assert_eq!(call(&guest, b"").await.unwrap(), "");
        while now() <= time {
            rest().await;
        }
        // The instance that was ready serves at most one more call; from then on none can be made.
        let mut served = 0;
        while guest.call("Test.Call", Bytes::new(), within(Duration::from_millis(50))).await.is_ok() {
            served += 1;
            assert!(served <= 1, "its start has not ended");
            rest().await;
        }
        support::neighbour_answers().await;
    });
}
