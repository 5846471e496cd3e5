//! Sessions with the other hosts: many calls under one pair of keys, and several hosts to choose from.
//!
//! The format and what must hold of it are `lattice::session`'s; here are the two ends, and which host gets a call.
//! What has no session takes the signed way of the protocol, which is always there. Invariants: a call is made again
//! only when it was not begun; a host that is full is passed over while another has room; nothing here waits for a
//! broker that is known to be away.

mod ask;
mod held;
mod lane;
mod link;
mod outgoing;
mod questions;
mod receiver;
mod seen;
mod serving;
mod way;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ActorId, HostId};
use contracts::CallError;
use dashmap::DashMap;
use lattice::{
    client::{Noted, RpcResponder},
    is_chunked,
    session::{Acquaintances, CallParts, SessionId, large_result},
};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    link::{Link, Now},
    outgoing::{Outcome, Outgoing},
    questions::Questions,
    receiver::Subscriptions,
    serving::Serving,
    way::Way,
};
use crate::{
    broker::Broker,
    config::HostConfig,
    core::{Core, Identity},
    peers::Route,
};

/// How long a host that was full is passed over, unless all are.
const FULL: Duration = Duration::from_millis(50);
/// Hosts that one call is offered.
const MOST_OFFERS: usize = 8;
/// Longest wait for a handshake when there is no other way.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// Longest wait for the last answers to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The sessions of a host.
pub struct Sessions {
    way: Arc<Way>,
    links: DashMap<HostId, Arc<Link>>,
    outgoing: DashMap<SessionId, Arc<Outgoing>>,
    serving: Serving,
    questions: Questions,
    seen: seen::Told,
    /// Who said lately that an actor is full there.
    busy: DashMap<(HostId, ActorId), Instant>,
    turn: AtomicU64,
    closed: CancellationToken,
    receiver: Mutex<Option<JoinHandle<()>>>,
}

/// When a call may go to another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The actor does not run here. Without session the signed way is taken.
    Elsewhere,
    /// The actor is full here; a handshake is worth waiting for.
    Spill,
}

impl Sessions {
    /// Sessions over the RPC connection of a broker; none when the operator does not want them.
    #[must_use]
    pub fn new(config: &HostConfig, identity: &Identity, broker: &Broker, tasks: &TaskTracker) -> Option<Arc<Self>> {
        if !config.sessions {
            return None;
        }
        let client = broker.calls.client.clone();
        let large = RpcResponder::new(client.clone(), &config.lattice, config.js_domain.as_deref())
            .with_max_body(u64::from(config.limits.response_bytes));
        let way = Arc::new(Way {
            inbox: client.new_inbox(),
            client,
            connected: broker.calls.connected.clone(),
            lattice: config.lattice.clone(),
            own: identity.host_id,
            cluster: identity.cluster_key.clone(),
            cluster_id: identity.cluster_id,
            trusted: identity.trusted_issuers.clone(),
            large,
            tasks: tasks.clone(),
            refused: Mutex::default(),
        });
        let acquaintances = Acquaintances::new(&way.cluster, way.cluster_id, &way.trusted);
        Some(Arc::new(Self {
            serving: Serving::new(way.clone()),
            questions: Questions::new(acquaintances),
            seen: seen::Told::new(),
            way,
            links: DashMap::new(),
            outgoing: DashMap::new(),
            busy: DashMap::new(),
            turn: AtomicU64::new(0),
            closed: CancellationToken::new(),
            receiver: Mutex::default(),
        }))
    }

