//! Remembering which invocations were seen, so that one that is sent again is not carried out again.
//!
//! Goes by the signed part of the token, because the id in the envelope is not signed and a replay could carry another
//! one. Pure but for its lock; time is a parameter. Invariants: a token is remembered for at least the window, unless
//! more than the capacity arrive within it; memory is bounded by twice the capacity. Only tokens whose signature holds
//! may be noted: otherwise anybody could fill the memory.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Window that suits hosts: far longer than any call, so that what is captured on the wire is stale when it is over.
const WINDOW: Duration = Duration::from_secs(120);
/// Tokens per generation. Sixteen bytes each; memory is used as they arrive.
const CAPACITY: usize = 1 << 18;

/// The invocations of the last while.
#[derive(Debug)]
pub struct ReplayGuard {
    window: Duration,
    capacity: usize,
    hashers: [RandomState; 2],
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    current: HashSet<u128>,
    previous: HashSet<u128>,
    /// When the current generation began; `None` before the first token.
    began: Option<Instant>,
}

impl Default for ReplayGuard {
    fn default() -> Self {
        Self::new(WINDOW, CAPACITY)
    }
}

impl ReplayGuard {
    /// Remembers tokens for at least `window` as long as no more than `capacity` of them arrive within it.
    #[must_use]
    pub fn new(window: Duration, capacity: usize) -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { window, capacity: capacity.max(1), hashers, seen: Mutex::default() }
    }

    /// Notes the token of an invocation (`encoded_claims`); `false` when it was seen before and the invocation must be
    /// refused.
    #[must_use]
    pub fn is_first(&self, token: &str, now: Instant) -> bool {
        // Not the signature: there may be several for the same statement.
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        // Two keyed hashes in place of the text: bounded memory, and nobody can aim at a collision.
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(signed)));
        let id = (high << 64) | low;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.turn(now, self.window, self.capacity);
        !seen.previous.contains(&id) && seen.current.insert(id)
    }
}

impl Seen {
    /// Begins a new generation when the current one is old or full, and forgets what is older than that.
    fn turn(&mut self, now: Instant, window: Duration, capacity: usize) {
        let age = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        if age >= window || self.current.len() >= capacity {
            self.previous = std::mem::take(&mut self.current);
            if age >= window * 2 {
                self.previous = HashSet::new();
            }
            self.began = None;
        }
        self.began.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn a_token_counts_once_within_the_window() {
        let guard = ReplayGuard::new(WINDOW, 100);
        let start = Instant::now();
        assert!(guard.is_first("a", start));
        assert!(guard.is_first("b", start));
        for seconds in [0, 1, 9, 10] {
            assert!(!guard.is_first("a", start + Duration::from_secs(seconds)), "after {seconds} s");
        }
    }

    #[test]
    fn a_token_noted_late_in_a_generation_is_remembered_for_the_whole_window() {
        let guard = ReplayGuard::new(WINDOW, 100);
        let start = Instant::now();
        assert!(guard.is_first("early", start));
        assert!(guard.is_first("late", start + Duration::from_secs(9)));
        assert!(guard.is_first("next", start + Duration::from_secs(11)));
        assert!(!guard.is_first("late", start + Duration::from_secs(18)));
    }

    #[test]
    fn another_signature_does_not_make_another_token() {
        let guard = ReplayGuard::default();
        let now = Instant::now();
        assert!(guard.is_first("header.claims.signature", now));
        assert!(!guard.is_first("header.claims.other", now));
        assert!(guard.is_first("header.others.signature", now));
    }

    #[test]
    fn what_is_older_than_two_windows_is_forgotten() {
        let guard = ReplayGuard::new(WINDOW, 100);
        let start = Instant::now();
        assert!(guard.is_first("a", start));
        assert!(guard.is_first("a", start + WINDOW * 2));
    }

    #[test]
    fn a_flood_does_not_use_more_than_twice_the_capacity() {
        let guard = ReplayGuard::new(WINDOW, 1000);
        let now = Instant::now();
        for n in 0..100_000 {
            assert!(guard.is_first(&n.to_string(), now));
        }
        let seen = guard.seen.lock().expect("not poisoned");
        assert!(seen.current.len() + seen.previous.len() <= 2000);
    }
}
