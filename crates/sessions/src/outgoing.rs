//! The calling end of a session: calls that wait for their answers.
//!
//! Knows one session and no route. Invariants: a call ends by its deadline; a call whose future is dropped is taken
//! back from the other host; an answer is believed only from a batch whose code held and that was not seen before.

use std::{
    collections::HashMap,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ClusterId, HostId};
use contracts::{CallError, budget::NoRoom};
use lattice::session::{
    Answer, BatchKind, CallParts, FromCallee, FromCaller, Granted, MacKey, Opened, SessionError, SessionId, Window,
};
use tokio::sync::oneshot;

use crate::{
    batch_writer::{BatchWriter, Company, Refused},
    context::{Context, Lane},
    environment::Environment,
    held::Held,
};

/// Calls after which a session is renewed; numbers have 32 bits.
const MANY_CALLS: u32 = 1 << 30;
/// Numbers are not used up.
const MOST_CALLS: u32 = 1 << 31;
/// A session is not used in its last moments, in which the other host may have forgotten it.
const MARGIN: Duration = Duration::from_secs(30);
/// How long calls whose batch nobody refused wait after the other host said it does not know the session.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// What became of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The other host answered.
    Answered(Result<Bytes, CallError>),
    /// The result is in the object store.
    Stored { number: u32, length: u64, digest: [u8; 32] },
    /// The other host has not begun it, for this reason.
    NotBegun { code: String, sentence: String },
    /// The call cannot be made in this session.
    NotSent,
    /// The call has no form here, or does not fit.
    NoForm,
}

/// Who waits in a session.
struct Calls {
    /// Whether more may be made.
    open: bool,
    waiting: HashMap<u32, oneshot::Sender<Outcome>>,
}

/// A session to a host.
pub struct Outgoing<E: Environment> {
    /// Its name.
    pub id: SessionId,
    /// Who is called.
    pub host: HostId,
    /// Who stands for that host.
    issuer: ClusterId,
    context: Arc<Context<E>>,
    writer: Arc<BatchWriter<Lane<E>>>,
    answers: MacKey,
    window: Mutex<Window>,
    calls: Mutex<Calls>,
    in_flight: Arc<AtomicUsize>,
    renew_at: Instant,
    ends_at: Instant,
}

impl<E: Environment> Outgoing<E> {
    /// A session that was granted. `in_flight` counts the calls to its host.
    pub fn new(context: &Arc<Context<E>>, granted: Granted, in_flight: Arc<AtomicUsize>, now: Instant) -> Arc<Self> {
        let Granted { session, host, issuer, lifetime, keys } = granted;
        let lifetime = Duration::from_secs(u64::from(lifetime));
        let lane = Lane::new(context.clone(), BatchKind::Calls, session, host);
        Arc::new(Self {
            id: session,
            host,
            issuer,
            context: context.clone(),
            writer: BatchWriter::new(lane, BatchKind::Calls, session, keys.calls),
            answers: keys.answers,
            window: Mutex::default(),
            calls: Mutex::new(Calls { open: true, waiting: HashMap::new() }),
            in_flight,
            renew_at: now + lifetime * 3 / 4,
            ends_at: now + lifetime.saturating_sub(MARGIN.min(lifetime / 8)),
        })
    }

    /// Whether calls may still be made.
    pub fn is_usable(&self, now: Instant) -> bool {
        let is_trusted = self.context.own.trusted.contains(&self.issuer);
        is_trusted && now < self.ends_at && self.writer.calls() < MOST_CALLS && self.calls().open
    }

    /// Whether it is time for the next session.
    pub fn is_old(&self, now: Instant) -> bool {
        now >= self.renew_at || self.writer.calls() >= MANY_CALLS
    }

    /// Whether nobody waits in it and nothing new may begin.
    pub fn is_over(&self, now: Instant) -> bool {
        self.calls().waiting.is_empty() && !self.is_usable(now)
    }

    /// Makes a call and waits for what becomes of it. Dropping the future takes the call back.
    pub async fn call(self: &Arc<Self>, parts: &CallParts<'_>, deadline: Instant) -> Outcome {
        if !parts.can_be_written() {
            return Outcome::NoForm;
        }
        let time_left = deadline.saturating_duration_since(self.context.env.now());
        let (sender, receiver) = oneshot::channel();
        let mut began = None;
        let company = Company::of(self.in_flight.load(Ordering::Relaxed));
        let added = self.writer.add_call(parts.size(), company, |number, to| {
            let mut calls = self.calls();
            if calls.open {
                calls.waiting.insert(number, sender);
                began = Some(number);
            }
            drop(calls);
            parts.write(number, time_left, to);
        });
        match added {
            Ok(()) => {}
            Err(Refused::TooLarge) => return Outcome::NoForm,
            Err(Refused::Full) => return Outcome::Answered(Err(self.unreachable("the way to its host takes nothing"))),
            Err(Refused::NoRoom(no_room)) => return Outcome::Answered(Err(no_room.into())),
        }
        // A session that ended in this moment: the other host takes nothing of it either.
        let Some(number) = began else { return Outcome::NotSent };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut waiting = Waiting { session: self, number, is_over: false };
        let outcome = self.context.env.timeout_at(deadline, receiver).await;
        waiting.is_over = true;
        match outcome {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Outcome::Answered(Err(self.unreachable("the session ended"))),
            None => {
                let step = format!("waiting for the answer of `{}`", parts.target);
                Outcome::Answered(Err(CallError::DeadlineExceeded { step }))
            }
        }
    }

