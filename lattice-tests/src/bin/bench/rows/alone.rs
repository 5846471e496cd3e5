//! An actor in a runtime without a host: what several rows and phases call.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ::runtime::{CallContext, Denied, Guest, GuestLimits, HttpBody, Identity, Runtime};
use anyhow::{Result, ensure};
use bytes::Bytes;
use claims::{KeyKind, KeyPair};
use contracts::TraceContext;
use http_body_util::{BodyExt, Full};
use lattice_tests::{Actor, HTTPSERVER};

/// Loads an actor under a new id, with the HTTP server among its grants.
pub async fn load(runtime: &Runtime, actor: Actor) -> Result<Guest> {
    let id = KeyPair::generate(KeyKind::Module).public().try_into()?;
    let grants = BTreeSet::from([HTTPSERVER.to_owned()]);
    let identity = Identity { id, name: actor.name().to_owned(), grants };
    Ok(runtime.load(actor.wasm().into(), identity, GuestLimits::default()).await?)
}

/// A call that may take a minute and go nowhere.
pub fn context() -> CallContext {
    let deadline = Instant::now() + Duration::from_secs(60);
    CallContext { deadline, trace: TraceContext::default(), outbound: Arc::new(Denied) }
}

/// A small HTTP request.
pub fn small_request() -> Result<http::Request<HttpBody>> {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
    Ok(http::Request::get("http://localhost/a/path?and=query").header("user-agent", "bench").body(body)?)
}

/// Sends it, and waits for all of the answer.
pub async fn ask(guest: &Guest) -> Result<()> {
    let answer = guest.handle_http(small_request()?, 1 << 20, context()).await?;
    ensure!(answer.status().is_success(), "status {}", answer.status());
    answer.into_body().collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok(())
}
