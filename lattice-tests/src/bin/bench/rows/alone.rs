//! An actor in a runtime without a host: what several rows and phases call.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ::runtime::{CallContext, Denied, Guest, GuestLimits, Identity, Runtime};
use anyhow::Result;
use claims::{KeyKind, KeyPair};
use contracts::TraceContext;
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
