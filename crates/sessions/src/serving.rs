//! The called end of sessions: handshakes that are answered, calls that run, answers that leave.
//!
//! What a call may do is decided by the host ([`ServeCall`]), as for any call that arrives. Invariants: an entry is carried
//! out once, and only from a batch whose code held; that nothing of a batch was begun is said only where it is known, so
//! a session that ended here is remembered for as long as a call of it may be waited for; a host has a bounded number of
//! sessions, and a session of running calls; a call that its caller takes back ends.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::HostId;
use contracts::CallError;
use dashmap::DashMap;
use lattice::{
    is_chunked,
    session::{
        Answer, BatchKind, CallEntry, FromCallee, FromCaller, Granted, Hello, MacKey, Opened, SessionError, SessionId,
        large_result,
    },
};
use sha2::{Digest, Sha256};

use crate::{
    batch_writer::{BatchWriter, Company, Refused},
    context::{Context, Lane},
    environment::{Environment, Task},
    gate::{Gate, Place},
    held::Held,
    serve_call::{Failed, ServeCall},
};

/// Sessions one host may have: the one in use, the one before, and those that were lost in a crash.
const MAX_PER_HOST: usize = 4;
/// Sessions of one host that are remembered, those that ended included.
const REMEMBERED_PER_HOST: usize = 16;
/// Sessions of all hosts, those that ended included.
const MAX_SESSIONS: usize = 16_384;
/// Calls of one session that run at once.
const MAX_RUNNING: usize = 16_384;
/// Longest wait of a caller that is believed.
const MAX_TIME_LEFT: Duration = Duration::from_secs(3600);

/// The sessions that other hosts have here.
pub struct Serving<E: Environment> {
    context: Arc<Context<E>>,
    sessions: DashMap<SessionId, Arc<Incoming<E>>>,
    /// None once the host gives no more sessions.
    by_host: Mutex<Option<ByHost<E>>>,
}

/// The sessions of each host, the oldest first.
type ByHost<E> = BTreeMap<HostId, Vec<Arc<Incoming<E>>>>;

/// One session.
struct Incoming<E: Environment> {
    id: SessionId,
    calls: MacKey,
    gate: Mutex<Gate>,
    answers: Arc<BatchWriter<Lane<E>>>,
    running: Mutex<HashMap<u32, E::Task>>,
    ends_at: Instant,
}

impl<E: Environment> Serving<E> {
    /// Nobody has a session.
    pub fn new(context: Arc<Context<E>>) -> Self {
        Self { context, sessions: DashMap::new(), by_host: Mutex::new(Some(BTreeMap::new())) }
    }

    /// Answers a question that was [accepted](crate::questions::Questions::accept).
    ///
    /// # Errors
    /// [`SessionError`], for the one who asks.
    pub fn grant(&self, question: &[u8], hello: &Hello, now: Instant) -> Result<Vec<u8>, SessionError> {
        let own = &self.context.own;
        let (answer, granted) = hello.grant(question, &own.cluster, own.cluster_id)?;
        if self.admit(granted, now) { Ok(answer) } else { Err(SessionError::Host) }
    }

    /// Whether the session is known from now on.
    fn admit(&self, granted: Granted, now: Instant) -> bool {
        let host = granted.host;
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(by_host) = &mut *by_host else { return false };
        if self.sessions.len() >= MAX_SESSIONS {
            self.forget_old(by_host, now);
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return false;
        }
        let session = Incoming::new(&self.context, granted, now);
        let of_host = by_host.entry(host).or_default();
        if let Some(oldest) = of_host.len().checked_sub(MAX_PER_HOST) {
            of_host[oldest].gate().end();
        }
        if of_host.len() == REMEMBERED_PER_HOST {
            self.sessions.remove(&of_host.remove(0).id);
        }
        tracing::debug!(%host, session = %session.id, "session given");
        of_host.push(session.clone());
        self.sessions.insert(session.id, session);
        true
    }

    /// Drops the sessions of whose calls none can be waited for.
    fn forget_old(&self, by_host: &mut ByHost<E>, now: Instant) {
        self.sessions.retain(|_, session| now < session.ends_at + MAX_TIME_LEFT);
        by_host.retain(|_, of_host| {
            of_host.retain(|session| self.sessions.contains_key(&session.id));
            !of_host.is_empty()
        });
    }

    /// From now on no call is taken, and every caller hears which was the last; those that run are still answered.
    pub fn leave(&self) {
        let by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner).take();
        for session in by_host.into_iter().flatten().flat_map(|(_, of_host)| of_host) {
            session.take_no_more();
        }
    }

    /// Ends the calls that still run. Their callers hear so.
    pub fn end(&self) {
        for session in &self.sessions {
            session.end();
        }
    }

    /// Carries out a batch of calls.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the batch is carried out then. [`SessionError::UnknownSession`] only when nothing of
    /// the batch was carried out before, by this process, and nothing of it ever will be.
    pub fn take<H: ServeCall>(
        &self,
        host: &Arc<H>,
        id: SessionId,
        number: u64,
        batch: &Bytes,
    ) -> Result<(), SessionError> {
        let session = self.sessions.get(&id).map(|session| session.clone()).ok_or(SessionError::UnknownSession)?;
        let held = Held::new(batch);
        let opened = Opened::open(&held.batch, &session.calls)?;
        let place = {
            let mut gate = session.gate();
            if self.context.env.now() >= session.ends_at {
                gate.end();
            }
            gate.place(number)
        };
        match place {
            Place::First => {}
            // The caller hears, or has heard, that it comes too late.
            Place::TooLate => return Ok(()),
            Place::Again => return Err(SessionError::Replayed),
            Place::Ended => return Err(SessionError::UnknownSession),
        }
        for entry in FromCaller::read_all(&opened)? {
            match entry {
                FromCaller::Call(call) => session.take(host, &self.context, call, &held),
                FromCaller::Cancel { number } => session.cancel(number),
            }
        }
        Ok(())
    }
}

