//! The called end of sessions: handshakes that are answered, calls that run, answers that leave.
//!
//! What a call may do is decided in `rpc.rs`, as for any call that arrives. Invariants: an entry is carried out once,
//! and only from a batch whose code held; a host has a bounded number of sessions, and a session of running calls; a
//! call that its caller takes back ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ClusterId, HostId};
use contracts::CallError;
use dashmap::DashMap;
use lattice::{
    is_chunked,
    session::{
        Answer, BatchKind, CallEntry, FromCallee, FromCaller, Granted, Hello, MacKey, Opened, SessionError, SessionId,
        Window, large_result,
    },
};
use sha2::{Digest, Sha256};
use tokio::task::AbortHandle;

use super::{
    held::Held,
    lane::{Company, Lane, Refused},
    way::Way,
};
use crate::{core::Core, rpc};

/// Sessions one host may have: the one in use, the one before, and those that were lost in a crash.
const MAX_PER_HOST: usize = 4;
/// Sessions of all hosts.
const MAX_SESSIONS: usize = 16_384;
/// Calls of one session that run at once.
const MAX_RUNNING: usize = 16_384;
/// Longest wait of a caller that is believed.
const MAX_TIME_LEFT: Duration = Duration::from_secs(3600);

/// The sessions that other hosts have here.
pub struct Serving {
    way: Arc<Way>,
    sessions: DashMap<SessionId, Arc<Incoming>>,
    /// None once the host gives no more sessions.
    by_host: Mutex<Option<HashMap<HostId, Vec<SessionId>>>>,
}

/// One of them.
struct Incoming {
    id: SessionId,
    issuer: ClusterId,
    calls: MacKey,
    /// None once no more calls are taken.
    window: Mutex<Option<Window>>,
    answers: Arc<Lane>,
    running: Mutex<HashMap<u32, AbortHandle>>,
    ends_at: Instant,
}

impl Serving {
    pub(super) fn new(way: Arc<Way>) -> Self {
        Self { way, sessions: DashMap::new(), by_host: Mutex::new(Some(HashMap::new())) }
    }

    /// Answers a question that was [accepted](super::questions::Questions::accept).
    ///
    /// # Errors
    /// [`SessionError`], for the one who asks.
    pub(super) fn grant(&self, question: &[u8], hello: &Hello, now: Instant) -> Result<Vec<u8>, SessionError> {
        let way = &self.way;
        let (answer, granted) = hello.grant(question, &way.cluster, way.cluster_id)?;
        if self.admit(granted, now) { Ok(answer) } else { Err(SessionError::Host) }
    }

    /// Whether the session is known from now on.
    fn admit(&self, granted: Granted, now: Instant) -> bool {
        let Granted { session, host, issuer, lifetime, keys } = granted;
        let subject = self.way.batches_to(host, BatchKind::Answers);
        let lane = Lane::new(self.way.clone(), BatchKind::Answers, session, keys.answers, subject);
        let incoming = Incoming {
            id: session,
            issuer,
            calls: keys.calls,
            window: Mutex::new(Some(Window::default())),
            answers: lane,
            running: Mutex::default(),
            ends_at: now + Duration::from_secs(u64::from(lifetime)),
        };
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(by_host) = &mut *by_host else { return false };
        if self.sessions.len() >= MAX_SESSIONS {
            self.sessions.retain(|_, session| now < session.ends_at);
            by_host.retain(|_, ids| {
                ids.retain(|id| self.sessions.contains_key(id));
                !ids.is_empty()
            });
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return false;
        }
        let ids = by_host.entry(host).or_default();
        if ids.len() == MAX_PER_HOST {
            self.sessions.remove(&ids.remove(0));
        }
        ids.push(session);
        self.sessions.insert(session, Arc::new(incoming));
        tracing::debug!(%host, %session, "session given");
        true
    }

    /// From now on no call is taken, and every caller hears which was the last; those that run are still answered.
    pub(super) fn leave(&self) {
        self.by_host.lock().unwrap_or_else(PoisonError::into_inner).take();
        for session in &self.sessions {
            session.take_no_more();
        }
    }

    /// Ends the calls that still run. Their callers hear so.
    pub(super) fn end(&self) {
        for session in &self.sessions {
            session.end();
        }
    }

