//! The host functions of waPC modules, called by a guest that does what the input says.
//!
//! The input is a script: one byte names a function, three bytes are each of its arguments, which the guest turns into
//! pointers and lengths near the beginning, near the end and beyond of its memory. The law: whatever the guest does, it
//! ends with an answer or an error that is its own fault, and its neighbour does not notice.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::{CallError, TraceContext};
use runtime::{
    CallContext, Guest, GuestLimits, Identity, Outbound, OutboundCall, OutboundTarget, Runtime, RuntimeConfig,
};

const ACTOR: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";
const PAYLOAD: u32 = 100_000;

/// Runs the script at 1024, whose length is that of the payload. Writing over it is part of the game.
const INTERPRETER: &str = r#"(module
  (import "wasmbus" "__console_log" (func $log (param i32 i32)))
  (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (import "wasmbus" "__guest_error" (func $error (param i32 i32)))
  (import "wasmbus" "__host_response" (func $host_response (param i32)))
  (import "wasmbus" "__host_response_len" (func $host_response_len (result i32)))
  (import "wasmbus" "__host_error" (func $host_error (param i32)))
  (import "wasmbus" "__host_error_len" (func $host_error_len (result i32)))
  (import "wasmbus" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $at (mut i32) (i32.const 1024))
  (func $byte (result i32)
    (global.set $at (i32.add (global.get $at) (i32.const 1)))
    (i32.load8_u (i32.and (i32.sub (global.get $at) (i32.const 1)) (i32.const 0x1ffff))))
  (func $argument (result i32) (local $mode i32) (local $value i32)
    (local.set $mode (i32.and (call $byte) (i32.const 3)))
    (local.set $value (i32.or (call $byte) (i32.shl (call $byte) (i32.const 8))))
    (if (i32.eq (local.get $mode) (i32.const 1)) (then
      (return (i32.sub (i32.const 0x20000) (local.get $value)))))
    (if (i32.eq (local.get $mode) (i32.const 2)) (then
      (return (i32.sub (i32.const 0) (local.get $value)))))
    (if (i32.eq (local.get $mode) (i32.const 3)) (then
      (return (i32.and (local.get $value) (i32.const 0xff)))))
    (local.get $value))
  (func $step (local $function i32)
    (local.set $function (i32.rem_u (call $byte) (i32.const 12)))
    (if (i32.eq (local.get $function) (i32.const 0)) (then (call $log (call $argument) (call $argument))))
    (if (i32.eq (local.get $function) (i32.const 1)) (then (call $request (call $argument) (call $argument))))
    (if (i32.eq (local.get $function) (i32.const 2)) (then (call $response (call $argument) (call $argument))))
    (if (i32.eq (local.get $function) (i32.const 3)) (then (call $error (call $argument) (call $argument))))
    (if (i32.eq (local.get $function) (i32.const 4)) (then (call $host_response (call $argument))))
    (if (i32.eq (local.get $function) (i32.const 5)) (then (drop (call $host_response_len))))
    (if (i32.eq (local.get $function) (i32.const 6)) (then (call $host_error (call $argument))))
    (if (i32.eq (local.get $function) (i32.const 7)) (then (drop (call $host_error_len))))
    (if (i32.eq (local.get $function) (i32.const 8)) (then
      (drop (call $host_call (call $argument) (call $argument) (call $argument) (call $argument)
        (call $argument) (call $argument) (call $argument) (call $argument)))))
    (if (i32.eq (local.get $function) (i32.const 9)) (then
      (drop (memory.grow (i32.and (call $argument) (i32.const 0x1f))))))
    (if (i32.eq (local.get $function) (i32.const 10)) (then
      (i32.store8 (i32.and (call $argument) (i32.const 0x1ffff)) (call $byte)))))
  (func (export "__guest_call") (param $operation i32) (param $script i32) (result i32) (local $end i32)
    (call $request (i32.const 0) (i32.const 1024))
    (local.set $end (i32.add (i32.const 1024) (local.get $script)))
    (loop $next
      (if (i32.lt_u (global.get $at) (local.get $end)) (then (call $step) (br $next))))
    (i32.const 1)))"#;

const ECHO: &str = r#"(module
  (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $request (i32.const 0) (i32.const 1024))
    (call $response (i32.const 1024) (local.get 1))
    (i32.const 1)))"#;

struct World {
    executor: tokio::runtime::Runtime,
    guest: Guest,
    neighbour: Guest,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
    let config = RuntimeConfig { max_instances: 8, memory_bytes: 2 << 20, warm_slots: 4, ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).expect("an engine");
    let load = |text: &str| {
        let wasm = wat::parse_str(text).expect("valid text");
        let id = ACTOR.parse().expect("a key");
        let identity = Identity { id, name: "fuzz".to_owned(), grants: Default::default() };
        let limits = GuestLimits {
            memory_bytes: 1 << 20,
            payload_bytes: PAYLOAD,
            response_bytes: PAYLOAD,
            host_calls_per_call: 50,
            log_lines_per_call: 10,
            ..GuestLimits::default()
        };
        executor.block_on(runtime.load(wasm.into(), identity, limits)).expect("loads")
    };
    let (guest, neighbour) = (load(INTERPRETER), load(ECHO));
    World { executor, guest, neighbour }
});

/// Whoever is called: the operation says how that ends.
struct Peer;

#[async_trait]
impl Outbound for Peer {
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
        assert!(call.payload.len() <= PAYLOAD as usize);
        assert!(matches!(call.target, OutboundTarget::Unresolved { .. }));
        match call.operation.as_bytes().first() {
            Some(b'e') => Err(CallError::Reported { message: call.operation }),
            Some(b'l') => Ok(vec![0; PAYLOAD as usize + 1].into()),
            Some(b'w') => {
                tokio::task::yield_now().await;
                Ok(call.payload)
            }
            _ => Ok(call.payload),
        }
    }
}

/// Runs a script, and the neighbour after it.
pub fn wapc_host(data: &[u8]) {
    let world = &*WORLD;
    let call = |guest: &Guest, payload: Bytes| {
        let deadline = Instant::now() + Duration::from_secs(30);
        let context = CallContext { deadline, trace: TraceContext::default(), outbound: Arc::new(Peer) };
        world.executor.block_on(guest.call("Fuzz.Run", payload, context))
    };
    match call(&world.guest, Bytes::copy_from_slice(data)) {
        Ok(answer) => assert!(answer.len() <= PAYLOAD as usize),
        Err(error) => {
            assert!(matches!(error.code(), "reported" | "trap" | "limit_exceeded"), "{}: {error}", error.code());
        }
    }
    assert_eq!(world.guest.running(), 0);
    assert_eq!(call(&world.neighbour, Bytes::from_static(b"here")).expect("the neighbour answers"), "here");
}
