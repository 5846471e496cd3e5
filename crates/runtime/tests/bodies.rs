//! Bodies of all calls under way have one bound, which is that of the process: hence one test.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::{Budget, CallError};
use http_body_util::{BodyExt, Full};
use runtime::{CallContext, Guest, GuestLimits, HttpBody, Outbound, OutboundCall, Runtime, RuntimeConfig};
use tokio::sync::Semaphore;

/// Takes the request, calls out, and answers as `HttpServer.HandleRequest` does: status 200 and no body.
const SLOW: &str = r#"(module
  (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "\83\aastatusCode\cc\c8\a6header\80\a4body\c4\00")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (drop (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)
      (i32.const 0) (i32.const 0)))
    (call $response (i32.const 1024) (i32.const 29))
    (i32.const 1)))"#;

const LONG: Duration = Duration::from_secs(20);

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

fn request(bytes: usize) -> http::Request<HttpBody> {
    let body = Full::new(Bytes::from(vec![7; bytes])).map_err(|never| match never {}).boxed_unsync();
    http::Request::post("http://localhost/").body(body).unwrap()
}

async fn post(guest: Guest, gate: Arc<Gate>, bytes: usize) -> Result<u16, CallError> {
    let context = CallContext { outbound: gate, ..support::context() };
    Ok(guest.handle_http(request(bytes), u64::MAX, context).await?.status().as_u16())
}

#[tokio::test]
async fn bodies_of_all_calls_have_a_bound_and_what_does_not_fit_is_busy() {
    const ALL: u64 = 64 << 20;
    let config = RuntimeConfig { max_instances: 8, body_memory_bytes: Some(ALL), ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).unwrap();
    let wasm = wat::parse_str(SLOW).unwrap();
    let limits = GuestLimits { payload_bytes: 128 << 20, ..support::limits() };
    let guest = runtime.load(wasm.into(), support::identity(), limits).await.unwrap();
    let gate = Arc::new(Gate { arrived: Semaphore::new(0), open: Semaphore::new(0) });
    let first = tokio::spawn(post(guest.clone(), gate.clone(), 20 << 20));
    tokio::time::timeout(LONG, gate.arrived.acquire()).await.expect("it comes to the gate").unwrap().forget();
    assert!(Budget::bodies().used() > 20 << 20, "it is held while its call runs");
    let refused = post(guest.clone(), gate.clone(), 40 << 20).await.unwrap_err();
    assert!(matches!(refused, CallError::NoRoom { begun: false, .. }) && refused.code() == "busy", "{refused}");
    gate.open.add_permits(3);
    assert_eq!(post(guest.clone(), gate.clone(), 1000).await, Ok(200), "small ones are not turned away");
    assert_eq!(first.await.unwrap(), Ok(200));
    assert_eq!(Budget::bodies().used(), 0);
    assert_eq!(post(guest, gate, 20 << 20).await, Ok(200), "there is room again");
}
