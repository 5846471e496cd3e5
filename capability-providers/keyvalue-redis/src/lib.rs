//! `wasmcloud:keyvalue` on a Redis server.
//!
//! Each link has a server and connections of its own. This file owns which actor is linked to which; `server` owns
//! connections, `commands` the operations. Invariant: a call ends by its deadline, and one that fails because of a server
//! says which.

mod commands;
mod fault;
mod scan;
mod server;
mod settings;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use provider_sdk::{
    Builtin, Descriptor, Health, LinkRefused, Provider, ProviderCall, Start, StartError,
    claims::ActorId,
    contracts::{
        CallError,
        keyvalue::{CONTRACT, Request},
    },
    lattice::{Link, LinkName},
};
use tokio::task::JoinSet;

use crate::{
    server::Server,
    settings::{LinkSettings, default_url},
};

/// The provider, to be run as a process or compiled into a host.
pub const BUILTIN: Builtin = Builtin {
    descriptor: Descriptor {
        name: "keyvalue-redis",
        contract: CONTRACT,
        display_name: "Key-value store on Redis",
        vendor: "wash",
        version: env!("CARGO_PKG_VERSION"),
        revision: 1,
    },
    start,
};

/// How long a health check may take; the host waits a little longer.
const CHECK_WITHIN: Duration = Duration::from_millis(1500);

fn start(start: Start) -> Result<Arc<dyn Provider>, StartError> {
    let url = default_url(start.config.as_deref()).map_err(|error| StartError { reason: error.to_string() })?;
    Ok(Arc::new(KeyValue { url, link_name: start.link_name, links: RwLock::default() }))
}

struct KeyValue {
    /// Of links that name none.
    url: String,
    link_name: LinkName,
    links: RwLock<HashMap<ActorId, Arc<Server>>>,
}

impl KeyValue {
    fn server(&self, actor: &ActorId) -> Option<Arc<Server>> {
        self.links.read().unwrap_or_else(PoisonError::into_inner).get(actor).cloned()
    }
}

#[async_trait]
impl Provider for KeyValue {
    async fn put_link(&self, link: &Link) -> Result<(), LinkRefused> {
        let settings = LinkSettings::parse(&link.values, &self.url)?;
        if self.server(&link.actor_id).is_some_and(|server| *server.settings() == settings) {
            return Ok(());
        }
        let server = Server::new(settings)?;
        server.connect().await.map_err(|away| LinkRefused::Unavailable { reason: away.to_string() })?;
        tracing::info!(actor = %link.actor_id, server = server.name(), "linked");
        self.links.write().unwrap_or_else(PoisonError::into_inner).insert(link.actor_id, Arc::new(server));
        Ok(())
    }

    async fn delete_link(&self, actor: &ActorId) {
        // Calls that run keep its connections until they have ended.
        self.links.write().unwrap_or_else(PoisonError::into_inner).remove(actor);
    }

    async fn call(&self, call: ProviderCall) -> Result<Bytes, CallError> {
        let server = self.server(&call.actor).ok_or_else(|| CallError::NotLinked {
            actor: call.actor.to_string(),
            contract: CONTRACT.to_owned(),
            link_name: self.link_name.to_string(),
        })?;
        let request = Request::decode(&call.operation, &call.payload)?;
        server.carry_out(&request, call.deadline).await?.encode().map(Bytes::from)
    }

    /// The provider is well when its process is; a message names servers that are away.
    async fn health(&self) -> Health {
        let servers: Vec<_> = self.links.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut checks = JoinSet::new();
        for server in servers {
            checks.spawn(async move { server.check(Instant::now() + CHECK_WITHIN).await.err() });
        }
        let mut away: Vec<String> =
            checks.join_all().await.into_iter().flatten().map(|error| error.to_string()).collect();
        away.sort();
        away.dedup();
        Health { healthy: true, message: (!away.is_empty()).then(|| away.join("; ")) }
    }

    async fn shutdown(&self) {
        self.links.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
