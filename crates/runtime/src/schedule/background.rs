//! Guests that compute for long, moved out of the way of those that do not.
//!
//! A call begins on the thread of its caller. Once it has computed for a while it goes on, where it stopped, on
//! threads of low priority, and its caller waits for it; so an endless loop holds a thread that serves others for a
//! tick or two. The next call of such an actor begins there, until one turns out to be short. Timers and tasks made by a
//! host function stay with the caller's runtime. Knows nothing of wasm. Invariants: dropping a [`Call`] ends the guest,
//! wherever it is, and a moved guest is also torn down on those threads; a caller waits no longer than its [`Bound`], even
//! where a busy machine leaves those threads no time.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use contracts::CallError;
use tokio::{
    runtime::{self, Handle},
    task::JoinHandle,
    time::{Sleep, sleep_until},
};

use super::{meter::Meter, runs_long::RunsLong};
use crate::error::ended::Failure;

/// Politeness of the threads, in the terms of `nice`.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// How much later than the deadline the caller of a moved guest gives it up: the guest ends itself, and says more.
const GRACE: Duration = Duration::from_millis(20);

thread_local! {
    /// Whether this thread is one of ours.
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// The threads of low priority; they are made when the first call is moved. Clones share them.
#[derive(Clone)]
pub(crate) struct Background {
    threads: usize,
    /// What a call may compute before it is moved, after the tick that found it computing.
    foreground: Duration,
    runtime: Arc<Threads>,
}

/// None inside when the system gave no threads: then nothing is moved.
#[derive(Default)]
struct Threads(OnceLock<Option<runtime::Runtime>>);

/// When the caller of a moved guest waits no longer, and what it is told then.
#[derive(Clone, Copy)]
pub(crate) struct Bound<'a> {
    /// The deadline of the call, which the work has to keep by itself; this is for when it is given no time to.
    pub(crate) deadline: Instant,
    /// What the deadline has become, where it moves.
    pub(crate) moved: Option<&'a (dyn Fn() -> Instant + Sync)>,
    pub(crate) late: &'a (dyn Fn() -> CallError + Sync),
}

impl Bound<'_> {
    fn last(&self) -> Instant {
        let deadline = self.moved.map_or(self.deadline, |moved| moved());
        deadline.checked_add(GRACE).unwrap_or(deadline)
    }
}

/// A call in its box. The futures of guests are large: each further box or move of one would copy kilobytes.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

impl Background {
    pub(crate) fn new(threads: usize, foreground: Duration) -> Self {
        Self { threads: threads.max(1), foreground, runtime: Arc::default() }
    }

    /// Runs the call of a guest here, and elsewhere if it turns out to be long. No bound where whoever waits has a clock.
    pub(crate) fn run<'a, T: Send + 'static>(
        &'a self,
        runs_long: &'a RunsLong,
        bound: Option<Bound<'a>>,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Call<'a, T> {
        self.run_boxed(runs_long, bound, Box::pin(work))
    }

    /// The same for a call that has its box.
    pub(crate) fn run_boxed<'a, T: Send + 'static>(
        &'a self,
        runs_long: &'a RunsLong,
        bound: Option<Bound<'a>>,
        work: Work<T>,
    ) -> Call<'a, T> {
        let work = Metered { work, meter: Meter::default(), is_new: true };
        Call { background: self, runs_long, bound, place: Place::Here(work) }
    }

    fn handle(&self) -> Option<&Handle> {
        let runtime = self.runtime.0.get_or_init(|| {
            let threads = runtime::Builder::new_multi_thread()
                .worker_threads(self.threads)
                .thread_name("background")
                .on_thread_start(|| {
                    OURS.set(true);
                    lower_priority();
                })
                .build();
            threads.inspect_err(|error| tracing::warn!(%error, "no threads for guests that compute for long")).ok()
        });
        runtime.as_ref().map(runtime::Runtime::handle)
    }
}

