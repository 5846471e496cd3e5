//! Modules that behave: the vectors' guest, `_start`, host calls and their errors (protocol sections 5.1 to 5.3).

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use contracts::{CallError, codec, httpserver::HttpResponse};
use runtime::{GuestKind, OutboundTarget};

use crate::support::{self, answering, call, context, load, runtime};

const WAPC_ACTOR: &[u8] = include_bytes!("../guests/wapc_actor.wasm");

async fn wapc_actor() -> runtime::Guest {
    runtime().load(WAPC_ACTOR.into(), support::identity(), support::limits()).await.unwrap()
}

fn reported(result: Result<Bytes, CallError>) -> String {
    match result {
        Err(CallError::Reported { message }) => message,
        other => panic!("expected a reported error, got {other:?}"),
    }
}

#[tokio::test]
async fn the_vectors_module_answers_http_as_a_message() {
    let guest = wapc_actor().await;
    assert_eq!(guest.kind(), GuestKind::Module);
    assert!(!guest.serves_http());
    let answer = guest.call("HttpServer.HandleRequest", Bytes::new(), context()).await.unwrap();
    let answer: HttpResponse = codec::decode("response", &answer).unwrap();
    assert_eq!(answer.status_code, 200);
    assert_eq!(answer.header["content-type"], ["text/plain"]);
    assert_eq!(answer.body, b"hello from wapc\n");
}

#[tokio::test]
async fn the_vectors_module_calls_out_over_its_link() {
    let guest = wapc_actor().await;
    let seen = Arc::new(Mutex::new(None));
    let context = answering({
        let seen = seen.clone();
        move |call| {
            *seen.lock().unwrap() = Some(call);
            Ok("value".into())
        }
    });
    let deadline = context.deadline;
    assert_eq!(guest.call("KeyValue.Get", "key".into(), context).await.unwrap(), "value");
    let seen = seen.lock().unwrap().take().unwrap();
    let target =
        OutboundTarget::Unresolved { binding: "default".to_owned(), namespace: "wasmcloud:keyvalue".to_owned() };
    assert_eq!((seen.target, seen.operation.as_str(), seen.payload), (target, "KeyValue.Get", Bytes::from("key")));
    assert!(seen.deadline <= deadline);
}

#[tokio::test]
async fn the_vectors_module_passes_a_host_error_on() {
    let guest = wapc_actor().await;
    let error = CallError::Reported { message: "boom".to_owned() };
    let context = answering(move |_| Err(error.clone()));
    assert_eq!(reported(guest.call("KeyValue.Get", "key".into(), context).await), "boom");
}

#[tokio::test]
async fn a_fresh_instance_serves_each_call() {
    let guest = load(
        r#"(module
          (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
          (memory (export "memory") 1)
          (func (export "__guest_call") (param i32 i32) (result i32)
            (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 48)))
            (call $response (i32.const 0) (i32.const 1))
            (i32.const 1)))"#,
    )
    .await;
    for _ in 0..5 {
        assert_eq!(call(&guest, b"").await.unwrap(), "0");
    }
}

#[tokio::test]
async fn no_response_is_an_empty_one() {
    let guest = load(r#"(module (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#).await;
    assert_eq!(call(&guest, b"").await.unwrap(), "");
}

#[tokio::test]
async fn a_code_other_than_one_is_a_failed_operation() {
    let guest = load(r#"(module (func (export "__guest_call") (param i32 i32) (result i32) (i32.const -3)))"#).await;
    assert_eq!(reported(call(&guest, b"").await), "operation failed with exit code `-3`");
}

#[tokio::test]
async fn start_runs_before_every_call() {
    let guest = load(
        r#"(module
          (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
          (memory (export "memory") 1)
          (func (export "_start") (i32.store8 (i32.const 0) (i32.const 65)))
          (func (export "__guest_call") (param i32 i32) (result i32)
            (call $response (i32.const 0) (i32.const 1))
            (i32.const 1)))"#,
    )
    .await;
    assert_eq!(call(&guest, b"").await.unwrap(), "A");
    assert_eq!(call(&guest, b"").await.unwrap(), "A");
}

#[tokio::test]
async fn initialize_runs_where_there_is_no_start() {
    let guest = load(
        r#"(module
          (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
          (memory (export "memory") 1)
          (func (export "_initialize") (i32.store8 (i32.const 0) (i32.const 66)))
          (func (export "__guest_call") (param i32 i32) (result i32)
            (call $response (i32.const 0) (i32.const 1))
            (i32.const 1)))"#,
    )
    .await;
    assert_eq!(call(&guest, b"").await.unwrap(), "B");
}

/// Copies standard input to standard output after writing the number of its arguments.
const COMMAND: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $args (i32.const 64) (i32.const 128)))
    ;; the second argument, 9 bytes
    (i32.store (i32.const 0) (i32.load (i32.const 68)))
    (i32.store (i32.const 4) (i32.const 9))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 512))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 33)) (then (call $exit (i32.const 7))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (call $exit (i32.const 0))))"#;

