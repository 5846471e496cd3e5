//! Exponential backoff: longer each time, up to a most, and not in step with others who wait for the same.
//!
//! Pure: randomness is an argument. Invariant: a pause is never shorter than the one the schedule names, nor longer than a
//! quarter above it.

use std::time::Duration;

/// A schedule of pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The first pause; each further one is twice as long.
    pub first: Duration,
    /// No pause of the schedule is longer.
    pub most: Duration,
}

/// Where in its schedule somebody is.
#[derive(Debug, Clone)]
pub struct Backoff {
    schedule: Schedule,
    next: Duration,
}

impl Backoff {
    /// At the beginning.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, next: schedule.first }
    }

    /// The pause to make now; the next one is longer.
    pub fn pause(&mut self) -> Duration {
        let now = self.next.min(self.schedule.most);
        self.next = (now * 2).min(self.schedule.most);
        now
    }

    /// The same with up to a quarter more, so that those who lost something together do not come back together. `random`
    /// may be any number.
    pub fn spread_pause(&mut self, random: u32) -> Duration {
        let pause = self.pause();
        pause + pause * (random % 256) / 1024
    }

    /// It went well: the next pause is the first again.
    pub fn reset(&mut self) {
        self.next = self.schedule.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { first: Duration::from_millis(100), most: Duration::from_secs(1) };

    #[test]
    fn pauses_double_up_to_the_most() {
        let mut backoff = Backoff::new(SCHEDULE);
        let pauses: Vec<_> = (0..6).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn what_went_well_begins_anew() {
        let mut backoff = Backoff::new(SCHEDULE);
        backoff.pause();
        backoff.pause();
        backoff.reset();
        assert_eq!(backoff.pause(), SCHEDULE.first);
    }

    #[test]
    fn a_spread_pause_is_at_most_a_quarter_longer() {
        for random in [0, 1, 255, 256, u32::MAX] {
            let (mut plain, mut spread) = (Backoff::new(SCHEDULE), Backoff::new(SCHEDULE));
            for _ in 0..8 {
                let (pause, spread) = (plain.pause(), spread.spread_pause(random));
                assert!(spread >= pause && spread < pause + pause / 4, "{random}: {spread:?} for {pause:?}");
            }
        }
    }

    #[test]
    fn a_first_pause_beyond_the_most_is_the_most() {
        let mut backoff = Backoff::new(Schedule { first: Duration::from_secs(5), most: Duration::from_secs(1) });
        assert_eq!(backoff.pause(), Duration::from_secs(1));
        assert_eq!(backoff.pause(), Duration::from_secs(1));
    }
}