impl<E: Environment> Incoming<E> {
    fn new(context: &Arc<Context<E>>, granted: Granted, now: Instant) -> Arc<Self> {
        let Granted { session, host, lifetime, keys, .. } = granted;
        let lane = Lane::new(context.clone(), BatchKind::Answers, session, host);
        Arc::new(Self {
            id: session,
            calls: keys.calls,
            gate: Mutex::default(),
            answers: BatchWriter::new(lane, BatchKind::Answers, session, keys.answers),
            running: Mutex::default(),
            ends_at: now + Duration::from_secs(u64::from(lifetime)),
        })
    }

    /// Begins a call, if there is room for its payload.
    fn take<H: ServeCall>(
        self: &Arc<Self>,
        host: &Arc<H>,
        context: &Arc<Context<E>>,
        mut call: CallEntry,
        held: &Held,
    ) {
        match held.payload(std::mem::take(&mut call.payload)) {
            Ok(payload) => self.begin(host, context, CallEntry { payload, ..call }),
            Err(no_room) => self.answer(call.number, &failure(false, &no_room.into()), Company::More),
        }
    }

    fn begin<H: ServeCall>(self: &Arc<Self>, host: &Arc<H>, context: &Arc<Context<E>>, call: CallEntry) {
        let number = call.number;
        let mut running = self.running();
        if running.len() >= MAX_RUNNING || running.contains_key(&number) {
            drop(running);
            let sentence = "too many calls of this session are running".to_owned();
            self.answer(number, &Answer::Failure { begun: false, code: "busy".to_owned(), sentence }, Company::More);
            return;
        }
        let (session, host, shared) = (self.clone(), host.clone(), context.clone());
        let task = context.env.spawn(async move {
            let answer = carry_out(&*host, &shared.env, session.id, call).await;
            // Taken out first: a call that was taken back is not answered.
            let (was_wanted, company) = session.ended(number);
            if was_wanted {
                session.answer(number, &answer, company);
            }
        });
        running.insert(number, task);
    }

    /// Whether the call was not taken back, and whether others run.
    fn ended(&self, number: u32) -> (bool, Company) {
        let mut running = self.running();
        let was_wanted = running.remove(&number).is_some();
        (was_wanted, Company::of(running.len()))
    }

    fn cancel(&self, number: u32) {
        if let Some(task) = self.running().remove(&number) {
            task.abort();
        }
    }

    fn answer(&self, number: u32, answer: &Answer, company: Company) {
        match self.answers.add(answer.size(), company, |to| answer.write(number, to)) {
            Ok(()) => {}
            Err(Refused::TooLarge) => {
                let sentence = "limit exceeded: the NATS server takes no message of the size of the answer".to_owned();
                let answer = Answer::Failure { begun: true, code: "limit_exceeded".to_owned(), sentence };
                let _ = self.answers.add(answer.size(), company, |to| answer.write(number, to)); // small
            }
            Err(Refused::NoRoom(no_room)) => {
                let answer = failure(true, &no_room.of_result());
                let _ = self.answers.add(answer.size(), company, |to| answer.write(number, to)); // small
            }
            Err(Refused::Full) => tracing::debug!(session = %self.id, "an answer is dropped: NATS takes nothing"),
        }
    }

    fn take_no_more(&self) {
        let Some(last) = self.gate().leave() else { return };
        // Without room for it the calls of later batches end at their deadlines.
        let _ = self.answers.add(FromCallee::LAST_BYTES, Company::More, |to| FromCallee::write_last(last, to));
    }

    fn end(&self) {
        let mut running: Vec<_> = std::mem::take(&mut *self.running()).into_iter().collect();
        running.sort_unstable_by_key(|(number, _)| *number);
        for (number, task) in running {
            task.abort();
            let sentence = "unreachable: the host that ran the call has stopped".to_owned();
            let answer = Answer::Failure { begun: true, code: "unreachable".to_owned(), sentence };
            self.answer(number, &answer, Company::More);
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u32, E::Task>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn carry_out<E: Environment>(host: &impl ServeCall, env: &E, session: SessionId, call: CallEntry) -> Answer {
    let number = call.number;
    let deadline = env.now() + call.time_left.min(MAX_TIME_LEFT);
    match host.serve(call, deadline).await {
        Ok(result) if is_chunked(result.len() as u64) => store(env, session, number, result).await,
        Ok(result) => Answer::Result(result),
        Err(Failed { begun, error }) => failure(begun, &error),
    }
}

fn failure(begun: bool, error: &CallError) -> Answer {
    tracing::debug!(code = error.code(), %error, "call failed");
    Answer::Failure { begun, code: error.code().to_owned(), sentence: error.to_string() }
}

async fn store<E: Environment>(env: &E, session: SessionId, number: u32, result: Bytes) -> Answer {
    match env.store(&large_result(session, number), &result).await {
        Ok(()) => Answer::Stored { length: result.len() as u64, digest: Sha256::digest(&result).into() },
        Err(error) => failure(true, &error),
    }
}
