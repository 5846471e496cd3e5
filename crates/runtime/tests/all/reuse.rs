//! Warm reuse: an instance for several calls, when the actor chose so; never after a call that did not end well.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::CallError;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use runtime::{CallContext, Guest, GuestLimits, HttpBody, Outbound, OutboundCall, Runtime, RuntimeConfig};
use tokio::sync::Barrier;

use crate::support::{self, ECHO, answering, call, context, identity, limits, load_with, runtime, within};

/// Answers with two digits: which call of its instance this is, and how often the instance was started. The argument
/// chooses what it does besides.
const COUNTER: &str = r#"(module
  (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (import "wasmbus" "__guest_error" (func $error (param i32 i32)))
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasmbus" "__host_response" (func $answer (param i32)))
  (import "wasmbus" "__console_log" (func $log (param i32 i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (global $count (mut i32) (i32.const 0))
  (global $starts (mut i32) (i32.const 0))
  (data (i32.const 16) "defaulta:b/c")
  (func (export "_start") (global.set $starts (i32.add (global.get $starts) (i32.const 1))))
  (func $call_out (result i32) (call $call (i32.const 16) (i32.const 7) (i32.const 23) (i32.const 3) (i32.const 27)
    (i32.const 1) (i32.const 16) (i32.const 1)))
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32) (local $choice i32) (local $i i32)
    (call $request (i32.const 64) (i32.const 1024))
    (if (local.get $payload) (then (local.set $choice (i32.load8_u (i32.const 1024)))))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 2048) (i32.add (i32.const 48) (global.get $count)))
    (i32.store8 (i32.const 2049) (i32.add (i32.const 48) (global.get $starts)))
    ;; t: trap, e: error, z: failure, x: exit, s: spin
    (if (i32.eq (local.get $choice) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $choice) (i32.const 101)) (then (call $error (i32.const 2048) (i32.const 2))))
    (if (i32.eq (local.get $choice) (i32.const 122)) (then (return (i32.const 0))))
    (if (i32.eq (local.get $choice) (i32.const 120)) (then (call $exit (i32.const 0))))
    (if (i32.eq (local.get $choice) (i32.const 115)) (then (loop $l (br $l))))
    ;; h: sixty calls out
    (if (i32.eq (local.get $choice) (i32.const 104)) (then (loop $more
      (drop (call $call_out))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $i) (i32.const 60))))))
    ;; w: waits for somebody outside
    (if (i32.eq (local.get $choice) (i32.const 119)) (then (drop (call $call_out))))
    ;; o: answers with what it is told from outside
    (if (i32.eq (local.get $choice) (i32.const 111)) (then
      (drop (call $call_out))
      (call $answer (i32.const 2048))))
    ;; g: two mebibytes more
    (if (i32.eq (local.get $choice) (i32.const 103)) (then
      (if (i32.eq (memory.grow (i32.const 32)) (i32.const -1)) (then unreachable))))
    (call $response (i32.const 2048) (i32.const 2))
    (i32.const 1)))"#;

fn reusing(calls_per_instance: u32) -> GuestLimits {
    GuestLimits { calls_per_instance, ..limits() }
}

async fn counter(calls_per_instance: u32) -> Guest {
    load_with(COUNTER, reusing(calls_per_instance)).await
}

async fn count(guest: &Guest) -> Bytes {
    call(guest, b"").await.unwrap()
}

#[tokio::test]
async fn state_lasts_for_the_calls_of_an_instance_and_is_gone_after_them() {
    let guest = counter(3).await;
    for expected in ["11", "21", "31", "11", "21", "31", "11"] {
        assert_eq!(count(&guest).await, expected);
    }
    let fresh = counter(1).await;
    for _ in 0..3 {
        assert_eq!(count(&fresh).await, "11");
    }
}

