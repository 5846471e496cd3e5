//! When a call over HTTP must have ended, which moves as long as its bodies do.
//!
//! The caller of a stream has patience for its next piece, not for the whole. Invariant: a call whose bodies stand still
//! has ended when the time that was given for that is over, and its error names the limit.

use std::{
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use contracts::{
    CallError,
    http_message::{HttpTerms, Time},
    httpserver::HANDLE_REQUEST,
};
use tokio::{sync::Notify, time::sleep_until};

/// Times are counted from here, so that one number holds them.
static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The actor's own limit, by the name it has for operators.
pub(crate) const OWN: &str = "`call-time` of the actor";

/// The clock of one call, or of an instance that several calls share.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Nanoseconds since [`BASE`].
    at: AtomicU64,
    /// Whether the head of the answer was handed over.
    answered: AtomicBool,
    /// None when nothing moves it.
    terms: Option<HttpTerms>,
    /// Whether the actor's own limit is the one that stands when nothing moves it.
    own: bool,
    /// The clock of the instance, where it serves other calls as well.
    instance: OnceLock<Arc<Clock>>,
    /// Told when the end has come nearer.
    nearer: Notify,
    /// Why the request did not come in whole, which may be why its answer does not go out whole.
    request: OnceLock<CallError>,
}

impl Clock {
    /// One that ends at `deadline` unless the bodies of the call move it, in the `terms`. `own`: the deadline is the actor's.
    pub(crate) fn new(deadline: Instant, own: bool, terms: Option<HttpTerms>) -> Arc<Self> {
        let (at, answered, instance) = (nanos(deadline).into(), false.into(), OnceLock::new());
        let (nearer, request) = (Notify::new(), OnceLock::new());
        Arc::new(Self { at, answered, terms, own, instance, nearer, request })
    }

    /// When the call must have ended, as things are now.
    pub(crate) fn deadline(&self) -> Instant {
        let at = Duration::from_nanos(self.at.load(Relaxed));
        BASE.checked_add(at).unwrap_or(*BASE)
    }

    /// The head of the answer was handed over. From here on only pauses are bounded.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Relaxed);
        if let Some(terms) = &self.terms {
            self.set(terms.pause);
        }
    }

    /// A piece of the request came in, or one of the answer was taken.
    pub(crate) fn moved(&self) {
        let Some(time) = self.time() else { return };
        self.set(time);
    }

    /// More of the request is waited for: that is its client's time, until it has come in.
    pub(crate) fn awaits_request(&self) {
        let Some(terms) = self.terms.as_ref().filter(|terms| terms.pause.limit > terms.head.limit) else { return };
        if !self.answered.load(Relaxed) {
            self.set(terms.pause);
        }
    }

    fn set(&self, time: Time) {
        let at = nanos(time.from_now());
        if self.at.swap(at, Relaxed) > at {
            self.nearer.notify_one();
        }
        self.tell_instance(at);
    }

    /// The request broke off.
    pub(crate) fn request_failed(&self, error: CallError) {
        self.request.set(error).ok();
    }

    /// Why it did, if it did.
    pub(crate) fn request_error(&self) -> Option<CallError> {
        self.request.get().cloned()
    }

    /// Lets the clock of the instance go at least as long as this one.
    pub(crate) fn drive(&self, instance: &Arc<Self>) {
        instance.at.fetch_max(self.at.load(Relaxed), Relaxed);
        self.instance.set(instance.clone()).ok();
    }

    fn tell_instance(&self, at: u64) {
        if let Some(instance) = self.instance.get() {
            instance.at.fetch_max(at, Relaxed);
        }
    }

    /// The time that runs now.
    fn time(&self) -> Option<Time> {
        let terms = self.terms.as_ref()?;
        Some(if self.answered.load(Relaxed) { terms.pause } else { terms.head })
    }

    /// Whether the limit that runs now is the actor's own.
    pub(crate) fn is_own(&self) -> bool {
        self.time().map_or(self.own, |time| time.name == OWN)
    }

    /// Waits until the time is over.
    pub(crate) async fn is_over(&self) {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                () = sleep_until(deadline.into()) => {
                    if self.deadline() <= deadline {
                        return;
                    }
                }
                () = self.nearer.notified() => {}
            }
        }
    }

    /// How a call ends whose time is over.
    pub(crate) fn late(&self, actor: &str) -> CallError {
        let ran = format!("`{actor}` ran `{HANDLE_REQUEST}`");
        let step = match self.time() {
            None if self.own => format!("{ran} ({OWN})"),
            None => ran,
            Some(Time { limit, name }) if self.answered.load(Relaxed) => {
                format!("{ran}: its answer stood still for {limit:?} ({name})")
            }
            Some(Time { limit, name }) => format!("{ran}: no answer began within {limit:?} ({name})"),
        };
        CallError::DeadlineExceeded { step }
    }
}

