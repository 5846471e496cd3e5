//! An actor's subscription in its queue group: calls are taken from the broker until the actor no longer serves.
//!
//! The client library forgets a subscription in the moment in which it asks the broker to end it, and drops the calls
//! that are still on their way. A subscription is therefore left by number: broker and library both end the subscription
//! after so many more calls, and none is lost. Invariant: a call that was taken is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use lattice::subject::RpcSubject;

use super::{arrive::answer, face::Calls};
use crate::actors::RunningActor;

/// For the broker's word that no more calls will come. One that just went away would never say it.
const DRAIN: Duration = Duration::from_secs(2);
/// A place is left by number as long as calls come at least so often. Where they come rarely, or have ceased, hardly one is
/// on its way, and nobody who stops a host waits for calls that do not come.
const CALLS_HAVE_CEASED: Duration = Duration::from_millis(100);
/// A busy place is left after the calls of a quarter of a second: more are not on their way from the broker at once.
const PART: f64 = 0.25;
/// And after so many at least.
const FEWEST: u64 = 4;

/// Takes calls for an actor, and for those that replace it, until it no longer serves.
pub fn serve_actor(calls: &Arc<Calls>, actor: &Arc<RunningActor>) {
    let Some(nats) = &calls.nats else { return };
    let (calls, actor, client) = (calls.clone(), actor.clone(), nats.calls.client.clone());
    calls.life.clone().spawn(async move {
        let subject = RpcSubject::Actor(actor.id);
        let group = subject.queue_group(&calls.identity.lattice).expect("actors are called through a queue group");
        match client.queue_subscribe(subject.render(&calls.identity.lattice), group).await {
            Ok(messages) => {
                QueueSubscription { calls, actor, messages, taken: 0, pace: Pace::default() }.serve().await;
            }
            Err(error) => tracing::error!(%error, actor = %actor.id, "cannot take calls from the lattice"),
        }
    });
}

struct QueueSubscription {
    calls: Arc<Calls>,
    /// Who took the last call.
    actor: Arc<RunningActor>,
    messages: Subscriber,
    taken: u64,
    pace: Pace,
}

impl QueueSubscription {
    async fn serve(mut self) {
        let serving = self.actor.serving().clone();
        loop {
            tokio::select! {
                call = self.messages.next() => match call {
                    Some(call) => self.take(call),
                    None => return, // the connection is closed
                },
                () = serving.cancelled() => break,
            }
        }
        let id = self.actor.id;
        let connected = self.calls.nats.as_ref().map(|nats| nats.calls.connected.clone());
        let away = async {
            match connected {
                Some(mut connected) => drop(connected.wait_for(|connected| !connected).await),
                None => std::future::pending().await,
            }
        };
        let left =
            async { self.leave_by_number().await || tokio::time::timeout(DRAIN, self.leave_at_once()).await.is_ok() };
        tokio::select! {
            biased;
            // From a broker that is away nothing comes, its word that nothing comes included.
            () = away => {}
            left = left => if !left {
                tracing::debug!(actor = %id, "the broker did not confirm the end of a subscription");
            }
        }
    }

    /// Whether the place is left. It is not when calls come too rarely.
    async fn leave_by_number(&mut self) -> bool {
        let rate = self.pace.per_second(Instant::now());
        if rate == 0.0 {
            return false;
        }
        let more = ((rate * PART).ceil() as u64).max(FEWEST);
        if self.messages.unsubscribe_after(self.taken + more).await.is_err() {
            return false;
        }
        loop {
            match tokio::time::timeout(CALLS_HAVE_CEASED, self.messages.next()).await {
                Ok(Some(call)) => self.take(call),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    async fn leave_at_once(&mut self) {
        self.messages.drain().await.ok();
        while let Some(call) = self.messages.next().await {
            self.take(call);
        }
    }

    fn take(&mut self, call: Message) {
        self.taken += 1;
        self.pace.count(Instant::now());
        if let Some(current) = self.calls.actors.get(&self.actor.id) {
            self.actor = current; // it may have been replaced since
        }
        self.calls.life.spawn(answer(self.calls.clone(), self.actor.clone(), call));
    }
}

/// How many calls come in a second.
#[derive(Default)]
struct Pace {
    since: Option<Instant>,
    calls: u64,
    /// Calls of the second before, if it was just before.
    before: Option<u64>,
}

impl Pace {
    /// The shortest time that calls are taken to have come in.
    const LEAST: Duration = Duration::from_millis(50);

    fn count(&mut self, now: Instant) {
        self.turn(now);
        self.calls += 1;
    }

    /// The rate of the last one to two seconds, or since the first call when that is less.
    fn per_second(&mut self, now: Instant) -> f64 {
        let this = now.saturating_duration_since(self.turn(now));
        let time = if self.before.is_some() { this + Duration::from_secs(1) } else { this };
        let calls = self.calls + self.before.unwrap_or_default();
        calls as f64 / time.max(Self::LEAST).as_secs_f64()
    }

    /// When the present second began.
    fn turn(&mut self, now: Instant) -> Instant {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed < Duration::from_secs(1) {
            return since;
        }
        self.before = (passed < Duration::from_secs(2)).then_some(self.calls);
        (self.since, self.calls) = (Some(now), 0);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_that_of_the_last_seconds() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let near = |rate: f64, expected: f64| assert!((rate - expected).abs() < 0.1, "{rate} instead of {expected}");
        near(pace.per_second(start), 0.0);
        pace.count(start);
        near(pace.per_second(at(1)), 20.0); // as if it had taken the least time
        for ms in [100, 200] {
            pace.count(at(ms));
        }
        near(pace.per_second(at(300)), 10.0);
        pace.count(at(1_100));
        near(pace.per_second(at(1_600)), 4.0 / 1.5);
        near(pace.per_second(at(2_600)), 1.0);
        near(pace.per_second(at(6_000)), 0.0);
    }
}
