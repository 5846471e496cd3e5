//! Requests for one thing are applied in the order they came; different things do not wait for each other.
//!
//! [`Sequencer::run`] takes its place in the line synchronously, before the caller acknowledges anything; the work
//! itself runs in a task that waits for the one before it. Invariant: a panicking job never stops the line.

use std::{future::Future, hash::Hash, sync::Arc};

use dashmap::DashMap;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Lines of work by key.
pub struct Sequencer<K: Eq + Hash> {
    tails: Arc<DashMap<K, oneshot::Receiver<()>>>,
    tasks: TaskTracker,
}

impl<K: Eq + Hash> Clone for Sequencer<K> {
    fn clone(&self) -> Self {
        Self { tails: self.tails.clone(), tasks: self.tasks.clone() }
    }
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> Sequencer<K> {
    /// A sequencer whose jobs `tasks` owns.
    #[must_use]
    pub fn new(tasks: TaskTracker) -> Self {
        Self { tails: Arc::new(DashMap::new()), tasks }
    }

    /// Queues a job behind the earlier jobs of `key` and starts it when they have ended.
    pub fn run<T, F>(&self, key: K, job: F) -> oneshot::Receiver<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (outcome, result) = oneshot::channel();
        let (done, tail) = oneshot::channel();
        let before = self.tails.insert(key.clone(), tail);
        let tails = self.tails.clone();
        self.tasks.spawn(async move {
            let _done = done; // dropped at the end, also by a panic: the next one goes on
            if let Some(before) = before {
                before.await.ok();
            }
            outcome.send(job.await).ok();
            drop(_done);
            tails.remove_if_mut(&key, |_, tail| tail.try_recv() != Err(oneshot::error::TryRecvError::Empty));
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn jobs_of_one_key_run_in_order_and_the_line_is_forgotten() {
        let sequencer = Sequencer::new(TaskTracker::new());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (open, gate) = oneshot::channel::<()>();
        let first = sequencer.run("a", {
            let seen = seen.clone();
            async move {
                gate.await.ok();
                seen.lock().expect("not poisoned").push(1);
            }
        });
        let second = sequencer.run("a", {
            let seen = seen.clone();
            async move { seen.lock().expect("not poisoned").push(2) }
        });
        sequencer.run("b", async {}).await.expect("another key does not wait");
        assert!(seen.lock().expect("not poisoned").is_empty());
        open.send(()).expect("the first job waits for it");
        first.await.expect("ran");
        second.await.expect("ran");
        assert_eq!(*seen.lock().expect("not poisoned"), [1, 2]);
        sequencer.tasks.close();
        sequencer.tasks.wait().await;
        assert!(sequencer.tails.is_empty());
    }

    #[tokio::test]
    async fn a_panicking_job_does_not_stop_the_line() {
        let sequencer = Sequencer::new(TaskTracker::new());
        let first = sequencer.run("a", async { panic!("on purpose") });
        let second = sequencer.run("a", async { 2 });
        assert!(first.await.is_err());
        assert_eq!(second.await, Ok(2));
    }
}
