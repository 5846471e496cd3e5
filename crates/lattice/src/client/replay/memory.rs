//! What was seen, by who signed it and when it was issued, and how it is forgotten.
//!
//! Pure. What was issued in the same few seconds is forgotten together, the oldest first, and from then on nothing of that
//! time is accepted. Invariants: what was noted and is still accepted is known; entries are bounded for one sender and for
//! all; a sender that sends much shortens the memory for itself before it does for others.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

/// Seconds of issue that are forgotten together.
const SLICE: u64 = 8;
/// Senders that are remembered one by one; further ones share a memory.
const MAX_SENDERS: usize = 4096;
/// The number of the memory that they share.
const SHARED: u64 = 0;

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub struct MemoryBounds {
    /// Entries of one sender.
    pub of_one: usize,
    /// Entries of all.
    pub of_all: usize,
    /// How far a time of issue may be from now, in seconds; what is older is refused without being remembered.
    pub window: u64,
}

/// One thing that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Who signed it.
    pub sender: u64,
    /// When it was issued, seconds since 1970, as it says itself.
    pub issued_at: u64,
    /// What it is.
    pub id: u64,
}

/// What is known of something that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is new, and noted.
    First,
    /// It came before.
    Before,
    /// It is of a time that is forgotten.
    Forgotten,
}

