//! The state of the sessions to one other host: none, being asked for, there, or refused for a while.
//!
//! Owns when a handshake is made; `ask.rs` makes it. Invariants: at most one handshake with a host is under way; a
//! session is replaced before it ends; who refuses is not asked again before the back-off is over.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use claims::HostId;
use tokio::sync::Notify;

use crate::{environment::Environment, outgoing::Outgoing};

/// First wait after a handshake that failed; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait between two handshakes.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The way to one host.
pub struct Link<E: Environment> {
    /// The host.
    pub host: HostId,
    /// Calls to it that wait for an answer.
    pub in_flight: Arc<AtomicUsize>,
    state: Mutex<State<E>>,
    changed: Notify,
}

struct State<E: Environment> {
    session: Option<Arc<Outgoing<E>>>,
    asking: bool,
    failures: u32,
    not_before: Option<Instant>,
}

/// What there is to a host now.
pub enum Now<E: Environment> {
    /// A session.
    Session(Arc<Outgoing<E>>),
    /// None, but there may be one soon.
    Soon,
    /// None for a while.
    No,
}

impl<E: Environment> Default for State<E> {
    fn default() -> Self {
        Self { session: None, asking: false, failures: 0, not_before: None }
    }
}

impl<E: Environment> Link<E> {
    /// Nothing is known yet.
    pub fn new(host: HostId) -> Arc<Self> {
        Arc::new(Self { host, in_flight: Arc::default(), state: Mutex::default(), changed: Notify::new() })
    }

    /// Calls to the host that wait for an answer.
    pub fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What there is now, and whether the caller must make a handshake.
    pub fn look(&self, now: Instant) -> (Now<E>, bool) {
        let mut state = self.lock();
        if state.session.as_ref().is_some_and(|session| !session.is_usable(now)) {
            state.session = None;
        }
        let allowed = !state.asking && state.not_before.is_none_or(|time| now >= time);
        let ask = allowed && state.session.as_ref().is_none_or(|session| session.is_old(now));
        state.asking |= ask;
        let there = match &state.session {
            Some(session) => Now::Session(session.clone()),
            None if state.asking => Now::Soon,
            None => Now::No,
        };
        (there, ask)
    }

    /// A handshake succeeded; the session before it, which goes on until its calls are over.
    pub fn granted(&self, session: Arc<Outgoing<E>>) {
        let mut state = self.lock();
        *state = State { session: Some(session), ..State::default() };
        self.tell(state);
    }

    /// A handshake failed. How often in a row.
    pub fn failed(&self, now: Instant) -> u32 {
        let mut state = self.lock();
        let wait = FIRST_WAIT.saturating_mul(1 << state.failures.min(8)).min(LONGEST_WAIT);
        state.failures += 1;
        state.asking = false;
        state.not_before = Some(now + wait);
        let failures = state.failures;
        self.tell(state);
        failures
    }

    /// A session turned out to be unknown to the host: another may be asked for at once.
    pub fn lost(&self, session: &Arc<Outgoing<E>>) -> bool {
        let mut state = self.lock();
        let current = state.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session));
        if current {
            (state.session, state.not_before) = (None, None);
        }
        current
    }

    /// Nobody is there under the name of the host: not before a while.
    pub fn absent(&self, session: &Arc<Outgoing<E>>, now: Instant) {
        if self.lost(session) {
            self.lock().not_before = Some(now + FIRST_WAIT);
        }
    }

    /// The host began anew, or came back.
    pub fn renewed(&self) {
        let mut state = self.lock();
        (state.failures, state.not_before) = (0, None);
    }

    /// The session in use, if there is one.
    pub fn session(&self) -> Option<Arc<Outgoing<E>>> {
        self.lock().session.clone()
    }

    /// Waits until the handshake under way has ended, however, or until `deadline`.
    pub async fn settled(&self, env: &E, deadline: Instant) {
        // It hears of everything that happens from here on.
        let changed = self.changed.notified();
        if self.lock().asking {
            env.timeout_at(deadline, changed).await;
        }
    }

    fn tell(&self, state: MutexGuard<'_, State<E>>) {
        drop(state);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