impl Drop for Threads {
    /// Without waiting: the last owner may be a guest on one of these very threads.
    fn drop(&mut self) {
        if let Some(Some(runtime)) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(target_os = "linux")]
fn lower_priority() {
    // A priority is one thread's on Linux. Being refused is no harm: the threads are then as polite as any.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "cannot lower the priority of a thread");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

/// A guest's call, wherever it runs. Dropping it ends the guest.
pub(crate) struct Call<'a, T> {
    background: &'a Background,
    runs_long: &'a RunsLong,
    bound: Option<Bound<'a>>,
    place: Place<'a, T>,
}

enum Place<'a, T> {
    /// In the task of the caller.
    Here(Metered<T>),
    /// On the threads of low priority.
    There(Moved<'a, T>),
    /// Over.
    Nowhere,
}

impl<T: Send + 'static> Future for Call<'_, T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = &mut *self;
        if let Place::Here(work) = &mut call.place {
            let begins_there = work.is_new && call.runs_long.is_set() && !OURS.get();
            if !begins_there && let Poll::Ready(result) = work.poll(cx) {
                call.place = Place::Nowhere;
                return Poll::Ready(result);
            }
            if begins_there || work.spent() >= call.background.foreground && !OURS.get() {
                call.move_away();
            }
        }
        let Place::There(moved) = &mut call.place else { return Poll::Pending };
        if let Poll::Ready((result, spent)) = moved.poll(cx) {
            call.runs_long.set(spent.is_none_or(|spent| spent >= call.background.foreground));
            call.place = Place::Nowhere;
            return Poll::Ready(result);
        }
        let bound = ready!(moved.poll_bound(cx));
        call.place = Place::Nowhere;
        Poll::Ready(Err((bound.late)().into()))
    }
}

impl<T: Send + 'static> Call<'_, T> {
    fn move_away(&mut self) {
        let Some(handle) = self.background.handle() else { return };
        if let Place::Here(work) = std::mem::replace(&mut self.place, Place::Nowhere) {
            self.runs_long.set(true);
            let away = Away { work: Some(work), home: Handle::current() };
            let guest = handle.spawn(away);
            let bound = self.bound.map(|bound| (Box::pin(sleep_until(bound.last().into())), bound));
            self.place = Place::There(Moved { guest, bound });
        }
    }
}

/// The call itself, with its clock.
struct Metered<T> {
    work: Work<T>,
    meter: Meter,
    is_new: bool,
}

impl<T> Metered<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Failure>> {
        self.is_new = false;
        let work = self.work.as_mut();
        self.meter.measure(|| work.poll(cx))
    }

    fn spent(&self) -> Duration {
        self.meter.spent()
    }
}

/// A moved call; what host functions ask of a runtime, they ask of the caller's, also when it is torn down.
struct Away<T> {
    /// None once it is torn down.
    work: Option<Metered<T>>,
    home: Handle,
}

impl<T> Future for Away<T> {
    type Output = (Result<T, Failure>, Duration);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { work, home } = &mut *self;
        let _home = home.enter();
        let work = work.as_mut().expect("it is taken when this is dropped");
        let result = ready!(work.poll(cx));
        Poll::Ready((result, work.spent()))
    }
}

impl<T> Drop for Away<T> {
    fn drop(&mut self) {
        let _home = self.home.enter();
        self.work = None;
    }
}

/// The caller's end of a moved call.
struct Moved<'a, T> {
    guest: JoinHandle<(Result<T, Failure>, Duration)>,
    bound: Option<(Pin<Box<Sleep>>, Bound<'a>)>,
}

impl<'a, T> Moved<'a, T> {
    /// The result, and the time it took unless it was cut off.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Result<T, Failure>, Option<Duration>)> {
        Poll::Ready(match ready!(Pin::new(&mut self.guest).poll(cx)) {
            Ok((result, spent)) => (result, Some(spent)),
            Err(error) => {
                let fault = CallError::HostFault { message: format!("background thread: {error}") };
                (Err(fault.into()), None)
            }
        })
    }

    /// Ready when the caller waits no longer.
    fn poll_bound(&mut self, cx: &mut Context<'_>) -> Poll<Bound<'a>> {
        let Some((time, bound)) = &mut self.bound else { return Poll::Pending };
        loop {
            ready!(time.as_mut().poll(cx));
            let last = bound.last();
            if last <= Instant::now() {
                return Poll::Ready(*bound);
            }
            time.as_mut().reset(last.into());
        }
    }
}

impl<T> Drop for Moved<'_, T> {
    fn drop(&mut self) {
        self.guest.abort();
    }
}

#[cfg(test)]
mod tests;
