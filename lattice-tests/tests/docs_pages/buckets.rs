//! What `docs/nats.md` says of buckets that hosts make: in memory, on several servers, and what is seen where they cannot be.

use std::ffi::OsStr;

use async_nats::jetstream::{self, stream};
use lattice::{
    LatticeId,
    client::ControlClient,
    control::AskWhy,
    subject::{self, ControlRoot},
};
use lattice_tests::{Guarded, NatsServer, binary, eventually};
use tempfile::TempDir;

/// A `wash-host` on a server of its own.
struct World {
    server: NatsServer,
    lattice: LatticeId,
    _state: TempDir,
    _host: Guarded,
}

impl World {
    async fn start(flags: &[&str]) -> Option<Self> {
        let server = NatsServer::start().await?;
        let state = tempfile::tempdir().expect("a directory");
        let (own, port) = (state.path().join("state"), server.address().port().to_string());
        let args = [&["--nats-port", port.as_str()], flags].concat();
        let env = [("WASH_STATE_DIR", own.as_os_str()), ("HOME", state.path().as_os_str())];
        let host = Guarded::start(
            &binary("wash-host"),
            &args,
            &env.map(|(name, value): (&str, &OsStr)| (name, value)),
            &state.path().join("log"),
        );
        let lattice = "default".parse().expect("a name");
        Some(Self { server, lattice, _state: state, _host: host })
    }

    /// How the bucket of the lattice was made.
    async fn bucket(&self) -> stream::Config {
        let store = jetstream::new(self.server.client().await);
        let name = format!("KV_{}", subject::lattice_bucket(&self.lattice));
        eventually("the bucket of the lattice", || async {
            let mut stream = store.get_stream(&name).await.map_err(|error| error.to_string())?;
            stream.info().await.map(|info| info.config.clone()).map_err(|error| error.to_string())
        })
        .await
    }

    /// Why there is none.
    async fn refusal(&self) -> String {
        let root = ControlRoot::new(self.lattice.clone());
        let control = ControlClient::nats(self.server.client().await, root, std::time::Duration::from_secs(5));
        eventually("a host that says why it has no bucket", || async {
            let hosts = control.hosts().await.map_err(|error| error.to_string())?.replies;
            let host = hosts.first().ok_or("no host")?;
            let reply = control.why(&host.id, &AskWhy::default()).await.map_err(|error| error.to_string())?;
            reply.nats.store_refused.ok_or_else(|| "nothing is refused".to_owned())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_made_in_files_unless_memory_is_asked_for() {
    let Some(world) = World::start(&[]).await else { return };
    let made = world.bucket().await;
    assert_eq!((made.storage, made.num_replicas), (stream::StorageType::File, 1));
    let Some(world) = World::start(&["--bucket-in-memory"]).await else { return };
    assert_eq!(world.bucket().await.storage, stream::StorageType::Memory);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_replicas_than_servers_are_refused_and_the_host_says_so() {
    let Some(world) = World::start(&["--bucket-replicas", "1"]).await else { return };
    assert_eq!(world.bucket().await.num_replicas, 1);
    let Some(world) = World::start(&["--bucket-replicas", "3"]).await else { return };
    let refusal = world.refusal().await;
    assert!(refusal.contains("replicas"), "{refusal}");
}
