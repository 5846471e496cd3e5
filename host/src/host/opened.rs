//! What a start opens and binds before anything runs: whatever can fail, fails here, so that nothing is left.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use claims::{ClusterId, HostId, KeyKind};
use lattice::subject::ControlRoot;
use lattice_state::{
    replica::Replica,
    revocations::Trust,
    store::{self, Effect, Owner, Store},
    world::Machine,
};
use runtime::Runtime;
use telemetry::{Exporter, Resource, Tracer};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
};

use super::error::HostError;
use crate::{
    admin,
    artifacts::Artifacts,
    control::socket,
    identity::{Identity, Labels, friendly_name, load_or_create_key},
    inventory::VERSION,
    nats::{Broker, JetStreamBuckets},
    presence::duplicate_key,
    process::private,
    settings::HostConfig,
    workloads::Desired,
};

/// How long a start waits for lattice state before it goes on without.
const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// Where the control socket of a host is.
#[must_use]
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("host.sock")
}

/// The control socket; its file goes when the start fails after all.
pub(super) struct Socket {
    pub(super) path: PathBuf,
    listener: Option<UnixListener>,
}

impl Socket {
    fn open(path: PathBuf) -> Result<Self, HostError> {
        match socket::open(&path) {
            Ok(listener) => Ok(Self { path, listener: Some(listener) }),
            Err(source) => Err(HostError::Socket { path, source }),
        }
    }

    /// Whoever serves it removes the file.
    pub(super) fn into_listener(mut self) -> Option<(UnixListener, PathBuf)> {
        Some((self.listener.take()?, std::mem::take(&mut self.path)))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.listener.is_some() {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Everything that is open.
pub(super) struct Opened {
    pub(super) identity: Arc<Identity>,
    pub(super) root: ControlRoot,
    pub(super) trust: Arc<Trust>,
    pub(super) state: (Store, Owner<Machine<JetStreamBuckets>>, mpsc::UnboundedReceiver<Effect>),
    pub(super) desired: Arc<Desired>,
    pub(super) runtime: Runtime,
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) nats: Option<Arc<Broker>>,
    pub(super) tracing: (Tracer, Option<Exporter>),
    pub(super) admin: Option<TcpListener>,
    pub(super) socket: Socket,
    /// When the start goes on without an answer of the broker.
    pub(super) go_on_at: Instant,
}

impl Opened {
    /// Opens what a host with these settings needs. The sockets are opened last but for the broker, which is asked whether
    /// another host has our key.
    pub(super) async fn open(config: &HostConfig) -> Result<Self, HostError> {
        let replica_path = config.state_dir.join("state.redb");
        let damaged = |source| HostError::Replica { path: replica_path.clone(), source };
        let replica = Replica::open(&replica_path).map_err(damaged)?;
        let identity = Arc::new(identity(config, replica.clone(), &replica_path)?);
        let root = match &config.ctl_topic_prefix {
            Some(prefix) => ControlRoot::with_prefix(prefix, config.lattice.clone())?,
            None => ControlRoot::new(config.lattice.clone()),
        };
        let trust = Arc::new(Trust { lattice: config.lattice.clone(), clusters: identity.trusted_issuers.clone() });
        let state = store::open(Machine::default(), replica.clone(), trust.clone()).map_err(damaged)?;
        let desired = Arc::new(Desired::load(replica).map_err(damaged)?);
        let runtime = Runtime::new(&config.runtime)?;
        let not_private = |source| HostError::NotPrivate { flag: "--cache-dir", source };
        private::directory(&config.artifacts.cache_dir).map_err(not_private)?;
        let artifacts = Arc::new(Artifacts::open(&config.artifacts, config.allow_file_load)?);
        let socket = Socket::open(socket_path(&config.state_dir))?;
        let admin = match config.admin_address {
            Some(address) => {
                let opened = admin::open(address).await;
                Some(opened.map_err(|source| HostError::Admin { address: address.0, source })?)
            }
            None => None,
        };
        let nats = Broker::connect(config, &identity.friendly_name, identity.host_id).await?.map(Arc::new);
        let go_on_at = Instant::now() + SYNC_WITHIN;
        if let Some(nats) = &nats {
            duplicate_key::refuse(nats, &root, &config.lattice, identity.host_id).await?;
        }
        let tracing = telemetry::open(config.tracing.as_ref(), resource(&identity));
        Ok(Self { identity, root, trust, state, desired, runtime, artifacts, nats, tracing, admin, socket, go_on_at })
    }
}

fn identity(config: &HostConfig, replica: Replica, path: &Path) -> Result<Identity, HostError> {
    let host_key = match &config.host_key {
        Some(key) => key.clone(),
        None => load_or_create_key(&config.state_dir.join("host.nk"), KeyKind::Server)?,
    };
    let cluster_key = match &config.cluster_key {
        Some(key) => key.clone(),
        None => load_or_create_key(&config.state_dir.join("cluster.nk"), KeyKind::Cluster)?,
    };
    let host_id = HostId::try_from(host_key.public()).expect("a server key has a host id");
    let cluster_id = ClusterId::try_from(cluster_key.public()).expect("a cluster key has a cluster id");
    let mut trusted_issuers: std::collections::BTreeSet<_> = config.cluster_issuers.iter().copied().collect();
    trusted_issuers.insert(cluster_id);
    let labels =
        Labels::load(&config.labels, replica).map_err(|source| HostError::Replica { path: path.to_owned(), source })?;
    Ok(Identity {
        friendly_name: friendly_name(host_id.as_str()),
        host_id,
        lattice: config.lattice.clone(),
        labels,
        started: Instant::now(),
        cluster_key,
        cluster_id,
        trusted_issuers,
    })
}

/// How spans say where they come from.
fn resource(identity: &Identity) -> Resource {
    Resource(vec![
        ("service.name", "wasmcloud-host".to_owned()),
        ("service.instance.id", identity.host_id.to_string()),
        ("service.version", VERSION.to_owned()),
        ("host.name", identity.friendly_name.clone()),
        ("lattice.id", identity.lattice.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_that_fails_takes_its_socket_away_again() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let path = directory.path().join("host.sock");
        let socket = Socket::open(path.clone()).expect("it opens");
        assert!(path.exists());
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn who_serves_the_socket_keeps_it() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let path = directory.path().join("host.sock");
        let socket = Socket::open(path.clone()).expect("it opens");
        let (_listener, served) = socket.into_listener().expect("it was not taken");
        assert!(path.exists() && served == path);
    }

    #[tokio::test]
    async fn a_start_that_cannot_have_its_admin_address_leaves_no_socket() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut config = HostConfig::new(lattice::LatticeId::default(), directory.path().to_owned());
        config.admin_address = Some(crate::settings::AdminAddress(taken.local_addr().expect("an address")));
        let failed = Opened::open(&config).await.err().expect("the address is taken");
        assert!(matches!(failed, HostError::Admin { .. }), "{failed}");
        assert!(!socket_path(&config.state_dir).exists());
    }

    #[tokio::test]
    async fn a_host_without_nats_builds_every_room() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let config = HostConfig::new(lattice::LatticeId::default(), directory.path().to_owned());
        let host = Box::pin(crate::Host::start(config, &[crate::testing::FAKE])).await.expect("it starts");
        host.synced().await;
        assert!(host.socket().exists() && host.store_refused().is_none());
        let socket = host.socket().to_owned();
        host.run(std::future::ready(())).await;
        assert!(!socket.exists());
    }
}
