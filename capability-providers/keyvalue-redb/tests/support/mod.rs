//! The provider in this process, with actors that are linked to it.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use provider_sdk::{
    Actors, HttpBody, HttpTerms, Provider, ProviderCall, Start, StartError,
    claims::{ActorId, KeyKind, ProviderId, PublicKey},
    conformance::{World, keyvalue::Client},
    contracts::{CallError, TraceContext, keyvalue::CONTRACT},
    lattice::Link,
};
use tempfile::TempDir;

pub struct Embedded {
    pub provider: Arc<dyn Provider>,
    pub dir: TempDir,
    actors: AtomicU8,
}

pub fn try_start(dir: &Path, config: Option<&str>) -> Result<Arc<dyn Provider>, StartError> {
    (provider_keyvalue_redb::BUILTIN.start)(Start {
        actors: Arc::new(NoActors),
        link_name: "default".parse().unwrap(),
        config: config.map(str::to_owned),
        data_dir: Some(dir.join("data")),
    })
}

impl Embedded {
    pub fn start(config: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { provider: try_start(dir.path(), config).unwrap(), dir, actors: AtomicU8::new(0) }
    }

    /// Ends the provider and starts another on the same directory.
    pub async fn again(self) -> Self {
        self.provider.shutdown().await;
        drop(self.provider);
        Self { provider: try_start(self.dir.path(), None).unwrap(), dir: self.dir, actors: AtomicU8::new(0) }
    }

    pub async fn linked(&self, actor: u8, values: &[(&str, &str)]) -> ActorId {
        let link = link(actor, values);
        self.provider.put_link(&link).await.unwrap();
        link.actor_id
    }
}

pub async fn client(world: &Arc<Embedded>, actor: u8, values: &[(&str, &str)]) -> Client {
    let actor = world.linked(actor, values).await;
    Client { world: Arc::clone(world) as Arc<dyn World>, actor }
}

pub fn link(actor: u8, values: &[(&str, &str)]) -> Link {
    Link {
        actor_id: PublicKey::from_raw(KeyKind::Module, [actor; 32]).try_into().unwrap(),
        provider_id: ProviderId::well_known("keyvalue-redb"),
        contract_id: CONTRACT.parse().unwrap(),
        link_name: "default".parse().unwrap(),
        values: values.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

#[async_trait]
impl World for Embedded {
    async fn actor(&self) -> ActorId {
        self.linked(self.actors.fetch_add(1, Ordering::Relaxed), &[]).await
    }

    async fn sharing(&self) -> Option<(ActorId, ActorId)> {
        Some((self.linked(254, &[("NAMESPACE", "shared")]).await, self.linked(255, &[("namespace", "shared")]).await))
    }

    async fn unlink(&self, actor: &ActorId) {
        self.provider.delete_link(actor).await;
    }

    async fn call(&self, actor: &ActorId, operation: &str, argument: Bytes) -> Result<Bytes, CallError> {
        let call = ProviderCall {
            actor: *actor,
            operation: operation.to_owned(),
            payload: argument,
            deadline: Instant::now() + Duration::from_secs(10),
            trace: TraceContext::default(),
        };
        self.provider.call(call).await
    }
}

/// This provider calls nobody.
struct NoActors;

#[async_trait]
impl Actors for NoActors {
    async fn call(&self, _: &ActorId, _: &str, _: Bytes, _: Instant, _: TraceContext) -> Result<Bytes, CallError> {
        Err(CallError::HostFault { message: "nobody is there".to_owned() })
    }

    async fn handle_http(
        &self,
        _: &ActorId,
        _: http::Request<HttpBody>,
        _: HttpTerms,
    ) -> Result<http::Response<HttpBody>, CallError> {
        Err(CallError::HostFault { message: "nobody is there".to_owned() })
    }
}