    /// Takes a batch of answers. Whether the other host said that it takes no more calls.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the batch counts then.
    pub fn take(&self, batch: &Bytes, number: u64) -> Result<bool, SessionError> {
        let held = Held::new(batch);
        let opened = Opened::open(&held.batch, &self.answers)?;
        if !self.window.lock().unwrap_or_else(PoisonError::into_inner).is_first(number) {
            return Err(SessionError::Replayed);
        }
        let mut last = None;
        let mut calls = self.calls();
        for entry in FromCallee::read_all(&opened)? {
            match entry {
                FromCallee::Answer { number, answer } => {
                    if let Some(waiting) = calls.waiting.remove(&number) {
                        drop(waiting.send(outcome(number, answer, &held)));
                    }
                }
                FromCallee::Last { batch } => last = Some(batch),
            }
        }
        drop(calls);
        if let Some(batch) = last {
            self.taken_until(batch);
        }
        Ok(last.is_some())
    }

    /// The other host takes nothing after a batch: later calls were not begun, the others are still answered.
    fn taken_until(&self, batch: u64) {
        // In this order: what is added to the writer from here on waits for nothing.
        self.calls().open = false;
        let last = self.writer.last_call_until(batch);
        let mut calls = self.calls();
        let mut later: Vec<_> = calls.waiting.extract_if(|number, _| *number > last).collect();
        later.sort_unstable_by_key(|(number, _)| *number);
        for (_, waiting) in later {
            drop(waiting.send(Outcome::NotSent));
        }
    }

    /// The calls of a batch were not begun: nobody took it, or nobody there knows the session.
    pub fn not_taken(&self, batch: u64) {
        let Some(of_batch) = self.writer.calls_of(batch) else { return };
        let mut calls = self.calls();
        for waiting in of_batch.filter_map(|number| calls.waiting.remove(&number)) {
            drop(waiting.send(Outcome::NotSent));
        }
    }

    /// The other host does not know the session any more. Nothing new begins; calls of batches that it refuses still
    /// hear so, all others end: their answers cannot come.
    pub fn forgotten(self: &Arc<Self>) {
        self.calls().open = false;
        let session = self.clone();
        self.context.env.spawn(async move {
            let env = &session.context.env;
            env.timeout_at(env.now() + STRAGGLERS, pending::<()>()).await;
            session.interrupt("its host was restarted, or gave up the session, during the call");
        });
    }

    /// When it began, against others of this host.
    pub fn began(&self) -> Instant {
        self.renew_at
    }

    /// Ends every call in it.
    pub fn interrupt(&self, reason: &str) {
        let mut waiting: Vec<_> = std::mem::take(&mut self.calls().waiting).into_iter().collect();
        waiting.sort_unstable_by_key(|(number, _)| *number);
        for (_, waiting) in waiting {
            drop(waiting.send(Outcome::Answered(Err(self.unreachable(reason)))));
        }
    }

    fn unreachable(&self, reason: &str) -> CallError {
        CallError::Unreachable { target: self.host.to_string(), reason: reason.to_owned() }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(number: u32, answer: Answer, held: &Held) -> Outcome {
    match answer {
        Answer::Result(payload) => Outcome::Answered(held.payload(payload).map_err(NoRoom::of_result)),
        Answer::Stored { length, digest } => Outcome::Stored { number, length, digest },
        Answer::Failure { begun: true, code, sentence } => {
            Outcome::Answered(Err(CallError::from_wire(Some(&code), sentence)))
        }
        Answer::Failure { begun: false, code, sentence } => Outcome::NotBegun { code, sentence },
    }
}

/// A call that is waited for.
struct Waiting<'s, E: Environment> {
    session: &'s Outgoing<E>,
    number: u32,
    is_over: bool,
}

impl<E: Environment> Drop for Waiting<'_, E> {
    fn drop(&mut self) {
        self.session.in_flight.fetch_sub(1, Ordering::Relaxed);
        let waited = self.session.calls().waiting.remove(&self.number);
        // At its deadline the other host ends a call by itself.
        if waited.is_some() && !self.is_over {
            let number = self.number;
            // Without room for it the call ends at its deadline.
            let _ = self
                .session
                .writer
                .add(FromCaller::CANCEL_BYTES, Company::More, |to| FromCaller::write_cancel(number, to));
        }
    }
}
