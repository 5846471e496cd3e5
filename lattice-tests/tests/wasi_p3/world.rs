//! The world of these tests: a runtime with WASI 0.3, the actor on it, and somebody who answers its calls.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use ::http::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;
use contracts::{CallError, TraceContext};
use http_body_util::{BodyExt, Empty};
use lattice_tests::Actor;
use runtime::{
    CallContext, Denied, Guest, GuestLimits, HttpBody, Identity, Outbound, OutboundCall, Runtime, RuntimeConfig,
};

const ACTOR: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let config = RuntimeConfig { max_instances: 400, wasi_p3: true, ..RuntimeConfig::default() };
    Runtime::new(&config).expect("an engine")
});

pub fn runtime() -> &'static Runtime {
    &RUNTIME
}

pub fn wasm(actor: Actor) -> Bytes {
    actor.wasm().into()
}

pub fn identity(grants: &[&str]) -> Identity {
    let grants = grants.iter().map(|&grant| grant.to_owned()).collect();
    Identity { id: ACTOR.parse().expect("a key"), name: "test".to_owned(), grants }
}

/// Limits small enough to be hit at once.
pub fn limits() -> GuestLimits {
    GuestLimits {
        memory_bytes: 16 << 20,
        max_concurrent: 16,
        call_time: Duration::from_secs(20),
        host_calls_per_call: 100,
        component_handles: 200,
        ..GuestLimits::default()
    }
}

pub async fn load(limits: GuestLimits) -> Guest {
    runtime().load(wasm(Actor::P3), identity(&[]), limits).await.expect("loads")
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

pub fn get(path: &str) -> Request<HttpBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::get(path).header("host", "here.test").body(body).unwrap()
}

pub async fn ask(guest: &Guest, path: &str, context: CallContext) -> Result<Response<HttpBody>, CallError> {
    guest.handle_http(get(path), 1 << 20, context).await
}

pub async fn text(response: Response<HttpBody>) -> String {
    String::from_utf8(response.into_body().collect().await.expect("complete").to_bytes().to_vec()).unwrap()
}

/// The text it answers with.
pub async fn said(guest: &Guest, path: &str) -> String {
    text(ask(guest, path, context()).await.expect("answers")).await
}

/// Waits until `condition` holds, letting others run.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "{what}: not within 20 s");
        tokio::task::yield_now().await;
    }
}
