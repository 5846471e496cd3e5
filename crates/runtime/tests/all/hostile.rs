//! Modules that do harm: each ends in its own typed error, and a neighbour still answers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use contracts::CallError;
use runtime::GuestLimits;

use crate::support::{
    self, answering, call, context, eventually, limits, load, load_with, neighbour_answers, try_load, within,
};

/// A module whose call does `body`; every import of `wasmbus` is there.
fn doing(body: &str) -> String {
    format!(
        r#"(module
          (import "wasmbus" "__console_log" (func $log (param i32 i32)))
          (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
          (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
          (import "wasmbus" "__guest_error" (func $error (param i32 i32)))
          (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (import "wasmbus" "__host_response" (func $host_response (param i32)))
          (import "wasmbus" "__host_response_len" (func $host_response_len (result i32)))
          (import "wasmbus" "__host_error" (func $host_error (param i32)))
          (import "wasmbus" "__host_error_len" (func $host_error_len (result i32)))
          (memory (export "memory") 1)
          (table $table 1 funcref)
          (func $again (call $again))
          (func $inner (unreachable))
          (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
            {body}
            (i32.const 1)))"#
    )
}

async fn outcome(body: &str) -> Result<Bytes, CallError> {
    let guest = load(&doing(body)).await;
    let context = answering(|call| match call.operation.as_str() {
        "fail" => Err(CallError::Reported { message: "failed".to_owned() }),
        _ => Ok("done".into()),
    });
    let outcome = guest.call("Test.Call", "argument".into(), context).await;
    assert_eq!(guest.running(), 0);
    neighbour_answers().await;
    outcome
}

async fn trap(body: &str) -> String {
    match outcome(body).await {
        Err(CallError::Trap { message }) => message,
        other => panic!("expected a trap from {body}, got {other:?}"),
    }
}

async fn limit(body: &str) -> String {
    match outcome(body).await {
        Err(CallError::LimitExceeded { limit }) => limit,
        other => panic!("expected a broken limit from {body}, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_ends_at_the_deadline_while_others_run() {
    let guest = load(&doing("(loop $l (br $l))")).await;
    // More loops than threads: only yielding lets anybody else through.
    let loops: Vec<_> = (0..4)
        .map(|_| {
            let guest = guest.clone();
            tokio::spawn(async move { guest.call("Test.Call", Bytes::new(), within(Duration::from_millis(300))).await })
        })
        .collect();
    neighbour_answers().await;
    for ended in loops {
        assert_eq!(ended.await.unwrap().unwrap_err().code(), "deadline_exceeded");
    }
    // On a busy machine a caller is told before the guest, on a thread of low priority, has come to its end.
    eventually("all have ended", || guest.running() == 0).await;
}

#[tokio::test]
async fn an_endless_start_function_ends_at_the_deadline() {
    for text in [
        r#"(module (func $f (loop $l (br $l))) (start $f) (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#,
        r#"(module (func (export "_start") (loop $l (br $l))))"#,
    ] {
        let guest = load(text).await;
        let error = guest.call("x", Bytes::new(), within(Duration::from_millis(100))).await.unwrap_err();
        assert_eq!(error.code(), "deadline_exceeded");
    }
    neighbour_answers().await;
}

#[tokio::test]
async fn the_actors_own_call_time_ends_a_call_before_its_deadline() {
    let limits = GuestLimits { call_time: Duration::from_millis(50), ..limits() };
    let guest = load_with(&doing("(loop $l (br $l))"), limits).await;
    let before = Instant::now();
    assert_eq!(call(&guest, b"").await.unwrap_err().code(), "deadline_exceeded");
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn dropping_the_call_ends_the_guest() {
    let guest = load(&doing("(loop $l (br $l))")).await;
    let endless = guest.call("x", Bytes::new(), context());
    assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
    support::eventually("the end of the guest", || guest.running() == 0).await;
}

#[tokio::test]
async fn a_host_call_that_never_returns_ends_at_the_deadline() {
    let guest = load(&doing(HOST_CALL)).await;
    let context = support::never_answering(Duration::from_millis(100));
    assert_eq!(guest.call("x", Bytes::new(), context).await.unwrap_err().code(), "deadline_exceeded");
    neighbour_answers().await;
}

#[tokio::test]
async fn sleeping_does_not_outlast_the_deadline() {
    // A subscription to the monotonic clock, one hour from now.
    let guest = load(
        r#"(module
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start")
            (i32.store (i32.const 16) (i32.const 1))
            (i64.store (i32.const 24) (i64.const 3600000000000))
            (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))))"#,
    )
    .await;
    let error = guest.call("x", Bytes::new(), within(Duration::from_millis(100))).await.unwrap_err();
    assert_eq!(error.code(), "deadline_exceeded");
    neighbour_answers().await;
}

#[tokio::test]
async fn a_deadline_that_has_passed_starts_nothing() {
    let guest = load(support::ECHO).await;
    let error = guest.call("x", Bytes::new(), within(Duration::ZERO)).await.unwrap_err();
    assert_eq!(error.code(), "deadline_exceeded");
}

#[tokio::test]
async fn traps_name_their_kind_and_the_innermost_functions() {
    assert!(trap("(call $again)").await.starts_with("wasm trap: call stack exhausted in `again` called by `again`"));
    assert!(trap("(unreachable)").await.starts_with("wasm trap: wasm `unreachable` instruction executed"));
    let nested = trap("(call $inner)").await;
    assert!(nested.contains("in `inner` called by `function 11`"), "{nested}");
    let divided = trap(
        "(drop (i32.div_u (i32.const 1) (local.get $operation)))
        (drop (i32.div_u (i32.const 1) (i32.const 0)))",
    );
    assert!(divided.await.contains("integer divide by zero"));
    assert!(trap("(drop (i32.load (i32.const -8)))").await.contains("out of bounds memory access"));
    let indirect = trap("(call_indirect (i32.const 0))").await;
    assert!(indirect.contains("uninitialized element"), "{indirect}");
}

#[tokio::test]
async fn memory_has_a_limit_whether_it_grows_at_once_or_in_steps() {
    let all = "`memory_bytes` of 8388608";
    let at_once = "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable))";
    assert_eq!(limit(at_once).await, all);
    let in_steps = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)";
    assert_eq!(limit(in_steps).await, all);
}

#[tokio::test]
async fn a_guest_that_lives_with_refused_growth_is_no_failure() {
    assert_eq!(outcome("(drop (memory.grow (i32.const 1000)))").await.unwrap(), "");
}

#[tokio::test]
async fn tables_have_a_limit() {
    let grow = "(if (i32.eq (table.grow $table (ref.null func) (i32.const 5000)) (i32.const -1)) (then unreachable))";
    assert_eq!(limit(grow).await, "`table_elements` of 1000");
}

#[tokio::test]
async fn what_breaks_its_limits_at_start_is_not_loaded() {
    let memory = r#"(module (memory 200) (func (export "_start")))"#;
    assert_eq!(try_load(memory, limits()).await.err().unwrap().code(), "exceeds_limit");
    let table = r#"(module (table 2000 funcref) (func (export "_start")))"#;
    assert_eq!(try_load(table, limits()).await.err().unwrap().code(), "exceeds_limit");
}

/// A host call with good arguments.
const HOST_CALL: &str = "(drop (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) \
    (i32.const 1) (i32.const 0) (i32.const 1)))";
/// A host call whose operation is `fail`, so that a host error is pending.
const FAILING_HOST_CALL: &str = "(i32.store (i32.const 0) (i32.const 0x6c696166))
    (drop (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4)
    (i32.const 0) (i32.const 1)))";

