//! The provider in this process, with actors that are linked to it.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
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

/// The provider, and a server for its links.
pub struct Embedded {
    pub provider: Arc<dyn Provider>,
    pub redis: Redis,
    actors: AtomicU8,
}

impl Embedded {
    /// None, said aloud, when this machine has no Redis.
    pub fn start() -> Option<Self> {
        let redis = Redis::start(&[])?;
        Some(Self { provider: provider(None).unwrap(), redis, actors: AtomicU8::new(0) })
    }

    pub async fn linked(&self, actor: u8, values: &[(&str, &str)]) -> ActorId {
        let url = self.redis.url();
        let link = link(actor, &[values, &[("URL", &url)]].concat());
        let started = Instant::now();
        while let Err(refused) = self.provider.put_link(&link).await {
            assert!(started.elapsed() < PATIENCE, "{refused}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        link.actor_id
    }
}

pub fn provider(config: Option<&str>) -> Result<Arc<dyn Provider>, StartError> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // once is enough
    (provider_keyvalue_redis::BUILTIN.start)(Start {
        actors: Arc::new(NoActors),
        link_name: "default".parse().unwrap(),
        config: config.map(str::to_owned),
        data_dir: None,
    })
}

pub const PATIENCE: Duration = Duration::from_secs(15);

/// A redis-server that does not outlive its test.
pub struct Redis {
    process: Child,
    dir: TempDir,
    pub port: u16,
}

impl Redis {
    pub fn start(args: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        Some(Self { process: spawn(port, dir.path(), args)?, dir, port })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn start_again(&mut self) {
        self.kill();
        self.process = spawn(self.port, self.dir.path(), &[]).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, dir: &Path, args: &[&str]) -> Option<Child> {
    let port = port.to_string();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(dir);
    match command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => Some(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            test_needs::skip("a redis-server");
            None
        }
        Err(error) => panic!("redis-server: {error}"),
    }
}

pub async fn client(world: &Arc<Embedded>, actor: u8, values: &[(&str, &str)]) -> Client {
    let actor = world.linked(actor, values).await;
    Client { world: Arc::clone(world) as Arc<dyn World>, actor }
}

pub fn link(actor: u8, values: &[(&str, &str)]) -> Link {
    Link {
        actor_id: PublicKey::from_raw(KeyKind::Module, [actor; 32]).try_into().unwrap(),
        provider_id: ProviderId::well_known("keyvalue-redis"),
        contract_id: CONTRACT.parse().unwrap(),
        link_name: "default".parse().unwrap(),
        values: values.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

#[async_trait]
impl World for Embedded {
    async fn actor(&self) -> ActorId {
        let number = self.actors.fetch_add(1, Ordering::Relaxed);
        self.linked(number, &[("NAMESPACE", &format!("actor {number}"))]).await
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
