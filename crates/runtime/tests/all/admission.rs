//! Who gets in: `max_instances`, the queue, the host's pool.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::CallError;
use futures_util::FutureExt;
use runtime::{CallContext, Guest, GuestLimits, Outbound, OutboundCall, Runtime, RuntimeConfig};
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::support::{self, context, limits, load_with, within};

/// Calls out once and answers with what came back.
const CALLER: &str = r#"(module
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (drop (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)
      (i32.const 0) (i32.const 0)))
    (i32.const 1)))"#;

/// An outbound that tells when a guest has come to it, and lets it go on when told to.
struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

#[async_trait]
impl Outbound for Gate {
    async fn call(&self, _call: OutboundCall) -> Result<Bytes, CallError> {
        self.arrived.add_permits(1);
        self.open.acquire().await.expect("never closed").forget();
        Ok(Bytes::new())
    }
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), open: Semaphore::new(0) })
    }

    fn context(self: &Arc<Self>) -> CallContext {
        CallContext { outbound: self.clone(), ..context() }
    }

    fn start(self: &Arc<Self>, guest: &Guest) -> JoinHandle<Result<Bytes, CallError>> {
        let (guest, context) = (guest.clone(), self.context());
        tokio::spawn(async move { guest.call("x", Bytes::new(), context).await })
    }

    async fn arrivals(&self, count: u32) {
        self.arrived.acquire_many(count).await.unwrap().forget();
    }
}

#[tokio::test]
async fn a_full_actor_is_busy_at_once_and_serves_the_queue_afterwards() {
    let guest = load_with(CALLER, GuestLimits { max_concurrent: 1, queue: 1, ..limits() }).await;
    let gate = Gate::new();
    let running = gate.start(&guest);
    gate.arrivals(1).await;
    let mut queued = Box::pin(guest.call("x", Bytes::new(), gate.context()));
    assert!(queued.as_mut().now_or_never().is_none());

    let error = guest.call("x", Bytes::new(), gate.context()).await.unwrap_err();
    assert_eq!(error, CallError::Busy { target: support::ACTOR.to_owned(), limit: 1 });
    assert_eq!(guest.running(), 1);

    gate.open.add_permits(2);
    running.await.unwrap().unwrap();
    queued.await.unwrap();
    assert_eq!(guest.running(), 0);
}

#[tokio::test]
async fn waiting_ends_at_the_deadline() {
    let guest = load_with(CALLER, GuestLimits { max_concurrent: 1, ..limits() }).await;
    let gate = Gate::new();
    let running = gate.start(&guest);
    gate.arrivals(1).await;
    let error = guest.call("x", Bytes::new(), within(Duration::from_millis(50))).await.unwrap_err();
    let step = format!("`x` was waiting for a free instance of `{}`", support::ACTOR);
    assert_eq!(error, CallError::DeadlineExceeded { step });
    gate.open.add_permits(1);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn max_instances_changes_while_calls_wait() {
    let guest = load_with(CALLER, GuestLimits { max_concurrent: 1, ..limits() }).await;
    let gate = Gate::new();
    let calls: Vec<_> = (0..3).map(|_| gate.start(&guest)).collect();
    gate.arrivals(1).await;
    guest.set_max_instances(3);
    gate.arrivals(2).await;
    assert_eq!(guest.running(), 3);
    gate.open.add_permits(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn zero_instances_is_not_running() {
    let guest = load_with(CALLER, limits()).await;
    guest.set_max_instances(0);
    let error = guest.call("x", Bytes::new(), context()).await.unwrap_err();
    assert_eq!(error.code(), "not_running");
    guest.set_max_instances(1);
    guest.call("x", Bytes::new(), support::answering(|_| Ok(Bytes::new()))).await.unwrap();
}

#[tokio::test]
async fn the_pool_bounds_all_actors_together() {
    let config = RuntimeConfig { max_instances: 2, ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).unwrap();
    let wasm = Bytes::from(wat::parse_str(CALLER).unwrap());
    let limits = || GuestLimits { max_concurrent: u32::MAX, queue: 0, ..limits() };
    let first = runtime.load(wasm.clone(), support::identity(), limits()).await.unwrap();
    let second = runtime.load(wasm, support::identity(), limits()).await.unwrap();

    let gate = Gate::new();
    let calls = [gate.start(&first), gate.start(&second)];
    gate.arrivals(2).await;
    assert_eq!(runtime.running(), 2);
    let error = second.call("x", Bytes::new(), gate.context()).await.unwrap_err();
    assert_eq!(error, CallError::Busy { target: support::ACTOR.to_owned(), limit: 2 });
    gate.open.add_permits(2);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(runtime.running(), 0);
}

#[tokio::test]
async fn guests_call_guests_of_the_same_runtime() {
    struct Next(Guest);

    #[async_trait]
    impl Outbound for Next {
        async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
            let context = CallContext { deadline: call.deadline, ..context() };
            self.0.call(&call.operation, "nested".into(), context).await
        }
    }

    let echo = load_with(support::ECHO, limits()).await;
    let text = CALLER
        .replace("(func (export", r#"(import "wasmbus" "__host_response" (func $take (param i32))) (func (export"#)
        .replace(r#"(memory (export "memory") 1)"#, "")
        .replace("(func (export", r#"(memory (export "memory") 1) (func (export"#)
        .replace(
            "(i32.const 1)))",
            "(call $take (i32.const 0)) (call $response (i32.const 0) (i32.const 6)) (i32.const 1)))",
        );
    let caller = load_with(&text, limits()).await;
    let context = CallContext { outbound: Arc::new(Next(echo)), ..context() };
    assert_eq!(caller.call("x", Bytes::new(), context).await.unwrap(), "nested");
}

/// Every call out goes to the same actor again.
struct Recursion {
    guest: std::sync::OnceLock<Guest>,
    depth: std::sync::atomic::AtomicU32,
}

#[tokio::test]
async fn an_actor_that_calls_itself_without_end_ends_busy() {
    struct Again(Arc<Recursion>);

    #[async_trait]
    impl Outbound for Again {
        async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
            self.0.depth.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let context = CallContext { outbound: Arc::new(Again(self.0.clone())), ..context() };
            self.0.guest.get().expect("set").call(&call.operation, Bytes::new(), context).await
        }
    }

    let runtime = Runtime::new(&RuntimeConfig { max_instances: 100, ..RuntimeConfig::default() }).unwrap();
    let wasm = Bytes::from(wat::parse_str(CALLER).unwrap());
    let limits = GuestLimits { queue: 0, ..limits() };
    let guest = runtime.load(wasm, support::identity(), limits).await.unwrap();
    let recursion = Arc::new(Recursion { guest: guest.clone().into(), depth: 0.into() });
    let context = CallContext { outbound: Arc::new(Again(recursion.clone())), ..context() };
    let error = guest.call("x", Bytes::new(), context).await.unwrap_err();
    assert_eq!(recursion.depth.load(std::sync::atomic::Ordering::Relaxed), 100);
    assert!(error.to_string().contains("is busy: all 100 instances are in use"), "{error}");
    assert_eq!(runtime.running(), 0);
}