    /// Begins to serve; returns when the subscriptions are made.
    pub async fn open(self: &Arc<Self>, core: &Arc<Core>) {
        match Subscriptions::make(self).await {
            Ok(subscriptions) => {
                let serving = tokio::spawn(subscriptions.serve(core.clone(), self.clone()));
                *self.receiver.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving);
            }
            Err(error) => tracing::error!(%error, "cannot serve sessions; calls are signed one by one"),
        }
    }

    /// Takes no more calls from other hosts. They are told, and make elsewhere what came too late; what runs is
    /// answered.
    pub fn leave(&self) {
        self.serving.leave();
    }

    /// Ends serving, when everything else of the host has ended. What of other hosts still runs is ended.
    pub async fn close(&self) {
        self.serving.end();
        tokio::time::timeout(LAST_ANSWERS, self.way.tasks.wait()).await.ok();
        self.closed.cancel();
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(receiver) = receiver {
            receiver.await.ok();
        }
    }

    /// What was refused so far, by [`lattice::session::SessionError::code`].
    #[must_use]
    pub fn refused(&self) -> std::collections::BTreeMap<&'static str, u64> {
        self.way.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A host began anew or came back: no reason to wait before the next handshake.
    pub fn renewed(&self, host: &HostId) {
        if let Some(link) = self.links.get(host) {
            link.renewed();
        }
    }

    /// A signed call to an actor was taken here; the other hosts that run it hear so, to refuse it when it comes again.
    pub fn taken(&self, core: &Core, actor: &ActorId, noted: Noted) {
        if let Some(route) = core.peers.route(actor).filter(|route| !route.hosts.is_empty()) {
            self.seen.taken(route, noted);
        }
    }

    /// The same of a call to a provider in this process, for the hosts that have it as well.
    pub fn taken_by_provider(&self, hosts: Vec<HostId>, noted: Noted) {
        if !hosts.is_empty() {
            self.seen.taken(Arc::new(Route { hosts, others: false }), noted);
        }
    }

    /// Calls an actor on one of the hosts of a route. None when no session leads there, or the call has no form in one:
    /// nothing was begun then.
    pub async fn call(
        self: &Arc<Self>,
        core: &Core,
        call: &CallParts<'_>,
        route: &Route,
        deadline: Instant,
        wish: Wish,
    ) -> Option<Result<Bytes, CallError>> {
        if is_chunked(call.payload.len() as u64) || !*self.way.connected.borrow() {
            return None;
        }
        let (mut tried, mut full) = (Vec::new(), None);
        while tried.len() < MOST_OFFERS {
            let session = match self.choose(route, &tried, call.target) {
                Choice::Session(session) => session,
                Choice::Handshake(link) if wish == Wish::Spill || !tried.is_empty() => {
                    link.settled(deadline.min(Instant::now() + HANDSHAKE)).await;
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
                    self.busy.insert((session.host, *call.target), Instant::now() + FULL);
                    full = Some(CallError::from_wire(Some(&code), sentence));
                }
                Outcome::NotBegun { code, .. } if code == "not_running" => {
                    core.peers.refuted(&session.host, *call.target);
                }
                Outcome::NotBegun { code, sentence } => return Some(Err(CallError::from_wire(Some(&code), sentence))),
                Outcome::NotSent => {}
                Outcome::NoForm => break,
            }
        }
        full.map(Err)
    }

    /// The host for the next attempt: of two that have room the one with less to do.
    fn choose(self: &Arc<Self>, route: &Route, tried: &[HostId], actor: &ActorId) -> Choice {
        let now = Instant::now();
        let count = route.hosts.len();
        if count == 0 {
            return Choice::Nobody;
        }
        // Any spread will do; a multiplier of the golden ratio has one.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start = usize::try_from(turn >> 33).unwrap_or(0) % count;
        let (mut best, mut later, mut soon): (Option<(Arc<Link>, Arc<Outgoing>)>, _, _) = (None, None, None);
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

    fn link(&self, host: HostId) -> Arc<Link> {
        if let Some(link) = self.links.get(&host) {
            return link.clone();
        }
        self.links.entry(host).or_insert_with(|| Link::new(host)).clone()
    }

    /// What there is to a host; a handshake begins when it is time for one.
    fn look(self: &Arc<Self>, link: &Arc<Link>, now: Instant) -> Now {
        let (there, handshake) = link.look(now);
        if handshake {
            self.way.tasks.spawn(ask::ask(self.clone(), link.clone()));
        }
        there
    }

    /// Sees to a session with a host.
    fn prepare(self: &Arc<Self>, host: HostId) {
        self.look(&self.link(host), Instant::now());
    }

    fn outgoing(&self, session: SessionId) -> Option<Arc<Outgoing>> {
        self.outgoing.get(&session).map(|session| session.clone())
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
        let result = self.way.large.fetch_large(&large_result(session, number), length, deadline).await?;
        if Sha256::digest(&result)[..] != digest {
            let what = "response payload in the object store".to_owned();
            return Err(CallError::Malformed { what, reason: "it is not the one that was answered".to_owned() });
        }
        Ok(result)
    }
}

enum Choice {
    Session(Arc<Outgoing>),
    Handshake(Arc<Link>),
    Nobody,
}
