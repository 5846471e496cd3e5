//! `wasmcloud:httpserver`: HTTP requests become actor calls.
//!
//! One listener per address, shared by the links that name it and told apart by host name and path. This file owns
//! which actor is linked where; `ingress` owns the socket and `connections` who has one, `routing` decides whose
//! a request is,
//! `serve` answers one.
//! Invariant: a link is served completely or, after a refusal, exactly as before.

mod alarm;
mod answer;
mod connections;
mod detach;
mod ingress;
mod limits;
mod outgoing;
mod request;
mod routing;
mod serve;
mod stream;
mod turn;
mod upload;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use provider_sdk::{
    Actors, Builtin, Descriptor, Health, LinkRefused, Provider, ProviderCall, Start, StartError,
    claims::ActorId,
    contracts::{
        CallError,
        httpserver::{CONTRACT, HttpServerLink},
    },
    lattice::Link,
};
use tokio::sync::Mutex;

use crate::{
    ingress::{Draining, Ingress},
    limits::Limits,
    routing::Route,
};

/// The HTTP server, to be compiled into a host or run as a process.
pub const BUILTIN: Builtin = Builtin {
    descriptor: Descriptor {
        name: "httpserver",
        contract: CONTRACT,
        display_name: "HTTP server",
        vendor: "wash",
        version: env!("CARGO_PKG_VERSION"),
        revision: 1,
    },
    start,
};

fn start(start: Start) -> Result<Arc<dyn Provider>, StartError> {
    let limits = Limits::parse(start.config.as_deref())
        .map_err(|error| StartError { reason: format!("`{}`: {}", error.key, error.reason) })?;
    Ok(Arc::new(HttpServer { actors: start.actors, limits, state: Mutex::default() }))
}

/// One HTTP server with all its links.
struct HttpServer {
    actors: Arc<dyn Actors>,
    limits: Limits,
    /// Held while sockets open and close, never while requests run or drain.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: BTreeMap<ActorId, HttpServerLink>,
    ingresses: BTreeMap<SocketAddr, Ingress>,
}

impl HttpServer {
    fn listen(&self, address: SocketAddr) -> Result<Ingress, LinkRefused> {
        Ingress::bind(address, Arc::clone(&self.actors), self.limits)
            .map_err(|error| LinkRefused::Unavailable { reason: format!("cannot listen on `{address}`: {error}") })
    }
}

impl State {
    /// Takes the actor's route from its address; the last one to go closes the listener, whose requests have `drain`.
    async fn withdraw(&mut self, actor: &ActorId, address: SocketAddr, drain: Duration) -> Option<Draining> {
        let Entry::Occupied(mut ingress) = self.ingresses.entry(address) else { return None };
        if ingress.get_mut().remove(actor) { Some(ingress.remove().close(drain).await) } else { None }
    }

    /// What the requests on an address have when all of its links go at once.
    fn drain(&self, address: SocketAddr, default: Duration) -> Duration {
        let links = self.links.values().filter(|link| link.address == address);
        links.map(|link| link.drain.unwrap_or(default)).max().unwrap_or(default)
    }
}

#[async_trait]
impl Provider for HttpServer {
    async fn put_link(&self, link: &Link) -> Result<(), LinkRefused> {
        let wanted = HttpServerLink::parse(&link.values)?;
        let actor = link.actor_id;
        let mut state = self.state.lock().await;
        let drain = |link: &HttpServerLink| link.drain.unwrap_or(self.limits.drain);
        let previous = state.links.get(&actor).map(|link| (link.address, drain(link)));
        if state.links.get(&actor) == Some(&wanted) {
            return Ok(());
        }
        let route = Route::new(actor, wanted.clone());
        match state.ingresses.entry(wanted.address) {
            Entry::Occupied(mut ingress) => ingress.get_mut().put(route)?,
            Entry::Vacant(free) => free.insert(self.listen(wanted.address)?).put(route)?,
        }
        tracing::info!(%actor, address = %wanted.address, "serving");
        if !wanted.ignored.is_empty() {
            tracing::warn!(%actor, keys = ?wanted.ignored, "link values without effect: not keys of this contract");
        }
        let left = previous.filter(|(address, _)| *address != wanted.address);
        // Before the first wait, so that a put that is given up half way leaves the books right.
        state.links.insert(actor, wanted);
        let left = match left {
            Some((address, drain)) => state.withdraw(&actor, address, drain).await,
            None => None,
        };
        drop(state);
        if let Some(draining) = left {
            draining.wait().await;
        }
        Ok(())
    }

    async fn delete_link(&self, actor: &ActorId) {
        let mut state = self.state.lock().await;
        let Some(link) = state.links.remove(actor) else { return };
        let left = state.withdraw(actor, link.address, link.drain.unwrap_or(self.limits.drain)).await;
        drop(state);
        if let Some(draining) = left {
            draining.wait().await;
        }
        tracing::info!(%actor, address = %link.address, "no longer serving");
    }

    async fn call(&self, call: ProviderCall) -> Result<Bytes, CallError> {
        Err(CallError::Unsupported { target: CONTRACT.to_owned(), operation: call.operation })
    }

    async fn health(&self) -> Health {
        let state = self.state.lock().await;
        let dead = state.ingresses.iter().find(|(_, ingress)| !ingress.is_listening());
        Health { healthy: dead.is_none(), message: dead.map(|(address, _)| format!("`{address}` stopped listening")) }
    }

    async fn shutdown(&self) {
        let mut state = self.state.lock().await;
        let closing = std::mem::take(&mut state.ingresses).into_iter();
        let closing: Vec<_> =
            closing.map(|(address, ingress)| (ingress, state.drain(address, self.limits.drain))).collect();
        state.links.clear();
        drop(state);
        join_all(closing.into_iter().map(|(ingress, drain)| async move { ingress.close(drain).await.wait().await }))
            .await;
    }
}