#[tokio::test]
async fn every_pointer_and_length_of_every_import_is_checked() {
    let attempts = [
        ("`__console_log` text", "(call $log (i32.const 65530) (i32.const 7))".to_owned()),
        ("`__console_log` text", "(call $log (i32.const -1) (i32.const 1))".to_owned()),
        ("`__console_log` text", "(call $log (i32.const 0) (i32.const -1))".to_owned()),
        ("`__console_log` text", "(call $log (i32.const -1) (i32.const -1))".to_owned()),
        ("`__guest_request` operation", "(call $request (i32.const 65530) (i32.const 0))".to_owned()),
        ("`__guest_request` operation", "(call $request (i32.const -1) (i32.const 0))".to_owned()),
        ("`__guest_request` payload", "(call $request (i32.const 0) (i32.const 65530))".to_owned()),
        ("`__guest_response` payload", "(call $response (i32.const 65530) (i32.const 7))".to_owned()),
        ("`__guest_response` payload", "(call $response (i32.const -1) (i32.const 1))".to_owned()),
        ("`__guest_error` text", "(call $error (i32.const 65530) (i32.const 7))".to_owned()),
        ("`__guest_error` text", "(call $error (i32.const 0) (i32.const -1))".to_owned()),
        ("`__host_response` target", format!("{HOST_CALL} (call $host_response (i32.const 65533))")),
        ("`__host_response` target", format!("{HOST_CALL} (call $host_response (i32.const -1))")),
        ("`__host_error` target", format!("{FAILING_HOST_CALL} (call $host_error (i32.const 65533))")),
        ("`__host_call` binding", host_call(["65530 7", "0 0", "0 0", "0 0"])),
        ("`__host_call` namespace", host_call(["0 0", "65530 7", "0 0", "0 0"])),
        ("`__host_call` operation", host_call(["0 0", "0 0", "65530 7", "0 0"])),
        ("`__host_call` payload", host_call(["0 0", "0 0", "0 0", "65530 7"])),
        ("`__host_call` payload", host_call(["0 0", "0 0", "0 0", "-1 1"])),
    ];
    for (what, body) in attempts {
        let message = trap(&body).await;
        assert!(message.starts_with(what) && message.contains("outside of the guest's memory"), "{body}: {message}");
    }
}

