//! Which host gets a call, and what happens when it does not take it.
//!
//! Knows who runs an actor from a [`Route`] that it is handed. Invariants: a call is offered to the next host only when the
//! one before has not begun it; of two hosts that have room the one with less to do is called.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ActorId, HostId};
use contracts::CallError;
use lattice::{
    is_chunked,
    session::{CallParts, SessionId, large_result},
};
use sha2::{Digest, Sha256};

use crate::{
    ask,
    environment::Environment,
    link::{Link, Now},
    outgoing::{Outcome, Outgoing},
    route::Route,
    sessions::Sessions,
};

/// How long a host that was full is passed over, unless all are.
const FULL: Duration = Duration::from_millis(50);
/// Hosts that one call is offered.
const MOST_OFFERS: usize = 8;
/// Longest wait for a handshake when there is no other way.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// When a call may go to another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The actor does not run here. Without session the signed way is taken.
    Elsewhere,
    /// The actor is full here; a handshake is worth waiting for.
    Spill,
}

/// A host with a session that has room.
type Candidate<E> = (Arc<Link<E>>, Arc<Outgoing<E>>);

enum Choice<E: Environment> {
    Session(Arc<Outgoing<E>>),
    Handshake(Arc<Link<E>>),
    Nobody,
}

impl<E: Environment> Sessions<E> {
    /// Calls an actor on one of the hosts of a route. None when no session leads there, or the call has no form in one:
    /// nothing was begun then. A host that says it does not run the actor is `refuted`.
    pub async fn call(
        self: &Arc<Self>,
        call: &CallParts<'_>,
        route: &Route,
        deadline: Instant,
        wish: Wish,
        refuted: impl Fn(&HostId),
    ) -> Option<Result<Bytes, CallError>> {
        if is_chunked(call.payload.len() as u64) || !self.context.is_connected() {
            return None;
        }
        let env = &self.context.env;
        let (mut tried, mut full) = (Vec::new(), None);
        while tried.len() < MOST_OFFERS {
            let session = match self.choose(route, &tried, call.target) {
                Choice::Session(session) => session,
                Choice::Handshake(link) if wish == Wish::Spill || !tried.is_empty() => {
                    link.settled(env, deadline.min(env.now() + HANDSHAKE)).await;
                    match link.session() {
                        Some(session) => session,
                        None => {
                            tried.push(link.host);
                            continue;
                        }
                    }
                }
                Choice::Handshake(_) | Choice::Nobody => break,
            };
            tried.push(session.host);
            match session.call(call, deadline).await {
                Outcome::Answered(answer) => return Some(answer),
                Outcome::Stored { number, length, digest } => {
                    return Some(self.fetch(session.id, number, length, digest, deadline).await);
                }
                Outcome::NotBegun { code, sentence } if code == "busy" => {
                    self.busy.insert((session.host, *call.target), env.now() + FULL);
                    full = Some(CallError::from_wire(Some(&code), sentence));
                }
                Outcome::NotBegun { code, .. } if code == "not_running" => {
                    refuted(&session.host);
                }
                Outcome::NotBegun { code, sentence } => return Some(Err(CallError::from_wire(Some(&code), sentence))),
                Outcome::NotSent => {}
                Outcome::NoForm => break,
            }
        }
        full.map(Err)
    }

    /// The host for the next attempt: of two that have room the one with less to do.
    fn choose(self: &Arc<Self>, route: &Route, tried: &[HostId], actor: &ActorId) -> Choice<E> {
        let now = self.context.env.now();
        let count = route.hosts.len();
        if count == 0 {
            return Choice::Nobody;
        }
        // Any spread will do; a multiplier of the golden ratio has one.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start = usize::try_from(turn >> 33).unwrap_or(0) % count;
        let (mut best, mut later, mut soon): (Option<Candidate<E>>, _, _) = (None, None, None);
        let mut seen = 0;
        for host in (0..count).map(|step| route.hosts[(start + step) % count]).filter(|host| !tried.contains(host)) {
            let link = self.link(host);
            match self.look(&link, now) {
                Now::Session(session) if self.is_full(host, actor, now) => later = later.or(Some(session)),
                Now::Session(session) => {
                    seen += 1;
                    if best.as_ref().is_none_or(|(other, _)| link.load() < other.load()) {
                        best = Some((link, session));
                    }
                    if seen == 2 {
                        break;
                    }
                }
                Now::Soon => soon = Some(link),
                Now::No => {}
            }
        }
        match (best, soon, later) {
            (Some((_, session)), _, _) => Choice::Session(session),
            (None, Some(link), _) => Choice::Handshake(link),
            (None, None, Some(session)) => Choice::Session(session),
            (None, None, None) => Choice::Nobody,
        }
    }

    fn is_full(&self, host: HostId, actor: &ActorId, now: Instant) -> bool {
        !self.busy.is_empty() && self.busy.get(&(host, *actor)).is_some_and(|until| now < *until)
    }

    /// What there is to a host; a handshake begins when it is time for one.
    fn look(self: &Arc<Self>, link: &Arc<Link<E>>, now: Instant) -> Now<E> {
        let (there, handshake) = link.look(now);
        if handshake {
            self.context.env.spawn(ask::ask(self.clone(), link.clone()));
        }
        there
    }

    /// Sees to a session with a host.
    pub(crate) fn prepare(self: &Arc<Self>, host: HostId) {
        self.look(&self.link(host), self.context.env.now());
    }

    async fn fetch(
        &self,
        session: SessionId,
        number: u32,
        length: u64,
        digest: [u8; 32],
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let deadline = deadline + lattice::CHUNK_EXTRA_TIME;
        let result = self.context.env.fetch(&large_result(session, number), length, deadline).await?;
        if Sha256::digest(&result)[..] != digest {
            let what = "response payload in the object store".to_owned();
            return Err(CallError::Malformed { what, reason: "it is not the one that was answered".to_owned() });
        }
        Ok(result)
    }
}