#[tokio::test]
async fn whatever_does_not_end_well_ends_the_instance() {
    let guest = counter(9).await;
    for bad in [b"t", b"e", b"z", b"x"] {
        assert_eq!(count(&guest).await, "11");
        assert_eq!(count(&guest).await, "21");
        let ended = call(&guest, bad).await;
        assert!(ended.is_err() || *bad == *b"x", "{ended:?}");
    }
    assert_eq!(count(&guest).await, "11");
    let late = guest.call("Test.Call", Bytes::from_static(b"s"), within(Duration::from_millis(50))).await;
    assert!(matches!(late, Err(CallError::DeadlineExceeded { .. })), "{late:?}");
    assert_eq!(count(&guest).await, "11");
}

#[tokio::test]
async fn an_abandoned_call_ends_the_instance() {
    let guest = counter(9).await;
    assert_eq!(count(&guest).await, "11");
    let call = guest.call("Test.Call", Bytes::from_static(b"o"), support::never_answering(Duration::from_secs(20)));
    tokio::select! {
        biased;
        ended = call => panic!("it waits for an answer: {ended:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(count(&guest).await, "11");
}

#[tokio::test]
async fn limits_of_a_call_begin_anew_and_memory_counts_on() {
    let guest = counter(9).await;
    for expected in ["11", "21", "31"] {
        // Sixty of the hundred calls out that one call may make.
        let answer = guest.call("Test.Call", Bytes::from_static(b"h"), answering(|_| Ok(Bytes::new()))).await;
        assert_eq!(answer.unwrap(), expected);
    }
    let guest = counter(9).await;
    for expected in ["11", "21", "31"] {
        assert_eq!(call(&guest, b"g").await.unwrap(), expected);
    }
    let breach = call(&guest, b"g").await;
    assert!(matches!(&breach, Err(CallError::LimitExceeded { limit }) if limit.contains("memory_bytes")), "{breach:?}");
    assert_eq!(count(&guest).await, "11");
}

#[tokio::test]
async fn every_call_goes_out_through_its_own_context() {
    let guest = counter(9).await;
    for answer in ["aa", "bb", "cc"] {
        let told = guest.call("Test.Call", Bytes::from_static(b"o"), answering(move |_| Ok(answer.into()))).await;
        assert_eq!(told.unwrap(), answer);
    }
    assert_eq!(count(&guest).await, "41", "all in one instance");
}

/// A context whose calls out are answered when there are four of them.
fn together() -> CallContext {
    static BARRIER: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(4));
    struct Together;

    #[async_trait]
    impl Outbound for Together {
        async fn call(&self, _call: OutboundCall) -> Result<Bytes, CallError> {
            BARRIER.wait().await;
            Ok(Bytes::new())
        }
    }

    CallContext { outbound: Arc::new(Together), ..context() }
}

#[tokio::test]
async fn no_instance_serves_two_calls_at_once() {
    let guest = counter(9).await;
    count(&guest).await;
    let calls = [(); 4].map(|()| guest.call("Test.Call", Bytes::from_static(b"w"), together()));
    let mut answers: Vec<Bytes> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    answers.sort();
    assert_eq!(answers, ["11", "11", "11", "21"]);
    let guest = load_with(COUNTER, GuestLimits { idle_instances: 0, ..reusing(9) }).await;
    assert_eq!([count(&guest).await, count(&guest).await], ["11", "11"], "none may wait");
}

#[tokio::test]
async fn instances_that_wait_keep_nobody_from_running() {
    let runtime = Runtime::new(&RuntimeConfig { max_instances: 2, ..RuntimeConfig::default() }).unwrap();
    let load = async |text: &str| {
        let wasm = wat::parse_str(text).unwrap();
        runtime.load(wasm.into(), identity(), reusing(9)).await.unwrap()
    };
    let guests = [load(COUNTER).await, load(COUNTER).await, load(ECHO).await];
    for _ in 0..3 {
        for guest in &guests {
            let both = join_all([(); 2].map(|()| call(guest, b"  "))).await;
            assert!(both.iter().all(Result::is_ok), "{both:?}");
        }
    }
}

/// The guest of `reuse.wat`.
const HTTP: &[u8] = include_bytes!("../guests/reuse.wasm");

async fn http(calls_per_instance: u32) -> Guest {
    runtime().load(HTTP.into(), identity(), reusing(calls_per_instance)).await.unwrap()
}

async fn request(guest: &Guest, path: &str) -> Result<Response<HttpBody>, CallError> {
    let empty: HttpBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
    guest.handle_http(Request::get(path).header("host", "test").body(empty).unwrap(), 1000, context()).await
}

/// The answer, once the guest is done with it.
async fn ask(guest: &Guest, path: &str) -> String {
    let answer = request(guest, path).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while guest.running() > 0 {
        assert!(tokio::time::Instant::now() < until, "it still runs");
        tokio::task::yield_now().await;
    }
    String::from_utf8(answer.to_vec()).unwrap()
}

#[tokio::test]
async fn a_component_serves_as_many_requests_as_were_chosen() {
    let guest = http(3).await;
    for expected in ["1", "2", "3", "1", "2", "3", "1"] {
        assert_eq!(ask(&guest, "/").await, expected);
    }
    let fresh = http(1).await;
    assert_eq!([ask(&fresh, "/").await, ask(&fresh, "/").await], ["1", "1"]);
}

#[tokio::test]
async fn a_component_that_failed_or_forgot_something_is_not_used_again() {
    let guest = http(9).await;
    assert_eq!(ask(&guest, "/").await, "1");
    request(&guest, "/t").await.err().unwrap();
    assert_eq!(ask(&guest, "/").await, "1");
    // It never answers: the end of its instance is what tells.
    let silent = request(&guest, "/n").await.err().unwrap();
    assert!(matches!(silent, CallError::Reported { .. }), "{silent:?}");
    assert_eq!(ask(&guest, "/").await, "1");
    // It drops what it should answer through, which is no reason to be thrown away.
    request(&guest, "/d").await.err().unwrap();
    assert_eq!(ask(&guest, "/").await, "3");
    assert_eq!(ask(&guest, "/k").await, "4", "it kept the request");
    assert_eq!(ask(&guest, "/").await, "1");
    let trapped = request(&guest, "/a").await.err().unwrap();
    assert_eq!(trapped.code(), "trap", "it trapped after its answer, of which nothing had left");
    assert_eq!(ask(&guest, "/").await, "1");
    let open = request(&guest, "/o").await.err().unwrap();
    assert_eq!(open.code(), "malformed", "a body that was left open is no complete one");
    assert_eq!(ask(&guest, "/").await, "1");
}

#[tokio::test]
async fn an_instance_whose_body_goes_on_is_not_idle() {
    let guest = http(9).await;
    assert_eq!(ask(&guest, "/").await, "1");
    let mut body = request(&guest, "/p").await.unwrap().into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "2");
    let other = request(&guest, "/").await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(other, "1", "another instance");
    drop(body);
    assert_eq!(ask(&guest, "/").await, "2", "the one that was stopped is gone");
}

#[tokio::test]
async fn messages_to_a_component_have_their_own_argument_and_result_each() {
    let wasm = Bytes::from_static(include_bytes!("../guests/component_actor.wasm"));
    let limits = GuestLimits { component_handles: 9, ..reusing(100) };
    let guest = runtime().load(wasm, identity(), limits).await.unwrap();
    let ask = async |payload: String| {
        let echo = answering(|call: OutboundCall| Ok([&b"<"[..], &call.payload, b">"].concat().into()));
        guest.call("Test.Call", payload.into(), echo).await
    };
    for number in 0..3 {
        assert_eq!(ask(format!("message {number}")).await.unwrap(), format!("<message {number}>"));
    }
    // It leaves its streams behind at every call, which is how one can tell that the instance is the same: at some time
    // it has too many, and another one goes on.
    let mut breaches = 0;
    for number in 0..20 {
        match ask(number.to_string()).await {
            Ok(answer) => assert_eq!(answer, format!("<{number}>")),
            Err(CallError::LimitExceeded { limit }) if limit.contains("component_handles") => breaches += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..10).contains(&breaches), "{breaches}");
}
