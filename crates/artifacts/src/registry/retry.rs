//! Asking again: a bounded number of times, with pauses that grow and are never quite the same.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::error::RegistryError;
use super::inner::Inner;
use super::options::Timeouts;

pub(super) struct Retry {
    left: u32,
    pause: Duration,
    timeouts: Timeouts,
}

impl Inner {
    pub(super) fn retry(&self) -> Retry {
        Retry { left: self.options.retries, pause: self.options.timeouts.first_pause, timeouts: self.options.timeouts }
    }
}

impl Retry {
    /// Waits until it is time to ask again after `error`.
    ///
    /// # Errors
    /// With `error`, when asking again does not help, was done often enough, or is wanted too late.
    pub(super) async fn after(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let asked_for = error.retry_after();
        let too_late = asked_for.is_some_and(|pause| pause > self.timeouts.longest_pause);
        if !error.is_worth_repeating() || self.left == 0 || too_late {
            return Err(error);
        }
        tracing::debug!(%error, left = self.left, "the registry is asked again");
        self.left -= 1;
        tokio::time::sleep(asked_for.unwrap_or_else(|| spread(self.pause))).await;
        self.pause = (self.pause * 2).min(self.timeouts.longest_pause);
        Ok(())
    }
}

/// Between half of `pause` and all of it, so that many who failed together do not come back together.
fn spread(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(());
    let share = 0.5 + 0.5 * (random % 1000) as f64 / 1000.0;
    pause.mul_f64(share)
}
