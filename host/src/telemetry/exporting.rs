//! The exporter of a running host: it starts with the host and ends after everything else, so that what happens at the
//! end is seen as well.

use std::time::{Duration, Instant};

use claims::HostId;
use lattice::LatticeId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Exporter, Resource};
use crate::control::VERSION;

/// What the last spans get of a stop that has used up its time.
const LEAST: Duration = Duration::from_millis(500);

/// A running exporter.
pub struct Exporting {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Exporting {
    /// Starts it.
    #[must_use]
    pub fn start(exporter: Exporter) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(exporter.run(stop.clone())), stop }
    }

    /// Sends what is left, by `deadline` if it can.
    pub async fn finish(self, deadline: Instant) {
        self.stop.cancel();
        let last = deadline.max(Instant::now() + LEAST);
        tokio::time::timeout_at(last.into(), self.task).await.ok();
    }
}

/// How spans say where they come from.
#[must_use]
pub fn resource(id: HostId, name: &str, lattice: &LatticeId) -> Resource {
    Resource(vec![
        ("service.name", "wasmcloud-host".to_owned()),
        ("service.instance.id", id.to_string()),
        ("service.version", VERSION.to_owned()),
        ("host.name", name.to_owned()),
        ("lattice.id", lattice.to_string()),
    ])
}
