//! What rows are measured on: a nats-server, hosts as processes and in this process, and a driver inside a host.
//!
//! The driver is a provider compiled into a host of this process. Through it a row calls actors without a socket in
//! between, so that what is measured is the way between actors and nothing else.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use claims::{ActorId, HostId, KeyKind, KeyPair};
use contracts::{CallError, TraceContext};
use host::{Host, HostConfig};
use lattice::{
    LatticeId, Link, LinkName,
    client::{ControlClient, NatsOptions},
    subject::ControlRoot,
};
use lattice_tests::{Actor, NatsServer, Operator, Signed, Signer, eventually};
use provider_sdk::{Actors, Builtin, Descriptor, LinkRefused, Provider, ProviderCall, Start, StartError};
use runtime::RuntimeConfig;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::machine::memory_of;

/// Above every number in flight.
pub const MANY: u32 = 1000;
const CONTROL_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIME: Duration = Duration::from_secs(5);
const CONTRACT: &str = "bench:driver";

/// A binary of the workspace, of the same profile as this program.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe().context("the path of this program")?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(anyhow!("`{}` is missing; `cargo xtask bench` builds it", path.display()))
}

/// Where a group of rows is measured; everything ends with the value.
pub struct World {
    /// Temporary files.
    pub dir: TempDir,
    /// Signs actors.
    pub signer: Signer,
    lattice: LatticeId,
    cluster: KeyPair,
    nats: Option<NatsServer>,
}

impl World {
    /// Without a broker.
    pub fn alone() -> Result<Self> {
        Ok(Self::inside(tempfile::tempdir().context("cannot make a directory")?))
    }

    /// With a broker.
    pub async fn with_nats() -> Result<Self> {
        let nats = NatsServer::start().await.context("there is no nats-server; `cargo xtask bench` provides one")?;
        Ok(Self { nats: Some(nats), ..Self::alone()? })
    }

    /// With this broker, and everything else in this directory.
    pub fn over(nats: NatsServer, dir: TempDir) -> Self {
        Self { nats: Some(nats), ..Self::inside(dir) }
    }

    fn inside(dir: TempDir) -> Self {
        Self {
            dir,
            signer: Signer::default(),
            lattice: LatticeId::default(),
            cluster: KeyPair::generate(KeyKind::Cluster),
            nats: None,
        }
    }

    /// The broker.
    pub fn nats(&self) -> Result<&NatsServer> {
        self.nats.as_ref().context("this world has no broker")
    }

    /// Signs an actor that the driver may call.
    pub fn actor(&self, actor: Actor) -> Signed<ActorId> {
        self.signer.actor_with(actor, |claims| {
            let metadata = claims.metadata.get_or_insert_default();
            metadata.caps.get_or_insert_default().push(CONTRACT.to_owned());
        })
    }

    /// The operator at the control socket of a host.
    pub fn operator_at(&self, state_dir: &Path) -> Operator {
        let root = ControlRoot::new(self.lattice.clone());
        Operator { control: ControlClient::socket(state_dir.join("host.sock"), root, CONTROL_TIMEOUT) }
    }

    /// The operator at the broker.
    pub async fn operator(&self) -> Result<Operator> {
        let root = ControlRoot::new(self.lattice.clone());
        Ok(Operator { control: ControlClient::nats(self.nats()?.client().await, root, CONTROL_TIMEOUT) })
    }

    /// Environment of `wash` and `wash-host` in this world; whatever the user has set for their own lattice is replaced.
    pub fn environment(&self) -> Result<Vec<(&'static str, String)>> {
        let address = self.nats()?.address();
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let home = self.dir.path().display().to_string();
        Ok(vec![
            ("HOME", home.clone()),
            ("WASH_HOME", home),
            ("NATS_HOST", ip.clone()),
            ("NATS_PORT", port.clone()),
            ("WASMCLOUD_CTL_HOST", ip.clone()),
            ("WASMCLOUD_CTL_PORT", port.clone()),
            ("WASMCLOUD_RPC_HOST", ip),
            ("WASMCLOUD_RPC_PORT", port),
            ("WASMCLOUD_LATTICE", self.lattice.to_string()),
            ("WASMCLOUD_CLUSTER_SEED", self.cluster.seed().expose().to_owned()),
        ])
    }

    /// Starts `wash-host` with its state in `name`. It may not answer yet.
    pub fn spawn_host(&self, name: &str) -> Result<HostProcess> {
        let state_dir = self.dir.path().join(name);
        let mut command = Command::new(binary("wash-host")?);
        command.arg("--state-dir").arg(&state_dir).args(["--allow-file-load", "true"]);
        let log = std::fs::File::create(self.dir.path().join(format!("{name}.log"))).context("cannot make a log")?;
        command.envs(self.environment()?).stderr(log).kill_on_drop(true);
        let child = command.spawn().context("cannot start `wash-host`")?;
        Ok(HostProcess { operator: self.operator_at(&state_dir), child })
    }

    /// The same, and waits until it answers at its socket and at the broker.
    pub async fn start_host(&self, name: &str) -> Result<(HostProcess, HostId)> {
        let host = self.spawn_host(name)?;
        let id = host.id().await;
        let broker = self.operator().await?;
        eventually("the host at the broker", || broker.control.inventory(&id)).await;
        Ok((host, id))
    }

    /// Starts a host in this process, with the driver.
    pub async fn start_here(&self) -> Result<HostHere> {
        self.start_here_with(RuntimeConfig::default()).await
    }

