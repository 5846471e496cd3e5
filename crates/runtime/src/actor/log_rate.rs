//! How many lines an actor may log in a second, over all its calls.
//!
//! Knows neither lines nor a clock of its own. Invariant: of the lines of a second at most the limit pass, and what was
//! dropped is told once, with the next line that passes.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// The lines of one actor.
#[derive(Debug, Default)]
pub(crate) struct LogRate {
    second: Mutex<Option<Second>>,
}

#[derive(Debug)]
struct Second {
    began: Instant,
    lines: u32,
    dropped: u64,
}

/// What happens to a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is logged; so many before it were not.
    Passes {
        /// Lines dropped since the last one that passed.
        dropped: u64,
    },
    /// The first of a second that is not logged.
    FirstDropped,
    /// Not logged.
    Dropped,
}

impl LogRate {
    pub(crate) fn judge(&self, limit: u32, now: Instant) -> Verdict {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let second = second.get_or_insert(Second { began: now, lines: 0, dropped: 0 });
        if now.saturating_duration_since(second.began) >= SECOND {
            *second = Second { began: now, lines: 0, dropped: second.dropped };
        }
        if second.lines < limit {
            second.lines += 1;
            return Verdict::Passes { dropped: std::mem::take(&mut second.dropped) };
        }
        second.dropped += 1;
        if second.dropped == 1 { Verdict::FirstDropped } else { Verdict::Dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_room_for_the_limit_and_the_next_tells_what_was_dropped() {
        let (rate, start) = (LogRate::default(), Instant::now());
        let at = |millis| rate.judge(2, start + Duration::from_millis(millis));
        assert_eq!(at(0), Verdict::Passes { dropped: 0 });
        assert_eq!(at(1), Verdict::Passes { dropped: 0 });
        assert_eq!(at(2), Verdict::FirstDropped);
        assert_eq!(at(999), Verdict::Dropped);
        assert_eq!(at(1000), Verdict::Passes { dropped: 2 });
        assert_eq!(at(1001), Verdict::Passes { dropped: 0 });
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_pass() {
        let (rate, start) = (LogRate::default(), Instant::now());
        assert_eq!(rate.judge(0, start), Verdict::FirstDropped);
        assert_eq!(rate.judge(0, start + 2 * SECOND), Verdict::Dropped);
    }
}
