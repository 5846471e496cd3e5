//! Whose turn it is on one connection, and since when: the actor's, whose answer is awaited, or the client's, who is to
//! read it or to ask for something.
//!
//! Written by the requests of the connection, read by whoever watches it. Invariant: a connection with nothing under way
//! and one whose client takes nothing of its answers are told apart from all others, and by nothing that a client could
//! send beside (pings, for example).

use std::{
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::sync::Notify;

use crate::{alarm::Alarm, limits::Limits};

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How much longer than an actor may stand still its client is waited for, so that the more telling error comes first.
const SLACK: Duration = Duration::from_secs(1);

/// Told when a connection has nothing under way any more, while somebody waits for the place of such a one.
#[derive(Debug, Default)]
pub struct Places {
    wanted: AtomicBool,
    left: Notify,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Turn {
    places: Arc<Places>,
    /// Requests whose answers have not begun.
    calls: AtomicU32,
    /// Answers whose bodies are not handed to the connection yet.
    bodies: AtomicU32,
    /// Whether the client takes no more for now.
    blocked: AtomicBool,
    /// The last progress, in milliseconds since [`BASE`].
    moved: AtomicU64,
    /// How long an answer may stand still, in milliseconds.
    pause: AtomicU64,
    /// Where the last piece of an answer lies in memory that was handed to the connection.
    piece: (AtomicUsize, AtomicUsize),
}

/// What is due on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Its client has taken nothing of its answers for too long.
    Stalled,
    /// Nothing was asked for too long.
    Idle,
}

impl Places {
    /// Whether somebody waits for a place.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Relaxed);
    }

    /// Waits for one to be left.
    pub async fn left(&self) {
        self.left.notified().await;
    }

    fn leave(&self) {
        if self.wanted.load(Relaxed) {
            self.left.notify_one();
        }
    }
}

impl Turn {
    /// Of a new connection.
    pub fn new(places: Arc<Places>, limits: &Limits) -> Arc<Self> {
        let pause = millis(limits.pause).into();
        let (calls, bodies, blocked, piece) = Default::default();
        Arc::new(Self { places, calls, bodies, blocked, moved: since(Instant::now()).into(), pause, piece })
    }

    /// A request has arrived.
    pub fn call(self: &Arc<Self>, at: Instant) -> Calling {
        self.moved.store(since(at), Relaxed);
        self.calls.fetch_add(1, Relaxed);
        Calling(self.clone())
    }

    /// An answer begins, which may stand still for so long.
    pub fn body(self: &Arc<Self>, pause: Duration) -> Body {
        let pause = millis(pause);
        if self.bodies.fetch_add(1, Relaxed) == 0 {
            self.pause.store(pause, Relaxed);
        } else {
            self.pause.fetch_max(pause, Relaxed);
        }
        Body(self.clone())
    }

    /// The client has taken something.
    pub fn moved(&self) {
        self.moved.store(since(Instant::now()), Relaxed);
    }

    /// The client takes nothing for now, or does again.
    pub fn blocked(&self, blocked: bool) {
        if self.blocked.load(Relaxed) != blocked {
            self.blocked.store(blocked, Relaxed);
            self.moved();
            if !blocked {
                self.places.leave();
            }
        }
    }

    /// Since when nothing is under way.
    pub fn idle_since(&self) -> Option<u64> {
        let is_idle = self.calls.load(Relaxed) == 0 && self.bodies.load(Relaxed) == 0 && !self.blocked.load(Relaxed);
        is_idle.then(|| self.moved.load(Relaxed))
    }

    /// Remembers where a piece lies that was handed over.
    pub fn handed(&self, piece: &[u8]) {
        self.piece.0.store(piece.as_ptr() as usize, Relaxed);
        self.piece.1.store(piece.len(), Relaxed);
    }

    /// Whether bytes are some of the piece that was handed over last.
    pub fn is_of_answer(&self, bytes: &[u8]) -> bool {
        let (begin, length) = (self.piece.0.load(Relaxed), self.piece.1.load(Relaxed));
        (begin..begin.saturating_add(length)).contains(&(bytes.as_ptr() as usize))
    }