    /// The same with an engine of other sizes.
    pub async fn start_here_with(&self, runtime: RuntimeConfig) -> Result<HostHere> {
        let config = HostConfig { runtime, ..self.config("here") };
        let host = HostHere::start(self.operator_at(&config.state_dir), config, &[DRIVER]).await?;
        host.operator.start_provider(&host.id, "builtin://bench-driver").await.map_err(anyhow::Error::msg)?;
        Ok(host)
    }

    /// Settings of a host of this process with its state in `name`.
    pub fn config(&self, name: &str) -> HostConfig {
        let mut config = HostConfig::new(self.lattice.clone(), self.dir.path().join(name));
        config.allow_file_load = true;
        config.cluster_key = Some(self.cluster.clone());
        config.ctl = self.nats.as_ref().map(|nats| NatsOptions {
            urls: vec![nats.url()],
            retry: true,
            ..NatsOptions::default()
        });
        config.rpc = config.ctl.clone();
        config
    }
}

/// A `wash-host`; killed with the value.
pub struct HostProcess {
    /// The operator at its socket.
    pub operator: Operator,
    child: Child,
}

impl HostProcess {
    /// Its id, when it answers.
    pub async fn id(&self) -> HostId {
        eventually("the host at its socket", || async {
            let hosts = self.operator.hosts().await.map_err(|error| error.to_string())?;
            hosts.first().map(|host| host.id).ok_or("no host".to_owned())
        })
        .await
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the host has ended")
    }

    /// A figure of its memory in bytes, by its name in `/proc/PID/status`.
    pub fn memory(&self, name: &str) -> Result<f64> {
        memory_of(&self.pid()?.to_string(), name)
    }

    /// Whether it has mapped a file with this ending.
    pub fn has_mapped(&self, ending: &str) -> Result<bool> {
        let maps =
            std::fs::read_to_string(format!("/proc/{}/maps", self.pid()?)).context("cannot read its mappings")?;
        Ok(maps.lines().any(|line| line.trim_end_matches(" (deleted)").ends_with(ending)))
    }

    /// Ends it in order.
    pub async fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(self.pid()?.cast_signed()).context("a process id")?;
        kill_process(pid, Signal::TERM).context("cannot stop the host")?;
        self.child.wait().await.context("cannot wait for the host")?;
        Ok(())
    }
}

/// A host in this process.
pub struct HostHere {
    /// The operator at its socket.
    pub operator: Operator,
    /// Its id.
    pub id: HostId,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl HostHere {
    /// Starts one; `operator` is at its socket.
    pub async fn start(operator: Operator, config: HostConfig, builtins: &[Builtin]) -> Result<Self> {
        let host = Box::pin(Host::start(config, builtins)).await?; // a large future, inside several others
        let (id, stop) = (host.id(), host.stop_token());
        Ok(Self { operator, id, stop, task: tokio::spawn(host.run(std::future::pending())) })
    }

    /// The driver's way to an actor: links it, and returns when calls arrive.
    pub async fn drive(&self, actor: ActorId) -> Result<Driver> {
        let link = Link {
            actor_id: actor,
            provider_id: claims::ProviderId::well_known(DRIVER.descriptor.name),
            contract_id: CONTRACT.parse().context("a contract id")?,
            link_name: LinkName::default(),
            values: BTreeMap::new(),
        };
        self.operator.control.put_link(&link).await?;
        let actors =
            STARTED.lock().unwrap_or_else(PoisonError::into_inner).clone().context("the driver has started")?;
        let driver = Driver { actors, actor };
        eventually("a call of the driver", || driver.call("Bench.Echo", Bytes::new())).await;
        Ok(driver)
    }

    /// Ends it in order.
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await.context("the host panicked")
    }
}

/// Calls one actor from inside its host.
#[derive(Clone)]
pub struct Driver {
    actors: Arc<dyn Actors>,
    actor: ActorId,
}

impl Driver {
    /// One call.
    pub async fn call(&self, operation: &str, payload: Bytes) -> Result<Bytes, CallError> {
        let deadline = Instant::now() + CALL_TIME;
        self.actors.call(&self.actor, operation, payload, deadline, TraceContext::default()).await
    }
}

/// What the host gave to the driver that was started last; a `fn` pointer has no other way to hand it on.
static STARTED: Mutex<Option<Arc<dyn Actors>>> = Mutex::new(None);

const DRIVER: Builtin = Builtin {
    descriptor: Descriptor {
        name: "bench-driver",
        contract: CONTRACT,
        display_name: "bench driver",
        vendor: "bench",
        version: "0",
        revision: 0,
    },
    start: |Start { actors, .. }| -> Result<Arc<dyn Provider>, StartError> {
        *STARTED.lock().unwrap_or_else(PoisonError::into_inner) = Some(actors);
        Ok(Arc::new(Silent))
    },
};

/// A provider that only calls.
struct Silent;

#[async_trait]
impl Provider for Silent {
    async fn put_link(&self, _link: &Link) -> Result<(), LinkRefused> {
        Ok(())
    }

    async fn delete_link(&self, _actor: &ActorId) {}

    async fn call(&self, call: ProviderCall) -> Result<Bytes, CallError> {
        Err(CallError::Unsupported { target: CONTRACT.to_owned(), operation: call.operation })
    }

    async fn shutdown(&self) {}
}
