//! The least pace of a transfer: who sends a byte now and then is as good as away.
//!
//! Pure: times are arguments. Invariant: a transfer that goes on brought at least [`MIN_BYTES_PER_SECOND`] in every whole
//! window since it began, whatever became of the connections it went over.

use std::time::Duration;

use tokio::time::Instant;

/// What a registry has to send or take, on average over a window: a hundredth of what the slowest lines carry.
pub const MIN_BYTES_PER_SECOND: u64 = 8 << 10;

/// The pace of one transfer.
#[derive(Debug)]
pub(crate) struct Pace {
    window: Duration,
    began: Instant,
    moved: u64,
}

/// A window in which too little came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slow {
    pub(crate) moved: u64,
    pub(crate) window: Duration,
}

impl Pace {
    pub(crate) fn new(window: Duration, now: Instant) -> Self {
        Self { window, began: now, moved: 0 }
    }

    /// When it has to be looked at again, if nothing moves before.
    pub(crate) fn due(&self) -> Instant {
        self.began + self.window
    }

    /// Takes in that `bytes` moved.
    ///
    /// # Errors
    /// [`Slow`] at the end of a window in which too few did.
    pub(crate) fn moved(&mut self, bytes: u64, now: Instant) -> Result<(), Slow> {
        self.moved = self.moved.saturating_add(bytes);
        if now < self.due() {
            return Ok(());
        }
        // A pause between two looks is no better than bytes that do not come.
        let needed = MIN_BYTES_PER_SECOND as f64 * (now - self.began).as_secs_f64();
        if (self.moved as f64) < needed {
            return Err(Slow { moved: self.moved, window: now - self.began });
        }
        (self.began, self.moved) = (now, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_window_counts_for_itself() {
        let second = Duration::from_secs(1);
        let (window, start) = (10 * second, Instant::now());
        let mut pace = Pace::new(window, start);
        assert_eq!(pace.due(), start + window);
        assert_eq!(pace.moved(1, start + 9 * second), Ok(()), "not over yet");
        assert_eq!(pace.moved(10 * MIN_BYTES_PER_SECOND, start + window), Ok(()));
        assert_eq!(pace.due(), start + 2 * window);
        let slow = Slow { moved: MIN_BYTES_PER_SECOND, window };
        assert_eq!(pace.moved(MIN_BYTES_PER_SECOND, start + 2 * window), Err(slow), "what came before does not count");
    }
}