    fn due(&self, idle: Option<Duration>) -> Option<(Instant, Due)> {
        let from = |more: Duration| BASE.checked_add(Duration::from_millis(self.moved.load(Relaxed)) + more);
        if self.bodies.load(Relaxed) > 0 || self.blocked.load(Relaxed) {
            let pause = Duration::from_millis(self.pause.load(Relaxed));
            return Some((from(pause + SLACK)?, Due::Stalled));
        }
        let idle = idle.filter(|_| self.calls.load(Relaxed) == 0)?;
        Some((from(idle)?, Due::Idle))
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Calling(Arc<Turn>);

impl Drop for Calling {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
        self.0.places.leave();
    }
}

/// An answer that is sent.
#[derive(Debug)]
pub struct Body(Arc<Turn>);

impl Body {
    /// The connection it is sent on.
    pub fn turn(&self) -> &Turn {
        &self.0
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Relaxed);
        self.0.places.leave();
    }
}

/// Watches a connection by the alarm that it has.
pub struct Watch {
    turn: Arc<Turn>,
    alarm: Alarm,
    /// How long nothing may be asked, where nobody else looks.
    idle: Option<Duration>,
    set: Option<(Instant, Pin<Box<dyn Sleep>>)>,
}

impl Watch {
    /// Of the connection with this turn.
    pub fn new(turn: Arc<Turn>, alarm: Alarm, idle: Option<Duration>) -> Self {
        Self { turn, alarm, idle, set: None }
    }

    /// What is due. To be asked when the connection has nothing to do, and costs nothing where nothing can be.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            let Some((at, due)) = self.turn.due(self.idle) else { return Poll::Pending };
            if at <= Instant::now() {
                self.set = None;
                return Poll::Ready(due);
            }
            if self.set.as_ref().is_none_or(|(set, _)| at < *set) {
                self.set = Some((at, self.alarm.sleep_until(at)));
            }
            let Some((_, sleep)) = &mut self.set else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.set = None;
        }
    }
}

fn since(at: Instant) -> u64 {
    millis(at.saturating_duration_since(*BASE))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn turn(pause: Duration) -> Arc<Turn> {
        Turn::new(Arc::default(), &Limits { pause, ..Limits::default() })
    }

    #[tokio::test]
    async fn one_that_waits_for_its_actor_is_neither_idle_nor_stalled() {
        let turn = turn(Duration::ZERO);
        let calling = turn.call(Instant::now());
        assert_eq!((turn.due(Some(Duration::ZERO)), turn.idle_since()), (None, None));
        drop(calling);
        assert!(turn.idle_since().is_some());
        let mut watch = Watch::new(turn.clone(), Alarm::default(), Some(Duration::from_millis(5)));
        assert_eq!(poll_fn(|cx| watch.poll(cx)).await, Due::Idle);
    }

    #[tokio::test]
    async fn one_whose_client_takes_nothing_is_stalled_and_one_that_moves_is_not() {
        let turn = turn(Duration::ZERO);
        let _body = turn.body(Duration::from_millis(10));
        let mut watch = Watch::new(turn.clone(), Alarm::default(), None);
        let began = Instant::now();
        turn.moved();
        assert_eq!(poll_fn(|cx| watch.poll(cx)).await, Due::Stalled);
        assert!(began.elapsed() >= SLACK);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_place_hears_of_one() {
        let places = Arc::<Places>::default();
        let turn = Turn::new(places.clone(), &Limits::default());
        places.want(true);
        drop(turn.call(Instant::now()));
        places.left().await;
    }

    #[test]
    fn bytes_of_an_answer_are_known_by_where_they_are() {
        let (turn, answer, other) = (turn(Duration::ZERO), vec![b'x'; 10], vec![b'x'; 10]);
        turn.handed(&answer);
        assert!(turn.is_of_answer(&answer[3..]) && !turn.is_of_answer(&other));
    }
}
