//! What is done in a run: made from a seed, and made smaller when it has shown a fault.

use super::{keys, random::Random, statements};
use crate::Bucket;

/// A run before it is run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) shape: Shape,
    /// What is done when, in milliseconds.
    pub(super) steps: Vec<(u64, Step)>,
}

/// What stays the same all through a run.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// By how many milliseconds the clock of each host is ahead.
    pub(super) ahead_ms: Vec<i64>,
    /// Microseconds a message takes.
    pub(super) latency: u64,
    /// One message in so many is very slow; zero: none.
    pub(super) slow: u64,
    /// Whether hosts begin with many keys.
    pub(super) many: bool,
    /// What can go wrong.
    pub(super) faults: Faults,
}

/// What can go wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    /// One host is cut off now and then, and all clocks agree: of two writes the later one must win.
    OneAway,
    /// Any host is cut off.
    Cuts,
    /// The broker also loses buckets.
    Wipes,
    /// Hosts also lose power, disks are full or replaced.
    Everything,
}

/// Something that is done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// A host is asked for a write; no value: a deletion.
    Write { host: usize, key: usize, value: Option<u64> },
    /// A host is given a signed statement.
    State { host: usize, statement: usize },
    /// A host writes many keys.
    WriteMany { host: usize, value: u64 },
    /// The connection of a host is cut; it notices after so many milliseconds.
    Cut { host: usize, noticed_after: u64 },
    /// It is made again.
    Heal { host: usize },
    /// The broker loses a bucket, or all of them, and is there again after so many milliseconds.
    WipeBuckets { bucket: Option<Bucket>, back_after: u64 },
    /// An operator has the markers of deletions removed.
    ForgetDeletions { bucket: Bucket },
    /// A host loses power; with it, perhaps, its disk.
    PowerCut { host: usize, wiped: bool },
    /// A host that is down starts.
    Start { host: usize },
    /// A disk is full, or has room again.
    Disk { host: usize, full: bool },
}

/// Milliseconds in which everything is done.
const LASTS: u64 = 40_000;

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random::of(seed, 1);
        let shape = Shape::of(&mut random);
        let count = random.between(4, 30);
        let keys = Choice::of(&mut random);
        let mut steps: Vec<(u64, Step)> = Vec::new();
        if shape.many {
            steps.push((10, Step::WriteMany { host: 0, value: 1 }));
        }
        for _ in 0..count {
            shape.steps(&mut random, &keys, &mut steps);
        }
        if shape.many {
            let host = random.index(shape.hosts());
            let begins = LASTS - 5_000;
            steps.push((begins, Step::Cut { host, noticed_after: 10 }));
            steps.push((begins + 1_000, Step::WriteMany { host, value: 2 }));
        }
        steps.iter_mut().for_each(|(at, _)| *at = (*at).min(LASTS));
        steps.sort_by_key(|(at, _)| *at);
        Self { seed, shape, steps }
    }

    /// When all is done.
    pub(super) fn ends(&self) -> u64 {
        LASTS + 1_000
    }

    /// The smallest plan that still shows a fault: steps are left out as long as it does.
    pub(super) fn smallest(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut length = self.steps.len() / 2;
        while length > 0 {
            let mut from = 0;
            while from < self.steps.len() {
                let mut fewer = self.clone();
                fewer.steps.drain(from..(from + length).min(self.steps.len()));
                if fails(&fewer) {
                    self = fewer;
                } else {
                    from += length;
                }
            }
            length /= 2;
        }
        self
    }
}

/// Few keys, so that hosts contend for them.
struct Choice {
    keys: Vec<usize>,
    values: u64,
}

impl Choice {
    fn of(random: &mut Random) -> Self {
        let keys = (0..random.between(1, 4)).map(|_| random.index(keys::contended().len())).collect();
        // With few values, hosts write the same now and then.
        Self { keys, values: random.pick(&[2, 3, 1_000_000]) }
    }
}

impl Shape {
    fn of(random: &mut Random) -> Self {
        let faults = random.pick(&[Faults::OneAway, Faults::Cuts, Faults::Wipes, Faults::Wipes, Faults::Everything]);
        let hosts = random.between(2, 5);
        let many = random.one_in(100);
        let clocks_agree = faults == Faults::OneAway || random.one_in(2);
        let ahead = |random: &mut Random| match clocks_agree {
            true => 0,
            false => i64::try_from(random.below(120_000)).expect("small") - 60_000,
        };
        let latency = if many { 70_000 } else { random.pick(&[200, 5_000, 70_000]) };
        let slow = if many || faults == Faults::OneAway || random.one_in(2) { 0 } else { 40 };
        Self { ahead_ms: (0..hosts).map(|_| ahead(random)).collect(), latency, slow, many, faults }
    }

    pub(super) fn hosts(&self) -> usize {
        self.ahead_ms.len()
    }

    /// One more thing to do, and what ends it again.
    fn steps(&self, random: &mut Random, keys: &Choice, steps: &mut Vec<(u64, Step)>) {
        let at = random.below(LASTS);
        let host = random.index(self.hosts());
        match random.below(20) {
            0..=9 => {
                let value = (!random.one_in(3)).then(|| random.below(keys.values));
                steps.push((at, Step::Write { host, key: keys.keys[random.index(keys.keys.len())], value }));
            }
            10..=15 => {
                let host = if self.faults == Faults::OneAway { 0 } else { host };
                let noticed_after = random.pick(&[0, 100, 5_000]);
                steps.push((at, Step::Cut { host, noticed_after }));
                steps.push((at + random.between(1, 20_000), Step::Heal { host }));
            }
            16 => steps.push((at, Step::State { host, statement: random.index(statements::all().len()) })),
            _ => self.fault(random, at, host, steps),
        }
    }

    fn fault(&self, random: &mut Random, at: u64, host: usize, steps: &mut Vec<(u64, Step)>) {
        let bucket = random.pick(&Bucket::ALL);
        let everything = self.faults == Faults::Everything;
        match random.below(5) {
            0 if self.faults != Faults::OneAway => steps.push((at, Step::ForgetDeletions { bucket })),
            1 | 2 if everything => {
                steps.push((at, Step::PowerCut { host, wiped: random.one_in(4) }));
                steps.push((at + random.between(1, 10_000), Step::Start { host }));
            }
            3 if everything => {
                steps.push((at, Step::Disk { host, full: true }));
                steps.push((at + random.between(1, 10_000), Step::Disk { host, full: false }));
            }
            _ if everything || self.faults == Faults::Wipes => {
                let bucket = (!random.one_in(2)).then_some(bucket);
                steps.push((at, Step::WipeBuckets { bucket, back_after: random.between(1, 3_000) }));
            }
            _ => {}
        }
    }
}
