//! Callers that go on calling while something breaks, and what they saw.

use std::{
    collections::BTreeMap,
    fmt::{Display, Formatter},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use contracts::CallError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(20);

/// Running callers; they end with the value.
pub struct Load {
    stop: CancellationToken,
    callers: JoinSet<()>,
    seen: Arc<Mutex<Seen>>,
}

/// What callers saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Right answers.
    pub answered: usize,
    /// Slowest of them.
    pub slowest_answer: Duration,
    /// Failures by their sentence, with keys taken out, and the slowest of each.
    pub failed: BTreeMap<String, (usize, Duration)>,
}

impl Load {
    /// So many callers, each of which calls about fifty times a second, and checks the answer in `call`.
    pub fn start<F, C>(callers: usize, call: C) -> Self
    where
        F: Future<Output = Result<(), CallError>> + Send,
        C: Fn() -> F + Clone + Send + 'static,
    {
        let (stop, seen) = (CancellationToken::new(), Arc::<Mutex<Seen>>::default());
        let mut running = JoinSet::new();
        for _ in 0..callers {
            let (call, stop, seen) = (call.clone(), stop.clone(), seen.clone());
            running.spawn(async move {
                while !stop.is_cancelled() {
                    let started = Instant::now();
                    let outcome = call().await;
                    seen.lock().unwrap_or_else(PoisonError::into_inner).note(outcome, started.elapsed());
                    tokio::time::sleep(PAUSE).await; // the load is what is tested, not waited for
                }
            });
        }
        Self { stop, callers: running, seen }
    }

    /// What was seen so far.
    #[must_use]
    pub fn so_far(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops, and waits for the calls under way.
    ///
    /// # Panics
    /// When a caller panicked.
    pub async fn end(mut self) -> Seen {
        self.stop.cancel();
        while let Some(caller) = self.callers.join_next().await {
            caller.expect("a caller does not panic");
        }
        self.so_far()
    }
}

impl Seen {
    fn note(&mut self, outcome: Result<(), CallError>, took: Duration) {
        match outcome {
            Ok(()) => {
                self.answered += 1;
                self.slowest_answer = self.slowest_answer.max(took);
            }
            Err(error) => {
                let (count, slowest) = self.failed.entry(without_keys(&error.to_string())).or_default();
                *count += 1;
                *slowest = took.max(*slowest);
            }
        }
    }

    /// How many calls failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.failed.values().map(|(count, _)| count).sum()
    }

    /// The longest that anybody waited, for whatever.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.failed.values().map(|(_, slowest)| *slowest).fold(self.slowest_answer, Duration::max)
    }
}

/// Keys differ from run to run; what is said about them does not.
fn without_keys(text: &str) -> String {
    let is_key =
        |word: &str| word.len() == 56 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let parts = text.split('`').map(|part| if is_key(part) { "…" } else { part });
    parts.collect::<Vec<_>>().join("`")
}

impl Display for Seen {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answered, slowest {:.0?}", self.answered, self.slowest_answer)?;
        for (sentence, (count, slowest)) in &self.failed {
            write!(f, "; {count} × \"{sentence}\", slowest {slowest:.0?}")?;
        }
        Ok(())
    }
}
