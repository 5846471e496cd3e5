//! The lines about failed calls of one actor.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use claims::ActorId;
use contracts::CallError;

/// Lines about failed calls that one actor may cause in a second.
const LINES: u32 = 10;

/// The lines about failed calls of one actor, so many in a second: whoever calls it decides how often it fails.
#[derive(Debug, Default)]
pub struct FailureLines {
    second: Mutex<Option<Second>>,
}

#[derive(Debug)]
struct Second {
    began: Instant,
    lines: u32,
    dropped: u64,
}

impl FailureLines {
    /// Says that a call failed, where that is the guest's doing and somebody should look at it.
    pub fn failed(&self, actor: &ActorId, error: &CallError, has_head: bool) {
        let code = error.code();
        if matches!(code, "busy" | "not_running" | "unreachable" | "not_granted" | "not_linked" | "unsupported") {
            return;
        }
        let Some(dropped) = self.pass(Instant::now()) else { return };
        let when = if has_head { "after its answer had begun" } else { "before it answered" };
        if dropped > 0 {
            tracing::warn!(%actor, dropped, "more calls failed than lines were written");
        }
        tracing::warn!(%actor, code, %error, "a call failed {when}");
    }

    /// How many lines were not written since the last one, if another may be.
    fn pass(&self, now: Instant) -> Option<u64> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let second = second.get_or_insert(Second { began: now, lines: 0, dropped: 0 });
        if now.saturating_duration_since(second.began) >= Duration::from_secs(1) {
            *second = Second { began: now, lines: 0, dropped: second.dropped };
        }
        if second.lines >= LINES {
            second.dropped += 1;
            return None;
        }
        second.lines += 1;
        Some(std::mem::take(&mut second.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_that_fails_all_the_time_writes_so_many_lines_and_says_how_many_more() {
        let (lines, now) = (FailureLines::default(), Instant::now());
        let written = (0..100).filter(|_| lines.pass(now).is_some()).count();
        assert_eq!(written, LINES as usize);
        assert_eq!(lines.pass(now + Duration::from_secs(1)), Some(100 - u64::from(LINES)));
        assert_eq!(lines.pass(now + Duration::from_secs(1)), Some(0));
    }
}
