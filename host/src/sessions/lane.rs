//! One direction of one session on its way out: entries become batches, batches become messages.
//!
//! Whatever is ready while the last message is written goes into the next one; nothing waits for company. A single
//! entry leaves at once, in the task that brought it. Invariants: entries leave in the order they came; what waits is
//! bounded in bytes, for one lane, and with the bodies of all calls until it is written; a number is used for one batch.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::client::PublishError;
use bytes::Bytes;
use contracts::{
    Budget, Charge,
    budget::{NoRoom, UNCOUNTED},
};
use futures_util::FutureExt;
use lattice::session::{BatchKind, Draft, HEADER_BYTES, MAC_BYTES, MAX_BATCH_BYTES, MacKey, SessionId};

use super::way::Way;

/// Most bytes that wait; more means that the connection takes nothing.
const MAX_WAITING: usize = 32 << 20;
/// Batches whose calls are remembered, for a host that does not know the session.
const REMEMBERED: usize = 1024;
/// Longest wait for a write before the next batch is made anyway.
const WRITE: Duration = Duration::from_secs(1);

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

/// The entry cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is larger than any batch.
    TooLarge,
    /// The connection takes nothing.
    Full,
    /// Too much of all calls is under way.
    NoRoom(NoRoom),
}

/// The way of one session's calls, or of its answers.
pub struct Lane {
    way: Arc<Way>,
    kind: BatchKind,
    session: SessionId,
    key: MacKey,
    subject: String,
    queue: Mutex<Queue>,
}

struct Queue {
    /// Batches that are full.
    full: VecDeque<Waiting>,
    open: Waiting,
    bytes: usize,
    last_batch: u64,
    last_call: u32,
    /// The calls of batches that left.
    left: VecDeque<(u64, RangeInclusive<u32>)>,
    writing: bool,
}

struct Waiting {
    draft: Draft,
    calls: Option<RangeInclusive<u32>>,
    /// For a draft that is worth counting.
    charge: Option<Charge>,
}

impl Waiting {
    fn new(kind: BatchKind, session: SessionId) -> Self {
        Self { draft: Draft::new(kind, session), calls: None, charge: None }
    }

    /// Counts an entry that is about to be written.
    fn grow(&mut self, size: usize) -> Result<(), Refused> {
        let whole = self.draft.size() + size;
        if whole <= UNCOUNTED {
            return Ok(());
        }
        let charge = self.charge.get_or_insert_with(|| Budget::bodies().charge());
        charge.resize(whole as u64).map_err(Refused::NoRoom)
    }
}

/// A batch that leaves.
struct Leaving {
    number: u64,
    draft: Draft,
    charge: Option<Charge>,
}

impl Leaving {
    /// As it is sent. The message carries its charge until it is written.
    fn seal(self, key: &MacKey) -> (u64, Bytes) {
        let batch = self.draft.finish(self.number, key);
        let batch = match self.charge {
            Some(charge) => charge.carried_by(batch),
            None => batch,
        };
        (self.number, batch)
    }
}

impl Lane {
    /// A lane to a host's batch subject.
    pub fn new(way: Arc<Way>, kind: BatchKind, session: SessionId, key: MacKey, subject: String) -> Arc<Self> {
        let open = Waiting::new(kind, session);
        let queue = Queue {
            full: VecDeque::new(),
            open,
            bytes: 0,
            last_batch: 0,
            last_call: 0,
            left: VecDeque::new(),
            writing: false,
        };
        Arc::new(Self { way, kind, session, key, subject, queue: Mutex::new(queue) })
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
        self.make_room(&mut queue, size)?;
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
        self.make_room(&mut queue, size)?;
        let number = queue.last_call + 1;
        queue.last_call = number;
        queue.add(|to| write(number, to));
        let first = queue.open.calls.as_ref().map_or(number, |calls| *calls.start());
        queue.open.calls = Some(first..=number);
        self.wake(queue, company);
        Ok(())
    }

    /// Calls made so far.
    pub fn calls(&self) -> u32 {
        self.lock().last_call
    }

    /// The calls that left in a batch, if it is remembered.
    pub fn calls_of(&self, batch: u64) -> Option<RangeInclusive<u32>> {
        let queue = self.lock();
        queue.left.iter().rev().find(|(number, _)| *number == batch).map(|(_, calls)| calls.clone())
    }

