//! The exporter of a running process: it starts with it and ends after everything else, so that what happens at the end is
//! seen as well.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Exporter;

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
