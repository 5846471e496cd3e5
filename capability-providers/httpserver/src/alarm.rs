//! The clock of one connection.
//!
//! The server sets a clock for every request and hardly ever hears it. To set one in the system of timers, which all
//! connections share, and to take it out again costs more than the rest of reading a request; so one alarm stays set for
//! all requests of a connection and is moved only when it rings too early. Invariant: whoever waits is woken no later
//! than it asked to be, and told nothing before that. Of the sleeps of one alarm one is waited for at a time.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::time;

/// A timer for one connection.
#[derive(Debug, Clone, Default)]
pub struct Alarm(Arc<Mutex<Option<Pin<Box<time::Sleep>>>>>);

/// A sleep that shares the alarm of its connection.
struct Until {
    deadline: time::Instant,
    alarm: Alarm,
}

impl Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until { deadline: deadline.into(), alarm: self.clone() })
    }
}

impl Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(time::sleep_until(self.deadline)));
        if alarm.deadline() > self.deadline {
            alarm.as_mut().reset(self.deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(10);
    const HOUR: Duration = Duration::from_secs(3600);
    /// A busy machine may be late, but not like an alarm that is set for something else.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn every_sleep_ends_when_it_should_whatever_the_alarm_was_set_for_before() {
        let alarm = Alarm::default();
        for abandoned in [HOUR, MOMENT, 2 * HOUR, MOMENT / 2, Duration::ZERO] {
            let deadline = Instant::now() + MOMENT;
            // Asked once, as the server does, and given up when the request is there.
            let _ = alarm.sleep(abandoned).now_or_never();
            time::timeout(PATIENCE, alarm.sleep_until(deadline)).await.expect("it ends");
            assert!(Instant::now() >= deadline, "{abandoned:?}: told too early");
        }
    }

    #[tokio::test]
    async fn an_alarm_that_rings_too_early_is_set_again() {
        let (alarm, deadline) = (Alarm::default(), Instant::now() + 10 * MOMENT);
        assert!(alarm.sleep(MOMENT).now_or_never().is_none(), "the alarm is set");
        time::timeout(PATIENCE, alarm.sleep_until(deadline)).await.expect("it ends");
        assert!(Instant::now() >= deadline);
    }
}
