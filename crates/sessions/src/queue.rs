//! What waits to leave in one direction of one session: entries in batches, and which calls left in which batch.
//!
//! Pure: knows no lock, no task and no connection. Invariants: entries leave in the order in which they were added; batches
//! are numbered from one without a gap, in the order in which they are taken; one writer takes at a time; what waits is
//! bounded in bytes, here and with the bodies of all calls until it is written.

use std::{collections::VecDeque, ops::RangeInclusive};

use bytes::Bytes;
use contracts::{
    Budget, Charge,
    budget::{NoRoom, UNCOUNTED},
};
use lattice::session::{BatchKind, Draft, HEADER_BYTES, MAC_BYTES, MAX_BATCH_BYTES, MacKey, SessionId};

/// Most bytes that wait; more means that the connection takes nothing.
const MAX_WAITING: usize = 32 << 20;
/// Batches whose calls are remembered, for a host that does not know the session.
const REMEMBERED: usize = 1024;

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

/// What waits.
pub struct Queue {
    kind: BatchKind,
    session: SessionId,
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
pub struct Leaving {
    /// Its number.
    pub number: u64,
    draft: Draft,
    charge: Option<Charge>,
}

impl Leaving {
    /// As it is sent. The message carries its charge until it is written.
    pub fn seal(self, key: &MacKey) -> (u64, Bytes) {
        let batch = self.draft.finish(self.number, key);
        let batch = match self.charge {
            Some(charge) => charge.carried_by(batch),
            None => batch,
        };
        (self.number, batch)
    }
}

impl Queue {
    /// Nothing waits.
    pub fn new(kind: BatchKind, session: SessionId) -> Self {
        Self {
            kind,
            session,
            full: VecDeque::new(),
            open: Waiting::new(kind, session),
            bytes: 0,
            last_batch: 0,
            last_call: 0,
            left: VecDeque::new(),
            writing: false,
        }
    }

    /// Sees to it that an entry of at most `size` bytes can be added. The largest message has `most` bytes.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn make_room(&mut self, size: usize, most: usize) -> Result<(), Refused> {
        let most = most.min(MAX_BATCH_BYTES);
        if HEADER_BYTES + size + MAC_BYTES > most {
            return Err(Refused::TooLarge);
        }
        if self.bytes + size > MAX_WAITING {
            return Err(Refused::Full);
        }
        if !self.open.draft.fits(size, most) {
            let full = self.replace_open();
            self.full.push_back(full);
        }
        self.open.grow(size)
    }