#[tokio::test]
async fn a_module_with_start_alone_works_on_its_standard_streams() {
    let guest = load(COMMAND).await;
    assert_eq!(call(&guest, b", input").await.unwrap(), "Test.Call, input");
    assert_eq!(reported(call(&guest, b"!").await), "operation failed with exit code `7`");
}

/// One host call, then what the argument's first byte says: `r` responds, `e` fetches the error and responds with it,
/// `n` fetches nothing and returns 1, `f` fetches nothing and returns 0.
const CALLER: &str = r#"(module
  (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (import "wasmbus" "__guest_error" (func $error (param i32 i32)))
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasmbus" "__host_response" (func $host_response (param i32)))
  (import "wasmbus" "__host_response_len" (func $host_response_len (result i32)))
  (import "wasmbus" "__host_error" (func $host_error (param i32)))
  (import "wasmbus" "__host_error_len" (func $host_error_len (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "linkns:apiT.Op")
  (func (export "__guest_call") (param i32 i32) (result i32) (local $n i32)
    (call $request (i32.const 512) (i32.const 1024))
    (drop (call $call (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 6) (i32.const 10) (i32.const 4)
      (i32.const 1024) (local.get 1)))
    (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 114)) (then
      (local.set $n (call $host_response_len))
      (call $host_response (i32.const 2048))
      (if (call $host_response_len) (then unreachable))
      (call $response (i32.const 2048) (local.get $n))))
    (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 101)) (then
      (local.set $n (call $host_error_len))
      (call $host_error (i32.const 2048))
      (if (call $host_error_len) (then unreachable))
      (call $response (i32.const 2048) (local.get $n))))
    (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 103)) (then
      (call $error (i32.const 10) (i32.const 4))))
    (i32.ne (i32.load8_u (i32.const 1024)) (i32.const 102))))"#;

#[tokio::test]
async fn results_and_errors_are_fetched_once() {
    let guest = load(CALLER).await;
    let answer = answering(|call| Ok(call.operation.into()));
    assert_eq!(guest.call("x", "r".into(), answer).await.unwrap(), "T.Op");
    let failing = || answering(|_| Err(CallError::Reported { message: "broken".to_owned() }));
    assert_eq!(guest.call("x", "e".into(), failing()).await.unwrap(), "broken", "fetched, so handled");
}

#[tokio::test]
async fn a_host_error_nobody_fetched_decides_the_call_whatever_its_code() {
    let guest = load(CALLER).await;
    let failing = || answering(|_| Err(CallError::Reported { message: "broken".to_owned() }));
    assert_eq!(reported(guest.call("x", "n".into(), failing()).await), "broken");
    assert_eq!(reported(guest.call("x", "f".into(), failing()).await), "broken");
    assert_eq!(reported(guest.call("x", "g".into(), failing()).await), "T.Op", "the guest's own error comes first");
    let fine = answering(|_| Ok(Bytes::new()));
    assert_eq!(reported(guest.call("x", "f".into(), fine).await), "operation failed with exit code `0`");
}

#[tokio::test]
async fn a_host_error_reads_as_the_whole_sentence() {
    let guest = load(CALLER).await;
    let error = reported(guest.call("x", "n".into(), context()).await);
    assert_eq!(error, "the signed claims of `guest` do not grant `ns:api`");
}

#[tokio::test]
async fn built_ins_are_answered_without_leaving() {
    let text = CALLER.replace(r#""linkns:apiT.Op""#, r#""wasmcloud:builtin:numbergenNumberGen.GenerateGuid""#).replace(
        "(i32.const 0) (i32.const 4) (i32.const 4) (i32.const 6) (i32.const 10) (i32.const 4)",
        "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 27) (i32.const 27) (i32.const 22)",
    );
    let guest = load(&text).await;
    let answer = guest.call("x", "r".into(), answering(|call| panic!("left: {call:?}"))).await.unwrap();
    let guid: String = codec::decode("guid", &answer).unwrap();
    assert_eq!(guid.len(), 36);
}

#[tokio::test]
async fn an_argument_above_its_limit_is_refused_before_the_guest_runs() {
    let guest = load(support::ECHO).await;
    let error = guest.call("x", vec![0; (1 << 20) + 1].into(), context()).await.unwrap_err();
    assert_eq!(error.code(), "limit_exceeded");
    assert!(error.to_string().contains("`payload_bytes` of 1048576"), "{error}");
}

#[tokio::test]
async fn a_result_of_a_call_out_above_its_limit_becomes_a_host_error() {
    let guest = load(CALLER).await;
    let answer = answering(|_| Ok(vec![0; (1 << 20) + 1].into()));
    let error = reported(guest.call("x", "n".into(), answer).await);
    assert!(error.contains("`response_bytes` of 1048576"), "{error}");
}
