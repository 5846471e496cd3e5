//! Start and stop of a host: what is opened in which order, which tasks run, how they end.
//!
//! A host serves what it has before any broker answers. Invariant: when [`Host::run`] returns, no task, child
//! process, socket or lock of this host is left.

mod error;
mod opened;
mod rooms;
mod start;
mod state_lock;
mod stop;

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
};

use claims::HostId;
use lattice::LatticeId;
use provider_sdk::Builtin;
use telemetry::Exporting;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::{error::HostError, opened::socket_path, state_lock::is_in_use};
use self::{rooms::Rooms, state_lock::StateLock};
use crate::settings::HostConfig;

/// A running host.
pub struct Host {
    rooms: Rooms,
    socket: PathBuf,
    synced: watch::Receiver<bool>,
    spans: Option<Exporting>,
    _lock: StateLock,
}

impl Host {
    /// Starts a host. When it returns, the control socket answers and calls between local parties work. Lattice state
    /// is complete by then if NATS answers within a second; otherwise it follows when the broker does. `builtins` are the
    /// providers compiled in.
    ///
    /// # Errors
    /// [`HostError`]; nothing is left running then.
    pub async fn start(config: HostConfig, builtins: &[Builtin]) -> Result<Self, HostError> {
        start::start(config, builtins).await
    }

    /// Its key.
    #[must_use]
    pub fn id(&self) -> HostId {
        self.rooms.identity.host_id
    }

    /// A name people can say.
    #[must_use]
    pub fn friendly_name(&self) -> &str {
        &self.rooms.identity.friendly_name
    }

    /// The lattice it belongs to.
    #[must_use]
    pub fn lattice(&self) -> &LatticeId {
        &self.rooms.identity.lattice
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks the host to stop; [`Host::run`] then returns.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.rooms.life.stop.clone()
    }

    /// Why the NATS server does not let this host have the buckets of its lattice; none when it does, or is away.
    #[must_use]
    pub fn store_refused(&self) -> Option<String> {
        self.rooms.store.state().borrow().refusal().map(str::to_owned)
    }

    /// Resolves when lattice state was compared with JetStream for the first time; at once without NATS.
    pub async fn synced(&self) {
        self.synced.clone().wait_for(|synced| *synced).await.ok();
    }

    /// Tells, whenever it is asked, which handshakes and batches of other hosts were refused so far: a count for each
    /// code of [`lattice::session::SessionError`]. Empty for a host without sessions.
    pub fn session_refusals(&self) -> impl Fn() -> BTreeMap<&'static str, u64> + Send + Sync + use<> {
        let sessions = self.rooms.calls.sessions.clone();
        move || sessions.as_ref().map(|sessions| sessions.refused()).unwrap_or_default()
    }

    /// What the engine reserved, for the log and the banner.
    #[must_use]
    pub fn reservation(&self) -> runtime::Reservation {
        self.rooms.workloads.actors.runtime.reservation()
    }

    /// Runs until `stop` resolves or an operator stops the host, then ends everything it started.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => self.rooms.life.stop.cancel(),
            () = self.rooms.life.stop.cancelled() => {}
        }
        stop::end_all(&self.rooms, self.spans).await;
    }
}