    /// Adds an entry for which there is room.
    pub fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.open.draft.size();
        self.open.draft.add(write);
        self.bytes += self.open.draft.size() - before;
    }

    /// Adds a call for which there is room; its number is given to `write`.
    pub fn add_call(&mut self, write: impl FnOnce(u32, &mut Vec<u8>)) {
        let number = self.last_call + 1;
        self.last_call = number;
        self.add(|to| write(number, to));
        let first = self.open.calls.as_ref().map_or(number, |calls| *calls.start());
        self.open.calls = Some(first..=number);
    }

    /// Whether whoever asks is the writer from now on: until it finds that nothing waits.
    pub fn begin_writing(&mut self) -> bool {
        !std::mem::replace(&mut self.writing, true)
    }

    /// Everything that waits, numbered; when that is nothing, writing ends.
    pub fn take(&mut self) -> Vec<Leaving> {
        let mut taken: Vec<Waiting> = self.full.drain(..).collect();
        if self.open.draft.entries() > 0 {
            taken.push(self.replace_open());
        }
        self.bytes = 0;
        self.writing = !taken.is_empty();
        taken.into_iter().map(|waiting| self.number(waiting)).collect()
    }

    /// Whether nothing waits; then writing ends, and whoever comes next writes.
    pub fn end_writing(&mut self) -> bool {
        self.writing = !self.full.is_empty() || self.open.draft.entries() > 0;
        !self.writing
    }

    /// Calls made so far.
    pub fn calls(&self) -> u32 {
        self.last_call
    }

    /// The calls that left in a batch, if it is remembered.
    pub fn calls_of(&self, batch: u64) -> Option<RangeInclusive<u32>> {
        self.left.iter().rev().find(|(number, _)| *number == batch).map(|(_, calls)| calls.clone())
    }

    /// The last call that left in `batch` or before; zero for none. Of calls that left long ago it is not known in
    /// which batch, and they count.
    pub fn last_call_until(&self, batch: u64) -> u32 {
        let last = self.left.iter().rev().find(|(number, _)| *number <= batch).map(|(_, calls)| *calls.end());
        let forgotten = || self.left.front().map(|(_, calls)| calls.start() - 1);
        last.or_else(forgotten).unwrap_or_default()
    }

    fn number(&mut self, waiting: Waiting) -> Leaving {
        self.last_batch += 1;
        if let Some(calls) = waiting.calls {
            if self.left.len() == REMEMBERED {
                self.left.pop_front();
            }
            self.left.push_back((self.last_batch, calls));
        }
        Leaving { number: self.last_batch, draft: waiting.draft, charge: waiting.charge }
    }

    fn replace_open(&mut self) -> Waiting {
        let next = Waiting::new(self.kind, self.session);
        std::mem::replace(&mut self.open, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1 << 20;

    fn queue() -> Queue {
        Queue::new(BatchKind::Calls, SessionId([1; 16]))
    }

    fn add_call(queue: &mut Queue, size: usize) -> Result<(), Refused> {
        queue.make_room(size, MOST)?;
        queue.add_call(|_, to| to.resize(to.len() + size, 0));
        Ok(())
    }

    #[test]
    fn a_batch_that_is_full_makes_way_for_the_next_and_numbers_have_no_gap() {
        let mut queue = queue();
        for _ in 0..5 {
            add_call(&mut queue, 400 << 10).expect("there is room");
        }
        let numbers: Vec<u64> = queue.take().iter().map(|leaving| leaving.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!([1, 2, 3, 4].map(|batch| queue.calls_of(batch)), [Some(1..=2), Some(3..=4), Some(5..=5), None]);
        assert_eq!([0, 1, 2, 3, 9].map(|batch| queue.last_call_until(batch)), [0, 2, 4, 5, 5]);
        add_call(&mut queue, 1).expect("there is room");
        assert_eq!(queue.take()[0].number, 4);
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_refused_has_no_number() {
        let mut queue = queue();
        assert_eq!(add_call(&mut queue, MOST), Err(Refused::TooLarge));
        let added = (0..).take_while(|_| add_call(&mut queue, 1 << 19).is_ok()).count();
        assert_eq!(added, MAX_WAITING >> 19);
        assert_eq!(add_call(&mut queue, 1 << 19), Err(Refused::Full));
        assert_eq!(queue.calls() as usize, added);
        queue.take();
        assert_eq!(add_call(&mut queue, 1 << 19), Ok(()), "what was taken makes room");
    }

    #[test]
    fn of_calls_that_left_long_ago_it_is_said_that_they_were_taken() {
        let mut queue = queue();
        for _ in 0..REMEMBERED + 10 {
            add_call(&mut queue, 1).expect("there is room");
            queue.take();
        }
        assert_eq!(queue.calls_of(10), None);
        assert_eq!(queue.calls_of(11), Some(11..=11));
        assert_eq!(queue.last_call_until(3), 10, "the first that is remembered is the eleventh");
    }

    #[test]
    fn there_is_one_writer_until_nothing_waits() {
        let mut queue = queue();
        add_call(&mut queue, 1).expect("there is room");
        assert!(queue.begin_writing() && !queue.begin_writing());
        assert_eq!(queue.take().len(), 1);
        assert!(!queue.begin_writing(), "it is still writing");
        add_call(&mut queue, 1).expect("there is room");
        assert!(!queue.end_writing(), "something came meanwhile");
        assert_eq!(queue.take().len(), 1);
        assert!(queue.end_writing() && queue.begin_writing());
        assert!(queue.take().is_empty() && queue.begin_writing());
    }
}