fn host_call(spans: [&str; 4]) -> String {
    let arguments: Vec<String> =
        spans.iter().flat_map(|span| span.split(' ')).map(|number| format!("(i32.const {number})")).collect();
    format!("(drop (call $call {}))", arguments.join(" "))
}

#[tokio::test]
async fn a_length_of_four_gigabytes_is_refused_before_anything_is_allocated() {
    assert_eq!(limit(&host_call(["0 0", "0 0", "0 0", "0 -1"])).await, "`payload_bytes` of 1048576");
    assert_eq!(limit(&host_call(["0 -1", "0 0", "0 0", "0 0"])).await, "`__host_call` binding of at most 65536 bytes");
    let response = "(drop (memory.grow (i32.const 64))) (call $response (i32.const 0) (i32.const 2000000))";
    assert_eq!(limit(response).await, "`response_bytes` of 1048576");
    let error = "(drop (memory.grow (i32.const 64))) (call $error (i32.const 0) (i32.const 2000000))";
    assert_eq!(limit(error).await, "`response_bytes` of 1048576");
}

#[tokio::test]
async fn what_is_handed_out_once_traps_the_second_time() {
    let twice = "(call $request (i32.const 0) (i32.const 0)) (call $request (i32.const 0) (i32.const 0))";
    assert!(trap(twice).await.starts_with("`__guest_request`: no request is pending"));
    assert!(trap("(call $host_response (i32.const 0))").await.starts_with("`__host_response`: no result is pending"));
    assert!(trap("(call $host_error (i32.const 0))").await.starts_with("`__host_error`: no error is pending"));
    let twice = format!("{HOST_CALL} (call $host_response (i32.const 0)) (call $host_response (i32.const 0))");
    assert!(trap(&twice).await.starts_with("`__host_response`: no result is pending"));
}

#[tokio::test]
async fn the_request_is_not_there_before_the_call() {
    let guest = load(
        r#"(module
          (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
          (memory (export "memory") 1)
          (func (export "_start") (call $request (i32.const 0) (i32.const 0)))
          (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#,
    )
    .await;
    assert_eq!(call(&guest, b"").await.unwrap_err().code(), "trap");
}

#[tokio::test]
async fn error_text_that_is_not_utf8_is_made_readable() {
    let body = "(i32.store (i32.const 0) (i32.const 0x41ff41)) (call $error (i32.const 0) (i32.const 3))";
    assert_eq!(outcome(body).await.unwrap_err(), CallError::Reported { message: "A\u{fffd}A".to_owned() });
}

#[tokio::test]
async fn names_that_are_not_utf8_trap() {
    let body = format!("(i32.store (i32.const 0) (i32.const -1)) {}", host_call(["0 0", "0 4", "0 0", "0 0"]));
    assert!(trap(&body).await.starts_with("`__host_call` namespace is not UTF-8"));
}

#[tokio::test]
async fn calls_out_are_counted() {
    assert_eq!(limit(&format!("(loop $l {HOST_CALL} (br $l))")).await, "`host_calls_per_call` of 100");
}

#[tokio::test]
async fn endless_logging_ends_at_the_deadline_and_harms_nobody() {
    let guest = load(&doing("(loop $l (call $log (i32.const 0) (i32.const 60000)) (br $l))")).await;
    let error = guest.call("x", Bytes::new(), within(Duration::from_millis(100))).await.unwrap_err();
    assert_eq!(error.code(), "deadline_exceeded");
    neighbour_answers().await;
}

#[tokio::test]
async fn a_panic_in_the_host_is_a_host_fault_and_the_host_lives() {
    let guest = load(&doing(HOST_CALL)).await;
    let panicking = answering(|_| panic!("a bug of ours"));
    let error = guest.call("x", Bytes::new(), panicking).await.unwrap_err();
    assert_eq!(error, CallError::HostFault { message: "panic: a bug of ours".to_owned() });
    assert_eq!(guest.running(), 0);
    assert_eq!(guest.call("x", Bytes::new(), answering(|_| Ok(Bytes::new()))).await.unwrap(), "");
    neighbour_answers().await;
}
