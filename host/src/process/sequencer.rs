//! Requests for one thing are applied in the order they came; different things do not wait for each other.
//!
//! A thing may go by several names, such as a reference and the id of what runs from it: a job takes its place in the
//! lines of all its names under one lock, and runs when every earlier job of each has ended. [`Sequencer::run`] does so
//! synchronously, before the caller acknowledges anything. Invariant: a panicking job never stops a line.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Lines of work by name.
pub struct Sequencer<K: Eq + Hash> {
    lines: Arc<Mutex<Lines<K>>>,
    tasks: TaskTracker,
}

struct Lines<K> {
    /// Number of the next job.
    next: u64,
    /// The last job of each line, and what ends with it.
    last: HashMap<K, (u64, CancellationToken)>,
}

impl<K: Eq + Hash> Clone for Sequencer<K> {
    fn clone(&self) -> Self {
        Self { lines: self.lines.clone(), tasks: self.tasks.clone() }
    }
}

impl<K: Eq + Hash + Clone + Send + 'static> Sequencer<K> {
    /// A sequencer whose jobs `tasks` owns.
    #[must_use]
    pub fn new(tasks: TaskTracker) -> Self {
        Self { lines: Arc::new(Mutex::new(Lines { next: 0, last: HashMap::new() })), tasks }
    }

    /// Queues a job behind the earlier jobs of each of its names and starts it when they have ended.
    pub fn run<T, F>(&self, names: impl IntoIterator<Item = K>, job: F) -> oneshot::Receiver<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (outcome, result) = oneshot::channel();
        let ended = CancellationToken::new();
        let place = self.take_place(names, &ended);
        let lines = self.lines.clone();
        self.tasks.spawn(async move {
            // Dropped at the end, also by a panic: the next ones go on, and the lines are forgotten.
            let _place = Leaving { lines, names: place.names, number: place.number, ended };
            for before in place.before {
                before.cancelled().await;
            }
            outcome.send(job.await).ok();
        });
        result
    }

    fn take_place(&self, names: impl IntoIterator<Item = K>, ended: &CancellationToken) -> Place<K> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let number = lines.next;
        lines.next += 1;
        let mut place = Place { number, names: Vec::new(), before: Vec::new() };
        for name in names {
            match lines.last.insert(name.clone(), (number, ended.clone())) {
                Some((job, _)) if job == number => continue, // named twice
                Some((_, before)) => place.before.push(before),
                None => {}
            }
            place.names.push(name);
        }
        place
    }
}

struct Place<K> {
    number: u64,
    names: Vec<K>,
    before: Vec<CancellationToken>,
}

/// A job in its lines.
struct Leaving<K: Eq + Hash> {
    lines: Arc<Mutex<Lines<K>>>,
    names: Vec<K>,
    number: u64,
    ended: CancellationToken,
}

impl<K: Eq + Hash> Drop for Leaving<K> {
    fn drop(&mut self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &self.names {
            if lines.last.get(name).is_some_and(|(last, _)| *last == self.number) {
                lines.last.remove(name);
            }
        }
        drop(lines);
        self.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Seen = Arc<Mutex<Vec<u8>>>;

    fn note(seen: &Seen, number: u8) -> impl Future<Output = ()> + Send + 'static {
        let seen = seen.clone();
        async move { seen.lock().expect("not poisoned").push(number) }
    }

    #[tokio::test]
    async fn jobs_of_one_name_run_in_order_and_the_line_is_forgotten() {
        let (sequencer, seen) = (Sequencer::new(TaskTracker::new()), Seen::default());
        let (open, gate) = oneshot::channel::<()>();
        let noted = note(&seen, 1);
        let first = sequencer.run(["a"], async move {
            gate.await.ok();
            noted.await;
        });
        let second = sequencer.run(["a"], note(&seen, 2));
        sequencer.run(["b"], async {}).await.expect("another name does not wait");
        assert!(seen.lock().expect("not poisoned").is_empty());
        open.send(()).expect("the first job waits for it");
        first.await.expect("ran");
        second.await.expect("ran");
        assert_eq!(*seen.lock().expect("not poisoned"), [1, 2]);
        sequencer.tasks.close();
        sequencer.tasks.wait().await;
        assert!(sequencer.lines.lock().expect("not poisoned").last.is_empty());
    }

    /// What is known by its reference alone while it starts, and by its id as well from then on.
    #[tokio::test]
    async fn a_thing_that_gets_another_name_meanwhile_keeps_its_order() {
        let (sequencer, seen) = (Sequencer::new(TaskTracker::new()), Seen::default());
        let (open, gate) = oneshot::channel::<()>();
        let noted = note(&seen, 5);
        sequencer.run(["reference"], async move {
            gate.await.ok();
            noted.await;
        });
        let three = sequencer.run(["reference"], note(&seen, 3));
        let none = sequencer.run(["id", "reference", "id"], note(&seen, 0));
        let last = sequencer.run(["id"], note(&seen, 9));
        open.send(()).expect("the first job waits for it");
        for job in [three, none, last] {
            job.await.expect("ran");
        }
        assert_eq!(*seen.lock().expect("not poisoned"), [5, 3, 0, 9]);
    }

    #[tokio::test]
    async fn a_panicking_job_does_not_stop_the_line() {
        let sequencer = Sequencer::new(TaskTracker::new());
        let first = sequencer.run(["a"], async { panic!("on purpose") });
        let second = sequencer.run(["a"], async { 2 });
        assert!(first.await.is_err());
        assert_eq!(second.await, Ok(2));
    }
}