    /// The last call that left in `batch` or before; zero for none. Of calls that left long ago it is not known in
    /// which batch, and they count.
    pub fn last_call_until(&self, batch: u64) -> u32 {
        let queue = self.lock();
        let last = queue.left.iter().rev().find(|(number, _)| *number <= batch).map(|(_, calls)| *calls.end());
        let forgotten = || queue.left.front().map(|(_, calls)| calls.start() - 1);
        last.or_else(forgotten).unwrap_or_default()
    }

    fn make_room(&self, queue: &mut Queue, size: usize) -> Result<(), Refused> {
        let most = self.way.max_payload().min(MAX_BATCH_BYTES);
        if HEADER_BYTES + size + MAC_BYTES > most {
            return Err(Refused::TooLarge);
        }
        if queue.bytes + size > MAX_WAITING {
            return Err(Refused::Full);
        }
        if !queue.open.draft.fits(size, most) {
            let next = Waiting::new(self.kind, self.session);
            let full = std::mem::replace(&mut queue.open, next);
            queue.full.push_back(full);
        }
        queue.open.grow(size)
    }

    fn wake(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>, company: Company) {
        if std::mem::replace(&mut queue.writing, true) {
            return;
        }
        drop(queue);
        let unsent = match company {
            Company::Alone => self.write_at_once(),
            Company::More => Some(Vec::new()),
        };
        if let Some(unsent) = unsent {
            self.way.tasks.spawn(self.clone().write(unsent));
        }
    }

    /// Writes what waits without a task of its own: each task on the way of a single call is a thread that may have to be
    /// woken. What is left to a task: batches that the connection does not take now, or only what came meanwhile.
    fn write_at_once(&self) -> Option<Vec<(u64, Bytes)>> {
        let sealed = self.take().into_iter().map(|leaving| leaving.seal(&self.key));
        let is_unsent = |(number, batch): &(u64, Bytes)| {
            tokio::task::unconstrained(self.publish(*number, batch.clone())).now_or_never().is_none()
        };
        let unsent: Vec<_> = sealed.filter(is_unsent).collect();
        let is_done = unsent.is_empty() && self.lock().is_all_taken();
        (!is_done).then_some(unsent)
    }

    /// Writes `unsent`, and then until nothing waits.
    async fn write(self: Arc<Self>, unsent: Vec<(u64, Bytes)>) {
        for (number, batch) in unsent {
            self.publish(number, batch).await;
        }
        loop {
            // Behind whatever is ready to run now: calls that are ready go together.
            tokio::task::yield_now().await;
            let batches = self.take();
            if batches.is_empty() {
                return;
            }
            for leaving in batches {
                let (number, batch) = leaving.seal(&self.key);
                self.publish(number, batch).await;
            }
            // What becomes ready while the connection writes goes together as well.
            tokio::time::timeout(WRITE, self.way.client.flush()).await.ok();
        }
    }

    async fn publish(&self, number: u64, batch: Bytes) {
        if let Err(error) = self.hand_over(number, batch).await {
            tracing::debug!(%error, session = %self.session, "cannot send a batch");
        }
    }

    async fn hand_over(&self, number: u64, batch: Bytes) -> Result<(), PublishError> {
        let subject = self.subject.clone();
        match self.kind {
            BatchKind::Calls => {
                let nobody = self.way.nobody(self.session, number);
                self.way.client.publish_with_reply(subject, nobody, batch).await
            }
            BatchKind::Answers => self.way.client.publish(subject, batch).await,
        }
    }

    /// Everything that waits; when that is nothing, writing ends.
    fn take(&self) -> Vec<Leaving> {
        let mut queue = self.lock();
        let queue = &mut *queue;
        let mut taken: Vec<Waiting> = queue.full.drain(..).collect();
        if queue.open.draft.entries() > 0 {
            let next = Waiting::new(self.kind, self.session);
            taken.push(std::mem::replace(&mut queue.open, next));
        }
        queue.bytes = 0;
        queue.writing = !taken.is_empty();
        let numbered = taken.into_iter().map(|waiting| {
            queue.last_batch += 1;
            if let Some(calls) = waiting.calls {
                if queue.left.len() == REMEMBERED {
                    queue.left.pop_front();
                }
                queue.left.push_back((queue.last_batch, calls));
            }
            Leaving { number: queue.last_batch, draft: waiting.draft, charge: waiting.charge }
        });
        numbered.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Whether nothing waits; then whoever comes next writes.
    fn is_all_taken(&mut self) -> bool {
        self.writing = !self.full.is_empty() || self.open.draft.entries() > 0;
        !self.writing
    }

    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.open.draft.size();
        self.open.draft.add(write);
        self.bytes += self.open.draft.size() - before;
    }
}
