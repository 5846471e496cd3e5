//! A restarted host takes up what it ran. Each outcome is an event, as if an operator had asked.
//!
//! A start that fails for a reason that passes (a registry that is away, a disk that is not mounted yet) is tried again,
//! later and later, for as long as it is wanted, which is looked at when its turn has come. Invariant: what an operator
//! does meanwhile is never undone.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    actor::ActorError,
    provider::StartProviderError,
    queue::{Outcome, Workloads},
};
use crate::process::{
    backoff::{Backoff, Schedule},
    lifetime::Lifetime,
};

/// How many starts of an earlier run have no first outcome yet.
#[derive(Debug, Default)]
pub struct Resuming(AtomicUsize);

impl Resuming {
    /// A start is queued.
    pub fn queued(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It ended, either way.
    pub fn ended(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// An error that may not come again.
trait MayPass {
    fn may_pass(&self) -> bool;
}

impl MayPass for ActorError {
    fn may_pass(&self) -> bool {
        Self::may_pass(self)
    }
}

impl MayPass for StartProviderError {
    fn may_pass(&self) -> bool {
        Self::may_pass(self)
    }
}

impl Workloads {
    /// Queues every start of the last run, in the order of the commands that brought them; repetitions run on their own.
    pub async fn resume(self: &Arc<Self>) {
        let desired = self.actors.desired.workload().await;
        for command in desired.providers.into_iter().map(|entry| entry.command) {
            let work = self.clone();
            let reference = command.provider_ref.clone();
            self.keep_trying(reference, move || work.start_provider_again(command.clone()));
        }
        for command in desired.actors.into_iter().map(|entry| entry.command) {
            let work = self.clone();
            let reference = command.actor_ref.clone();
            self.keep_trying(reference, move || work.scale_again(command.clone()));
        }
    }

    fn keep_trying<E: MayPass + Send + 'static>(
        self: &Arc<Self>,
        reference: String,
        mut queue: impl FnMut() -> Outcome<E> + Send + 'static,
    ) {
        let first = queue();
        self.resuming.queued();
        let work = self.clone();
        self.life.spawn(async move {
            let may_pass = passes(first).await;
            work.resuming.ended();
            if may_pass {
                again(&work.life, work.pauses, &reference, || passes(queue())).await;
            }
        });
    }
}

async fn passes<E: MayPass>(outcome: Outcome<E>) -> bool {
    outcome.await.ok().and_then(Result::err).is_some_and(|error| error.may_pass())
}

/// Tries, longer and longer apart and not in step with other hosts, while what failed may pass and the host lives.
async fn again<F: Future<Output = bool>>(
    life: &Lifetime,
    pauses: Schedule,
    reference: &str,
    mut attempt: impl FnMut() -> F,
) {
    let mut backoff = Backoff::new(pauses);
    loop {
        let again_in = backoff.spread_pause(getrandom::u32().unwrap_or_default());
        tracing::info!(%reference, ?again_in, "what this host ran cannot be had now");
        tokio::select! {
            () = life.stop.cancelled() => return,
            () = tokio::time::sleep(again_in) => {}
        }
        if !attempt().await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    const PAUSES: Schedule = Schedule { first: Duration::from_secs(1), most: Duration::from_secs(60) };

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_later_and_later_until_it_does_not() {
        let (life, mut times, began) = (Lifetime::new(Duration::from_secs(1)), Vec::new(), Instant::now());
        again(&life, PAUSES, "r", || {
            times.push(began.elapsed());
            std::future::ready(times.len() < 9)
        })
        .await;
        assert_eq!(times.len(), 9);
        let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(times[0] >= PAUSES.first && times[0] < PAUSES.first * 5 / 4, "{times:?}");
        assert!(pauses.iter().take(5).zip(1..).all(|(pause, n)| *pause >= PAUSES.first * (1 << n)), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause < PAUSES.most * 5 / 4 + Duration::from_millis(1)), "{pauses:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_stops_tries_nothing_more() {
        let life = Lifetime::new(Duration::from_secs(1));
        life.stop.cancel();
        again(&life, PAUSES, "r", || -> std::future::Ready<bool> { panic!("nothing is tried after the stop") }).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_between_two_attempts_ends_the_wait() {
        let life = Lifetime::new(Duration::from_secs(1));
        let (stopping, mut attempts) = (life.clone(), 0);
        again(&life, PAUSES, "r", || {
            attempts += 1;
            if attempts == 2 {
                stopping.stop.cancel();
            }
            std::future::ready(true)
        })
        .await;
        assert_eq!(attempts, 2);
    }

    #[tokio::test]
    async fn only_a_failure_that_may_pass_is_tried_again() {
        let outcome = |result: Option<Result<(), ActorError>>| {
            let (tell, told) = tokio::sync::oneshot::channel();
            if let Some(result) = result {
                tell.send(result).ok();
            }
            told
        };
        assert!(!passes(outcome(Some(Ok(())))).await);
        assert!(!passes(outcome(Some(Err(ActorError::NotRunning)))).await);
        assert!(!passes(outcome(None)).await, "the host stopped first");
    }

    #[test]
    fn starts_are_counted_until_their_first_outcome() {
        let resuming = Resuming::default();
        resuming.queued();
        resuming.queued();
        resuming.ended();
        assert_eq!(resuming.left(), 1);
    }
}