/// The memory.
#[derive(Debug)]
pub struct Memory {
    bounds: MemoryBounds,
    senders: HashMap<u64, Sender>,
    entries: usize,
    /// When silent senders were last looked for.
    swept: u64,
    /// Floors that were raised since they were last taken.
    raised: Vec<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Sender {
    slices: BTreeMap<u64, HashSet<u64, BuildHasherDefault<AsItIs>>>,
    entries: usize,
    /// Nothing issued before this is accepted.
    floor: u64,
}

/// The numbers are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = (self.0 << 8) | u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: MemoryBounds) -> Self {
        Self { bounds, senders: HashMap::new(), entries: 0, swept: 0, raised: Vec::new() }
    }

    /// Notes what came. `now` is in seconds since 1970.
    #[must_use]
    pub fn note(&mut self, noted: Noted, now: u64) -> Seen {
        if noted.issued_at.abs_diff(now) > self.bounds.window {
            return Seen::Forgotten;
        }
        self.sweep(now);
        let (name, slice) = (self.name(noted.sender), noted.issued_at / SLICE);
        let sender = self.senders.entry(name).or_default();
        if noted.issued_at < sender.floor {
            return Seen::Forgotten;
        }
        if !sender.slices.entry(slice).or_default().insert(noted.id) {
            return Seen::Before;
        }
        (sender.entries, self.entries) = (sender.entries + 1, self.entries + 1);
        self.make_room(name);
        Seen::First
    }

    /// Whether it came before, or is of a time that is forgotten. Notes nothing.
    #[must_use]
    pub fn knows(&self, noted: Noted) -> bool {
        self.senders.get(&self.name(noted.sender)).is_some_and(|sender| {
            let in_slice = |ids: &HashSet<u64, _>| ids.contains(&noted.id);
            noted.issued_at < sender.floor || sender.slices.get(&(noted.issued_at / SLICE)).is_some_and(in_slice)
        })
    }

    /// Nothing of a sender that was issued before is accepted.
    pub fn raise(&mut self, sender: u64, floor: u64) {
        let sender = self.senders.entry(self.name(sender)).or_default();
        sender.floor = sender.floor.max(floor);
    }

    /// The floors that were raised since this was last asked.
    pub fn take_raised(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.raised)
    }

    /// All that is remembered, floors first.
    pub fn all(&self) -> (Vec<(u64, u64)>, Vec<Noted>) {
        let floors = self.senders.iter().map(|(name, sender)| (*name, sender.floor)).filter(|(_, floor)| *floor > 0);
        let noted = self.senders.iter().flat_map(|(name, sender)| {
            let of_slice = |(slice, ids): (&u64, _)| (slice * SLICE, ids);
            sender.slices.iter().map(of_slice).flat_map(move |(issued_at, ids): (u64, &HashSet<u64, _>)| {
                ids.iter().map(move |id| Noted { sender: *name, issued_at, id: *id })
            })
        });
        (floors.collect(), noted.collect())
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    fn name(&self, sender: u64) -> u64 {
        if self.senders.len() < MAX_SENDERS || self.senders.contains_key(&sender) { sender } else { SHARED }
    }

    fn make_room(&mut self, name: u64) {
        while self.senders.get(&name).is_some_and(|sender| sender.entries > self.bounds.of_one) {
            self.forget_oldest(name);
        }
        while self.entries > self.bounds.of_all {
            let most = self.senders.iter().max_by_key(|(_, sender)| sender.entries).map(|(name, _)| *name);
            let Some(most) = most else { return };
            self.forget_oldest(most);
        }
    }

    fn forget_oldest(&mut self, name: u64) {
        let Some(sender) = self.senders.get_mut(&name) else { return };
        let Some((slice, ids)) = sender.slices.pop_first() else { return };
        (sender.entries, self.entries) = (sender.entries - ids.len(), self.entries - ids.len());
        sender.floor = sender.floor.max((slice + 1) * SLICE);
        self.raised.push((name, sender.floor));
    }

    /// Forgets once in a while what is too old to be accepted, and senders of which nothing is left. A clock that goes
    /// back afterwards finds the floor where it was.
    fn sweep(&mut self, now: u64) {
        if now.abs_diff(self.swept) < SLICE {
            return;
        }
        self.swept = now;
        let oldest = now.saturating_sub(self.bounds.window);
        let mut forgotten = 0;
        for sender in self.senders.values_mut() {
            while let Some(first) = sender.slices.first_entry().filter(|first| (first.key() + 1) * SLICE <= oldest) {
                let (slice, ids) = first.remove_entry();
                sender.floor = sender.floor.max((slice + 1) * SLICE);
                sender.entries -= ids.len();
                forgotten += ids.len();
            }
        }
        self.entries -= forgotten;
        self.senders.retain(|_, sender| sender.entries > 0 || sender.floor > oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: MemoryBounds = MemoryBounds { of_one: 100, of_all: 150, window: 5400 };
    const NOW: u64 = 1_800_000_000 / SLICE * SLICE;

    fn noted(sender: u64, issued_at: u64, id: u64) -> Noted {
        Noted { sender, issued_at, id }
    }

    #[test]
    fn a_thing_counts_once_as_long_as_it_is_accepted_whatever_the_clocks_say() {
        let mut memory = Memory::new(BOUNDS);
        for (id, issued_at) in [NOW, NOW - 5400, NOW + 5400].into_iter().enumerate() {
            let thing = noted(1, issued_at, id as u64);
            assert!(!memory.knows(thing));
            assert_eq!(memory.note(thing, NOW), Seen::First);
            for later in [0, 1, 60, 3600, 5400, 10_800] {
                assert_ne!(memory.note(thing, NOW + later), Seen::First, "{issued_at} after {later} s");
                assert_ne!(memory.note(thing, NOW.saturating_sub(later)), Seen::First, "{later} s before");
            }
            assert!(memory.knows(thing));
        }
        assert_eq!(memory.note(noted(1, NOW - 5401, 9), NOW), Seen::Forgotten);
        assert_eq!(memory.note(noted(1, NOW + 5401, 9), NOW), Seen::Forgotten);
    }

    #[test]
    fn what_is_too_old_to_be_accepted_takes_no_room() {
        let mut memory = Memory::new(BOUNDS);
        for second in 0..20_000 {
            assert_eq!(memory.note(noted(second % 7, NOW + second, second), NOW + second), Seen::First);
            assert!(memory.len() <= 150);
        }
        assert_eq!(memory.note(noted(99, NOW + 40_000, 1), NOW + 40_000), Seen::First);
        assert_eq!((memory.len(), memory.senders.len()), (1, 1));
    }

    #[test]
    fn a_flood_shortens_the_memory_of_its_sender_and_lets_nothing_through_twice() {
        let mut memory = Memory::new(BOUNDS);
        let quiet = noted(2, NOW, 7);
        assert_eq!(memory.note(quiet, NOW), Seen::First);
        let flood: Vec<Noted> = (0..10_000).map(|id| noted(1, NOW + id / 10, id)).collect();
        for thing in &flood {
            assert_eq!(memory.note(*thing, NOW + 1000), Seen::First);
            assert!(memory.len() <= 101);
        }
        assert!(flood.iter().all(|thing| memory.note(*thing, NOW + 1000) != Seen::First));
        assert_eq!(memory.note(noted(1, NOW, 99_999), NOW + 1000), Seen::Forgotten);
        assert_eq!(memory.note(quiet, NOW + 1000), Seen::Before, "the quiet one is remembered");
        assert_eq!(memory.note(noted(2, NOW, 8), NOW + 1000), Seen::First, "and may send what is old");
        assert!(!memory.take_raised().is_empty());
    }

    #[test]
    fn all_senders_together_are_bounded() {
        let mut memory = Memory::new(BOUNDS);
        for sender in 0..10_000 {
            let seen = memory.note(noted(sender, NOW + sender % 64, sender), NOW);
            // With very many senders the further ones share a memory, and what of it was forgotten is refused.
            assert!(seen == Seen::First || sender >= MAX_SENDERS as u64, "{sender}: {seen:?}");
            assert!(memory.len() <= 150 && memory.senders.len() <= MAX_SENDERS + 1, "{}", memory.len());
        }
    }

    #[test]
    fn what_is_put_into_another_memory_is_known_there() {
        let mut memory = Memory::new(BOUNDS);
        for id in 0..500 {
            assert_eq!(memory.note(noted(1 + id % 2, NOW + id, id), NOW), Seen::First);
        }
        let (mut copy, (floors, all)) = (Memory::new(BOUNDS), memory.all());
        floors.into_iter().for_each(|(sender, floor)| copy.raise(sender, floor));
        all.into_iter().for_each(|thing| assert_eq!(copy.note(thing, NOW), Seen::First));
        for id in 0..500 {
            assert_ne!(copy.note(noted(1 + id % 2, NOW + id, id), NOW), Seen::First);
        }
    }
}
