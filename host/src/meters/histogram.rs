//! How long something took: counts per bucket, added to without a lock.
//!
//! Knows no names and no clock. Invariant: recording neither allocates nor waits.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets of a call, microseconds: from a call within the process to one that computes.
pub const CALL_BOUNDS: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Upper bounds of the buckets of a start, microseconds: from compiled code at hand to a download on a bad line.
pub const START_BOUNDS: &[u64] = &[
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
];

/// One distribution.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than bounds: what is above all of them.
    counts: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Upper bound in microseconds and how many were at most that long, in ascending order.
    pub at_most: Vec<(u64, u64)>,
    /// How many there were.
    pub count: u64,
    /// All of them together, nanoseconds.
    pub nanos: u64,
}

impl Histogram {
    /// An empty one. `bounds` ascend, in microseconds.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, nanos: AtomicU64::new(0) }
    }

    /// Adds one.
    pub fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.bounds.iter().position(|bound| nanos <= bound * 1000).unwrap_or(self.bounds.len());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What it holds now. The count is that of the buckets, so that they always agree.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut count = 0;
        let mut at_most = Vec::with_capacity(self.bounds.len());
        for (index, bucket) in self.counts.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            at_most.extend(self.bounds.get(index).map(|bound| (*bound, count)));
        }
        Snapshot { at_most, count, nanos: self.nanos.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_their_bound_belongs_to_them() {
        let histogram = Histogram::new(&[10, 20]);
        for micros in [1, 10, 11, 21] {
            histogram.record(Duration::from_micros(micros));
        }
        let expected = Snapshot { at_most: vec![(10, 2), (20, 3)], count: 4, nanos: 43_000 };
        assert_eq!(histogram.snapshot(), expected);
    }

    #[test]
    fn bounds_ascend() {
        for bounds in [CALL_BOUNDS, START_BOUNDS] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
