//! How much of something a host does for others: so much at once, so much a second, for one of them and for all.
//!
//! Pure: the clock is an argument. Invariant: in any stretch of time no more is granted than the burst and the rate of
//! that stretch; what is remembered of senders is bounded.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// Senders that have a budget of their own; further ones share that of all.
const MAX_SENDERS: usize = 4096;
/// How often those that have all of their budget are dropped, when there are too many.
const SWEEP: Duration = Duration::from_secs(1);

/// So much at once, and so much more every second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// In a second.
    pub per_second: u32,
}

/// What is left.
#[derive(Debug)]
pub struct Budget {
    rate: Rate,
    left: f64,
    since: Option<Instant>,
}

impl Budget {
    /// All of it is left.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, left: f64::from(rate.burst), since: None }
    }

    /// Takes so much, if it is left.
    #[must_use]
    pub fn take(&mut self, amount: u32, now: Instant) -> bool {
        self.fill(now);
        let enough = self.left >= f64::from(amount);
        if enough {
            self.left -= f64::from(amount);
        }
        enough
    }

    fn fill(&mut self, now: Instant) {
        let since = self.since.replace(now).unwrap_or(now);
        let more = now.saturating_duration_since(since).as_secs_f64() * f64::from(self.rate.per_second);
        self.left = (self.left + more).min(f64::from(self.rate.burst));
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left >= f64::from(self.rate.burst)
    }
}

/// Budgets of senders, and that of all together.
#[derive(Debug)]
pub struct Budgets<K> {
    each: Rate,
    all: Budget,
    of: HashMap<K, Budget>,
    /// When those that have all of theirs were last dropped.
    swept: Option<Instant>,
}

impl<K: Hash + Eq> Budgets<K> {
    /// Nobody has taken anything.
    #[must_use]
    pub fn new(each: Rate, all: Rate) -> Self {
        Self { each, all: Budget::new(all), of: HashMap::new(), swept: None }
    }

    /// Whether nothing is left for anybody now, whoever asks.
    #[must_use]
    pub fn is_used_up(&mut self, now: Instant) -> bool {
        self.all.fill(now);
        self.all.left < 1.0
    }

    /// Once a second at most: whoever makes up senders must not have all of them looked at for each.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.of.retain(|_, budget| !budget.is_full(now));
        }
    }

    /// Takes one for a sender, if its own budget and that of all have it.
    #[must_use]
    pub fn take(&mut self, sender: K, now: Instant) -> bool {
        if self.of.len() >= MAX_SENDERS && !self.of.contains_key(&sender) {
            self.sweep(now);
            if self.of.len() >= MAX_SENDERS {
                return self.all.take(1, now);
            }
        }
        let each = self.each;
        self.of.entry(sender).or_insert_with(|| Budget::new(each)).take(1, now) && self.all.take(1, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Rate = Rate { burst: 2, per_second: 1 };
    const ALL: Rate = Rate { burst: 5, per_second: 10 };

    #[test]
    fn a_burst_and_then_the_rate_are_granted() {
        let (start, mut budget) = (Instant::now(), Budget::new(EACH));
        let at = |ms| start + Duration::from_millis(ms);
        let granted = [0, 0, 0, 900, 1000, 1000, 9000, 9000, 9000].map(|ms| budget.take(1, at(ms)));
        assert_eq!(granted, [true, true, false, false, true, false, true, true, false]);
    }

    #[test]
    fn one_sender_does_not_use_up_what_is_for_all() {
        let (now, mut budgets) = (Instant::now(), Budgets::new(EACH, ALL));
        let count = |budgets: &mut Budgets<u32>, sender| (0..100).filter(|_| budgets.take(sender, now)).count();
        assert_eq!(count(&mut budgets, 1), 2);
        assert_eq!(count(&mut budgets, 2), 2);
        assert!(!budgets.is_used_up(now));
        assert_eq!(count(&mut budgets, 3), 1, "all together have five");
        assert!(budgets.is_used_up(now) && !budgets.is_used_up(now + Duration::from_secs(1)));
    }

    #[test]
    fn senders_that_are_made_up_are_not_remembered_without_bound() {
        let (start, mut budgets) = (Instant::now(), Budgets::new(EACH, ALL));
        let granted = (0..100_000_u32).filter(|sender| budgets.take(*sender, start)).count();
        assert_eq!(granted, 5);
        assert!(budgets.of.len() <= MAX_SENDERS, "{}", budgets.of.len());
        assert!(budgets.take(200_000, start + Duration::from_secs(60)), "the silent ones make room");
        assert!(budgets.of.len() <= 1, "{}", budgets.of.len());
    }
}
