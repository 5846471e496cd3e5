//! The world of these tests: one runtime for all of them, guests from text, an outbound that is a closure.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::{CallError, TraceContext};
use runtime::{
    CallContext, Denied, Guest, GuestLimits, Identity, LoadError, Outbound, OutboundCall, Runtime, RuntimeConfig,
};

/// Id of the waPC guest of the protocol's vectors.
pub const ACTOR: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";

/// A module that answers whatever it is asked with its argument.
pub const ECHO: &str = r#"(module
  (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (call $request (i32.const 0) (i32.const 1024))
    (call $response (i32.const 1024) (local.get $payload))
    (i32.const 1)))"#;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let config = RuntimeConfig { max_instances: 64, epoch_tick: Duration::from_millis(1), ..RuntimeConfig::default() };
    Runtime::new(&config).expect("an engine")
});

pub fn runtime() -> &'static Runtime {
    &RUNTIME
}

pub fn identity() -> Identity {
    Identity { id: ACTOR.parse().expect("a key"), name: "test".to_owned(), grants: Default::default() }
}

/// Limits small enough to be hit at once.
pub fn limits() -> GuestLimits {
    GuestLimits {
        memory_bytes: 8 << 20,
        table_elements: 1000,
        call_time: Duration::from_secs(20),
        payload_bytes: 1 << 20,
        response_bytes: 1 << 20,
        host_calls_per_call: 100,
        component_handles: 100,
        ..GuestLimits::default()
    }
}

pub async fn try_load(text: &str, limits: GuestLimits) -> Result<Guest, LoadError> {
    let wasm = wat::parse_str(text).expect("valid text");
    runtime().load(wasm.into(), identity(), limits).await
}

pub async fn load_with(text: &str, limits: GuestLimits) -> Guest {
    try_load(text, limits).await.expect("loads")
}

pub async fn load(text: &str) -> Guest {
    load_with(text, limits()).await
}

pub fn within(time: Duration) -> CallContext {
    CallContext { deadline: Instant::now() + time, trace: TraceContext::default(), outbound: Arc::new(Denied) }
}

pub fn context() -> CallContext {
    within(Duration::from_secs(20))
}

/// A context whose calls out are answered by `answer`.
pub fn answering(answer: impl Fn(OutboundCall) -> Result<Bytes, CallError> + Send + Sync + 'static) -> CallContext {
    struct Answer<F>(F);

    #[async_trait]
    impl<F: Fn(OutboundCall) -> Result<Bytes, CallError> + Send + Sync + 'static> Outbound for Answer<F> {
        async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
            (self.0)(call)
        }
    }

    CallContext { outbound: Arc::new(Answer(answer)), ..context() }
}

/// A context whose calls out never return.
pub fn never_answering(time: Duration) -> CallContext {
    struct Never;

    #[async_trait]
    impl Outbound for Never {
        async fn call(&self, _call: OutboundCall) -> Result<Bytes, CallError> {
            std::future::pending().await
        }
    }

    CallContext { outbound: Arc::new(Never), ..within(time) }
}

pub async fn call(guest: &Guest, payload: &'static [u8]) -> Result<Bytes, CallError> {
    guest.call("Test.Call", Bytes::from_static(payload), context()).await
}

/// Another actor on the same runtime still answers.
pub async fn neighbour_answers() {
    let neighbour = load(ECHO).await;
    assert_eq!(call(&neighbour, b"still here").await.expect("answers"), "still here");
}

/// Waits until `condition` holds, letting others run.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "{what}: not within 20 s");
        tokio::task::yield_now().await;
    }
}
