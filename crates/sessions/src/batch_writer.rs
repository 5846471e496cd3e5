//! One direction of one session on its way out: entries become batches, batches become messages.
//!
//! Whatever is ready while the last message is written goes into the next one; nothing waits for company. A single
//! entry leaves at once, in the task that brought it. Knows no broker and no runtime, but an [`Outlet`]. Invariants:
//! there is at most one writer, and one while something waits; batches are handed over in the order of their numbers, and
//! entries in the order in which they were added; one that the outlet fails to send is lost, and none is sent twice.

#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard};
use std::{
    future::Future,
    ops::RangeInclusive,
    sync::{Arc, PoisonError},
};

use bytes::Bytes;
use futures_util::FutureExt;
use lattice::session::{BatchKind, MacKey, SessionId};
#[cfg(test)] // so that the model below decides who gets a lock, and when
use shuttle::sync::{Mutex, MutexGuard};

use crate::queue::Queue;
pub use crate::queue::Refused;

/// Where batches go, and who runs the task that writes them.
pub trait Outlet: Send + Sync + Sized + 'static {
    /// Largest message, in bytes.
    fn max_payload(&self) -> usize;

    /// Hands a batch over. A future that is dropped before it is ready has handed over nothing.
    fn send(&self, number: u64, batch: Bytes) -> impl Future<Output = ()> + Send;

    /// Lets everything run that is ready to.
    fn pause(&self) -> impl Future<Output = ()> + Send;

    /// Returns when what was handed over is written, or after a while.
    fn written(&self) -> impl Future<Output = ()> + Send;

    /// Runs a task.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

/// Whether more may follow at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Nothing else is under way: there is nothing to wait for.
    Alone,
    /// More is under way.
    More,
}

impl Company {
    /// That of an entry beside which `others` are under way.
    pub fn of(others: usize) -> Self {
        if others == 0 { Self::Alone } else { Self::More }
    }
}

/// Writes one session's calls, or its answers.
pub struct BatchWriter<O> {
    outlet: O,
    key: MacKey,
    queue: Mutex<Queue>,
}

impl<O: Outlet> BatchWriter<O> {
    /// A writer of batches of a kind, under a key.
    pub fn new(outlet: O, kind: BatchKind, session: SessionId, key: MacKey) -> Arc<Self> {
        Arc::new(Self { outlet, key, queue: Mutex::new(Queue::new(kind, session)) })
    }

    /// Sends an entry of at most `size` bytes.
    ///
    /// # Errors
    /// [`Refused`]; nothing was sent then.
    pub fn add(
        self: &Arc<Self>,
        size: usize,
        company: Company,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Refused> {
        let mut queue = self.lock();
        queue.make_room(size, self.outlet.max_payload())?;
        queue.add(write);
        self.wake(queue, company);
        Ok(())
    }

    /// Sends a call; its number is given to `write`, which runs before anything can be answered.
    ///
    /// # Errors
    /// [`Refused`]; nothing was sent then.
    pub fn add_call(
        self: &Arc<Self>,
        size: usize,
        company: Company,
        write: impl FnOnce(u32, &mut Vec<u8>),
    ) -> Result<(), Refused> {
        let mut queue = self.lock();
        queue.make_room(size, self.outlet.max_payload())?;
        queue.add_call(write);
        self.wake(queue, company);
        Ok(())
    }

    /// Calls made so far.
    pub fn calls(&self) -> u32 {
        self.lock().calls()
    }

    /// The calls that left in a batch, if it is remembered.
    pub fn calls_of(&self, batch: u64) -> Option<RangeInclusive<u32>> {
        self.lock().calls_of(batch)
    }

    /// The last call that left in `batch` or before; [`Queue::last_call_until`].
    pub fn last_call_until(&self, batch: u64) -> u32 {
        self.lock().last_call_until(batch)
    }

    fn wake(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>, company: Company) {
        if !queue.begin_writing() {
            return;
        }
        drop(queue);
        let unsent = match company {
            Company::Alone => self.write_at_once(),
            Company::More => Some(Vec::new()),
        };
        if let Some(unsent) = unsent {
            self.outlet.spawn(self.clone().write(unsent));
        }
    }

    /// Writes what waits without a task of its own: each task on the way of a single call is a thread that may have to be
    /// woken. What is left to a task: the first batch that the connection does not take now with all after it, or only
    /// what came meanwhile.
    fn write_at_once(&self) -> Option<Vec<(u64, Bytes)>> {
        let mut batches = self.take();
        let stuck = batches.by_ref().find(|(number, batch)| {
            tokio::task::unconstrained(self.outlet.send(*number, batch.clone())).now_or_never().is_none()
        });
        let unsent: Vec<_> = stuck.into_iter().chain(batches).collect();
        let is_done = unsent.is_empty() && self.lock().end_writing();
        (!is_done).then_some(unsent)
    }

    /// Writes `unsent`, and then until nothing waits.
    async fn write(self: Arc<Self>, unsent: Vec<(u64, Bytes)>) {
        for (number, batch) in unsent {
            self.outlet.send(number, batch).await;
        }
        loop {
            // Behind whatever is ready to run now: calls that are ready go together.
            self.outlet.pause().await;
            let mut batches = self.take().peekable();
            if batches.peek().is_none() {
                return;
            }
            for (number, batch) in batches {
                self.outlet.send(number, batch).await;
            }
            // What becomes ready while the connection writes goes together as well.
            self.outlet.written().await;
        }
    }

    /// Everything that waits, sealed when it is looked at; when that is nothing, writing has ended.
    fn take(&self) -> impl Iterator<Item = (u64, Bytes)> + use<'_, O> {
        let taken = self.lock().take();
        taken.into_iter().map(|leaving| leaving.seal(&self.key))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod model;
