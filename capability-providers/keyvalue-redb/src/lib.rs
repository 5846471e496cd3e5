//! `wasmcloud:keyvalue` in a file of this machine.
//!
//! One database per start of the provider, in a directory that outlives it; within it a key space per actor, or one that
//! several links name. This file owns which actor is linked to which space; `store` owns the database. Invariant: a call
//! that was answered is on disk, and what it changed was changed as a whole.

mod error;
mod file;
mod read;
mod record;
mod settings;
mod store;
mod sweep;
mod tables;
mod write;
mod writer;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
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

use crate::{
    settings::{LinkSettings, Settings},
    store::Store,
};

/// The store, to be compiled into a host or run as a process.
pub const BUILTIN: Builtin = Builtin {
    descriptor: Descriptor {
        name: "keyvalue-redb",
        contract: CONTRACT,
        display_name: "Key-value store on disk",
        vendor: "wash",
        version: env!("CARGO_PKG_VERSION"),
        revision: 1,
    },
    start,
};

fn start(start: Start) -> Result<Arc<dyn Provider>, StartError> {
    let settings = Settings::parse(start.config.as_deref(), start.data_dir)
        .map_err(|error| StartError { reason: error.to_string() })?;
    let store = Store::open(&settings).map_err(|error| StartError { reason: error.to_string() })?;
    Ok(Arc::new(KeyValue { store, link_name: start.link_name, links: RwLock::default() }))
}

struct KeyValue {
    store: Store,
    link_name: LinkName,
    links: RwLock<HashMap<ActorId, LinkSettings>>,
}

#[async_trait]
impl Provider for KeyValue {
    async fn put_link(&self, link: &Link) -> Result<(), LinkRefused> {
        let settings = LinkSettings::parse(&link.actor_id, &link.values)?;
        self.links.write().unwrap_or_else(PoisonError::into_inner).insert(link.actor_id, settings);
        Ok(())
    }

    async fn delete_link(&self, actor: &ActorId) {
        self.links.write().unwrap_or_else(PoisonError::into_inner).remove(actor);
    }

    async fn call(&self, call: ProviderCall) -> Result<Bytes, CallError> {
        let link = self.links.read().unwrap_or_else(PoisonError::into_inner).get(&call.actor).cloned();
        let link = link.ok_or_else(|| CallError::NotLinked {
            actor: call.actor.to_string(),
            contract: CONTRACT.to_owned(),
            link_name: self.link_name.to_string(),
        })?;
        let request = Request::decode(&call.operation, &call.payload)?;
        self.store.carry_out(link, request, call.deadline).await?.encode().map(Bytes::from)
    }

    async fn health(&self) -> Health {
        let trouble = self.store.trouble();
        Health { healthy: trouble.is_none(), message: trouble }
    }

    async fn shutdown(&self) {
        self.store.close().await;
    }
}
