//! How long a host lives: its tasks, the word to stop, and what must outlast everything else.
//!
//! Cheap to clone. Invariant: whatever was spawned here has ended before the host has, or is named in the log.

use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The life of a host, as each of its rooms knows it.
#[derive(Debug, Clone)]
pub struct Lifetime {
    /// Every task that must have ended before the host has.
    pub tasks: TaskTracker,
    /// Asks the host to stop.
    pub stop: CancellationToken,
    /// Ends what must outlast everything else: events and lattice state.
    pub publishing: CancellationToken,
    stop_within: Arc<RwLock<Duration>>,
}

impl Lifetime {
    /// Nothing runs yet. `stop_within`: how long the stop may take unless somebody says otherwise.
    #[must_use]
    pub fn new(stop_within: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            publishing: CancellationToken::new(),
            stop_within: Arc::new(RwLock::new(stop_within)),
        }
    }

    /// Starts a task of the host.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Whether the host was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Says how long the stop may take.
    pub fn set_stop_deadline(&self, within: Duration) {
        *self.stop_within.write().unwrap_or_else(PoisonError::into_inner) = within;
    }

    /// How long the stop may take.
    #[must_use]
    pub fn stop_within(&self) -> Duration {
        *self.stop_within.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_is_the_same_life() {
        let life = Lifetime::new(Duration::from_secs(10));
        let other = life.clone();
        assert_eq!(other.stop_within(), Duration::from_secs(10));
        life.set_stop_deadline(Duration::from_secs(1));
        assert_eq!(other.stop_within(), Duration::from_secs(1));
        assert!(!other.is_stopping());
        let waiting = other.clone();
        let task = life.spawn(async move { waiting.stop.cancelled().await });
        life.stop.cancel();
        task.await.expect("it ends when the life does");
        assert!(other.is_stopping());
    }

    #[tokio::test]
    async fn the_tasks_of_every_clone_are_waited_for() {
        let life = Lifetime::new(Duration::from_secs(1));
        let other = life.clone();
        other.spawn(async {});
        life.tasks.close();
        life.tasks.wait().await;
        assert!(other.tasks.is_empty());
    }

    #[test]
    fn a_stop_does_not_end_what_must_outlast_it() {
        let life = Lifetime::new(Duration::from_secs(1));
        life.stop.cancel();
        assert!(!life.publishing.is_cancelled());
    }
}
