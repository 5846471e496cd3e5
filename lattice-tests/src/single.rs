//! One host without any NATS: the small complete lattice of `wash up` on a bare machine.

use host::{HostConfig, NativeIssuers};
use lattice::LatticeId;
use tempfile::TempDir;

use crate::{InProcess, Operator, eventually, lattice::socket_operator};

/// A single host, commanded over its control socket.
pub struct SingleHost {
    /// Its id.
    pub id: claims::HostId,
    /// The operator at its socket.
    pub operator: Operator,
    running: InProcess,
    dir: TempDir,
}

impl SingleHost {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, with changes to its configuration.
    pub async fn start_with(change: impl FnOnce(&mut HostConfig)) -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory"), change).await
    }

    async fn start_in(dir: TempDir, change: impl FnOnce(&mut HostConfig)) -> Self {
        let lattice = LatticeId::default();
        let mut config = HostConfig::new(lattice.clone(), dir.path().to_owned());
        config.allow_file_load = true;
        config.native_issuers = NativeIssuers::Any; // tests sign with accounts of their own
        change(&mut config);
        let running = InProcess::start(config).await;
        let operator = socket_operator(dir.path(), &lattice);
        let id = eventually("the host on its control socket", || async {
            let hosts = operator.hosts().await.map_err(|error| error.to_string())?;
            hosts.first().map(|host| host.id).ok_or("no host".to_owned())
        })
        .await;
        Self { id, operator, running, dir }
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("host.sock")
    }

    /// Stops it and starts it again with its state.
    pub async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same, with changes to its configuration.
    pub async fn restart_with(self, change: impl FnOnce(&mut HostConfig)) -> Self {
        self.running.stop().await;
        Self::start_in(self.dir, change).await
    }
}
