//! The machine of one host in a run: a clock that may be wrong, and work that takes as long as chance says.

use std::{future::Future, time::Duration};

use super::{
    disk::MemoryDisk,
    history::History,
    network::{Connection, EPOCH_MS},
    scheduler::Scheduler,
};
use crate::{store::Conflict, world::World};

#[derive(Clone)]
pub(super) struct SimulatedWorld {
    pub(super) scheduler: Scheduler,
    pub(super) history: History,
    pub(super) host: usize,
    /// Milliseconds by which the clock of this machine is ahead.
    pub(super) ahead_ms: i64,
}

impl World for SimulatedWorld {
    type Disk = MemoryDisk;
    type Buckets = Connection;

    fn now_ms(&self) -> u64 {
        (EPOCH_MS + self.scheduler.now() / 1000).saturating_add_signed(self.ahead_ms)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        self.scheduler.sleep(time)
    }

    /// A power cut may come before it is done and behind it, before anybody has heard of it.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let step = || self.scheduler.sleep(Duration::from_micros(self.scheduler.between(0, 400)));
        step().await;
        let worked = work();
        step().await;
        Some(worked)
    }

    fn tell(&self, conflict: &Conflict) {
        self.history.conflict(self.scheduler.now(), self.host, conflict);
    }
}