fn nanos(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*BASE).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Time = Time { limit: Duration::from_millis(20), name: "`timeout_ms` of the link" };
    const PAUSE: Time = Time { limit: Duration::from_millis(40), name: OWN };
    const TERMS: HttpTerms = HttpTerms { max_body: 0, head: HEAD, pause: PAUSE };

    #[test]
    fn what_moves_before_and_after_the_head_has_its_own_time() {
        let began = Instant::now();
        let clock = Clock::new(began + HEAD.limit, false, Some(TERMS));
        assert!(clock.late("M").to_string().contains("no answer began within 20ms (`timeout_ms` of the link)"));
        clock.moved();
        let moved = clock.deadline();
        assert!(moved > began + HEAD.limit && moved <= Instant::now() + HEAD.limit);
        assert!(!clock.is_own());
        clock.awaits_request();
        assert!(clock.deadline() >= began + PAUSE.limit, "its client may make a pause");
        clock.moved();
        assert!(clock.deadline() <= Instant::now() + HEAD.limit);
        clock.answered();
        assert!(clock.deadline() >= began + PAUSE.limit && clock.is_own());
        assert!(clock.late("M").to_string().contains("stood still for 40ms (`call-time` of the actor)"));
    }

    #[tokio::test]
    async fn one_without_terms_stands_and_is_over_in_time() {
        let deadline = Instant::now() + Duration::from_millis(10);
        let clock = Clock::new(deadline, true, None);
        clock.moved();
        clock.answered();
        assert_eq!((nanos(clock.deadline()), clock.is_own()), (nanos(deadline), true));
        clock.is_over().await;
        assert!(Instant::now() >= deadline);
    }

    #[tokio::test]
    async fn whoever_waits_for_one_that_moves_waits_on() {
        let clock = Clock::new(Instant::now() + HEAD.limit, false, Some(TERMS));
        clock.answered();
        let began = Instant::now();
        let (theirs, mut moves) = (clock.clone(), 0);
        let moving = async {
            while moves < 4 {
                tokio::time::sleep(HEAD.limit).await;
                theirs.moved();
                moves += 1;
            }
        };
        tokio::join!(clock.is_over(), moving);
        assert!(began.elapsed() >= 4 * HEAD.limit + PAUSE.limit);
    }

    #[tokio::test]
    async fn whoever_waits_for_one_whose_end_comes_nearer_is_woken_then() {
        let head = Time { limit: Duration::from_secs(3600), name: "head" };
        let clock = Clock::new(head.from_now(), false, Some(HttpTerms { head, ..TERMS }));
        tokio::join!(clock.is_over(), async { clock.answered() });
    }

    #[test]
    fn an_instance_goes_on_as_long_as_one_of_its_calls_may() {
        let instance = Clock::new(Instant::now(), false, None);
        let call = Clock::new(Instant::now() + HEAD.limit, false, Some(TERMS));
        call.drive(&instance);
        assert_eq!(instance.deadline(), call.deadline());
        call.answered();
        assert_eq!(instance.deadline(), call.deadline());
    }
}
