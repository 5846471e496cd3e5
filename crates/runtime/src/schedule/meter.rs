//! How much processor time a call has used, measured without a cost for calls that use little.
//!
//! A call is polled in pieces, on whatever thread. The clock of the thread is read only for a call that an epoch tick
//! has found computing: most never are. A call polled within another one (an actor that calls an actor) is charged to
//! itself and not to its caller. Invariant: time spent waiting, or taken by other threads, is never charged.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Ticks of all engines of this process.
static TICKS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The call that is being polled on this thread.
    static POLLED: Cell<Option<Meter>> = const { Cell::new(None) };
}

/// Processor time of one call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    spent: Duration,
    /// The thread's clock when this piece began; none for a call that no tick has found computing.
    since: Option<Duration>,
    /// The ticks there had been when this piece began.
    ticks: u64,
}

impl Meter {
    /// What was measured so far. What a call uses before its first tick is not.
    pub(crate) fn spent(&self) -> Duration {
        self.spent
    }

    /// Whether a tick has found the call computing.
    pub(crate) fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// Polls a piece of the call.
    pub(crate) fn measure<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        let outer = POLLED.get();
        let began = if self.is_running() || outer.is_some_and(|outer| outer.is_running()) { Some(now()) } else { None };
        if self.is_running() {
            self.since = began;
        }
        self.ticks = TICKS.load(Relaxed);
        POLLED.set(Some(*self));
        let mut piece = Piece { meter: self, outer, began };
        let result = poll();
        piece.end();
        result
    }

    /// Charges what was used since `since`, and starts anew.
    fn charge(&mut self) {
        let now = now();
        self.spent += self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        self.since = Some(now);
    }
}

/// Gives the thread back to the outer call, also when a host function panics.
struct Piece<'a> {
    meter: &'a mut Meter,
    outer: Option<Meter>,
    began: Option<Duration>,
}

impl Piece<'_> {
    fn end(&mut self) {
        if let Some(polled) = POLLED.get() {
            *self.meter = polled;
            if self.meter.is_running() {
                self.meter.charge();
            }
        }
        if let Some(outer) = &mut self.outer
            && let (Some(since), Some(began)) = (&mut outer.since, self.began)
        {
            *since += now().saturating_sub(began);
        }
        POLLED.set(self.outer.take());
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end();
        }
    }
}

/// To be called before the epoch of an engine moves on.
pub(crate) fn ticked() {
    TICKS.fetch_add(1, Relaxed);
}

/// Whether the call that is polled now was not at it when the last tick came: it only waited meanwhile.
pub(crate) fn has_just_begun() -> bool {
    POLLED.get().is_some_and(|polled| polled.ticks == TICKS.load(Relaxed))
}

/// To be called on every tick that finds a guest computing: starts its clock, or reads it.
pub(crate) fn tick() -> Duration {
    let Some(mut meter) = POLLED.get() else { return Duration::ZERO };
    meter.charge();
    POLLED.set(Some(meter));
    meter.spent
}

/// Processor time of this thread.
#[cfg(unix)]
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Where threads have no clock of their own, the wall's.
#[cfg(not(unix))]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(time: Duration) {
        let until = now() + time;
        while now() < until {}
    }

    const LONG: Duration = Duration::from_millis(4);
    const SHORT: Duration = Duration::from_millis(2);

    #[test]
    fn a_call_no_tick_finds_costs_and_is_charged_nothing() {
        let mut meter = Meter::default();
        meter.measure(|| compute(SHORT));
        assert!(!meter.is_running());
        assert_eq!(meter.spent(), Duration::ZERO);
    }

    #[test]
    fn from_the_first_tick_on_every_piece_is_charged() {
        let mut meter = Meter::default();
        meter.measure(|| assert_eq!(tick(), Duration::ZERO));
        meter.measure(|| compute(SHORT));
        assert!(meter.spent() >= SHORT);
        meter.measure(|| {
            compute(SHORT);
            assert!(tick() >= 2 * SHORT);
        });
    }

    #[test]
    fn waiting_between_pieces_is_not_charged() {
        let mut meter = Meter::default();
        meter.measure(tick);
        compute(LONG);
        meter.measure(|| ());
        assert!(meter.spent() < LONG, "{:?}", meter.spent());
    }

    #[test]
    fn a_piece_has_just_begun_until_the_next_tick() {
        assert!(!has_just_begun(), "nobody is polled");
        // Guests of other tests tick as well, but not all the time.
        assert!((0..1000).any(|_| Meter::default().measure(has_just_begun)));
        let mut meter = Meter::default();
        meter.measure(|| {
            ticked();
            assert!(!has_just_begun());
        });
    }

    #[test]
    fn an_inner_call_is_charged_to_itself_alone() {
        let (mut outer, mut inner) = (Meter::default(), Meter::default());
        outer.measure(|| {
            tick();
            inner.measure(|| {
                tick();
                compute(LONG);
            });
        });
        assert!(inner.spent() >= LONG);
        assert!(outer.spent() < LONG, "{:?}", outer.spent());
    }

    #[test]
    fn a_panic_gives_the_thread_back() {
        let (mut outer, mut inner) = (Meter::default(), Meter::default());
        outer.measure(|| {
            tick();
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| inner.measure(|| panic!("stop"))));
            assert!(ended.is_err());
            compute(SHORT);
            assert!(tick() >= SHORT, "the outer call is charged again");
        });
        assert_eq!(tick(), Duration::ZERO, "nobody is polled now");
    }
}
