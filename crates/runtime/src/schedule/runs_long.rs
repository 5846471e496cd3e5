//! What is known of an actor: whether its last call computed for long, and had to be moved out of the way.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether the next call begins on the threads for those that compute for long.
#[derive(Debug, Default)]
pub(crate) struct RunsLong(AtomicBool);

impl RunsLong {
    pub(super) fn set(&self, runs_long: bool) {
        self.0.store(runs_long, Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}