    /// Carries out a batch of calls.
    ///
    /// # Errors
    /// [`SessionError`]; nothing of the batch is carried out then.
    pub(super) fn take(&self, core: &Arc<Core>, id: SessionId, number: u64, batch: &Bytes) -> Result<(), SessionError> {
        let session = self.sessions.get(&id).map(|session| session.clone()).ok_or(SessionError::UnknownSession)?;
        let is_trusted = self.way.trusted.contains(&session.issuer);
        if !is_trusted || Instant::now() >= session.ends_at {
            self.sessions.remove(&id);
            return Err(SessionError::UnknownSession);
        }
        let held = Held::new(batch);
        let opened = Opened::open(&held.batch, &session.calls)?;
        match session.window().as_mut().map(|window| window.is_first(number)) {
            Some(true) => {}
            Some(false) => return Err(SessionError::Replayed),
            // The caller hears, or has heard, that it comes too late.
            None => return Ok(()),
        }
        for entry in FromCaller::read_all(&opened)? {
            match entry {
                FromCaller::Call(call) => session.take(core, &self.way, call, &held),
                FromCaller::Cancel { number } => session.cancel(number),
            }
        }
        Ok(())
    }
}

impl Incoming {
    /// Begins a call, if there is room for its payload.
    fn take(self: &Arc<Self>, core: &Arc<Core>, way: &Arc<Way>, mut call: CallEntry, held: &Held) {
        match held.payload(std::mem::take(&mut call.payload)) {
            Ok(payload) => self.begin(core, way, CallEntry { payload, ..call }),
            Err(no_room) => self.answer(call.number, &failure(false, &no_room.into()), Company::More),
        }
    }

    fn begin(self: &Arc<Self>, core: &Arc<Core>, way: &Arc<Way>, call: CallEntry) {
        let number = call.number;
        let mut running = self.running();
        if running.len() >= MAX_RUNNING || running.contains_key(&number) {
            drop(running);
            let sentence = "too many calls of this session are running".to_owned();
            self.answer(number, &Answer::Failure { begun: false, code: "busy".to_owned(), sentence }, Company::More);
            return;
        }
        let (session, core, way_of) = (self.clone(), core.clone(), way.clone());
        let task = way.tasks.spawn(async move {
            let answer = carry_out(&core, &way_of, session.id, call).await;
            // Taken out first: a call that was taken back is not answered.
            let (was_wanted, company) = session.ended(number);
            if was_wanted {
                session.answer(number, &answer, company);
            }
        });
        running.insert(number, task.abort_handle());
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
        let Some(window) = self.window().take() else { return };
        let last = window.highest();
        // Without room for it the calls of later batches end at their deadlines.
        let _ = self.answers.add(FromCallee::LAST_BYTES, Company::More, |to| FromCallee::write_last(last, to));
    }

    fn end(&self) {
        let running = std::mem::take(&mut *self.running());
        for (number, task) in running {
            task.abort();
            let sentence = "unreachable: the host that ran the call has stopped".to_owned();
            self.answer(
                number,
                &Answer::Failure { begun: true, code: "unreachable".to_owned(), sentence },
                Company::More,
            );
        }
    }

    fn window(&self) -> MutexGuard<'_, Option<Window>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u32, AbortHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn carry_out(core: &Arc<Core>, way: &Way, session: SessionId, call: CallEntry) -> Answer {
    let number = call.number;
    let deadline = Instant::now() + call.time_left.min(MAX_TIME_LEFT);
    match rpc::serve_session_call(core, call, deadline).await {
        Ok(result) if is_chunked(result.len() as u64) => store(way, session, number, result).await,
        Ok(result) => Answer::Result(result),
        Err((begun, error)) => failure(begun, &error),
    }
}

fn failure(begun: bool, error: &CallError) -> Answer {
    tracing::debug!(code = error.code(), %error, "call failed");
    Answer::Failure { begun, code: error.code().to_owned(), sentence: error.to_string() }
}

async fn store(way: &Way, session: SessionId, number: u32, result: Bytes) -> Answer {
    match way.large.store_large(&large_result(session, number), &result).await {
        Ok(stored) => {
            // The caller deletes it. One that is gone does not: those are the broker's to clean up, as for any call.
            stored.keep();
            Answer::Stored { length: result.len() as u64, digest: Sha256::digest(&result).into() }
        }
        Err(error) => failure(true, &error),
    }
}
