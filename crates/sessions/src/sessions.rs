//! What a host holds of its sessions: what it was granted, what it serves, who is full.
//!
//! Everything that makes, uses or serves sessions works on this one state and stands above it. Knows no loop and makes no
//! handshake.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::{Duration, Instant},
};

use claims::{ActorId, HostId};
use dashmap::DashMap;
use lattice::{
    client::Noted,
    session::{Acquaintances, SessionId},
};
use tokio_util::sync::CancellationToken;

use crate::{
    context::{Context, Member},
    environment::Environment,
    link::Link,
    outgoing::Outgoing,
    questions::Questions,
    route::Route,
    seen,
    serving::Serving,
};

/// Longest wait for the last answers to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The sessions of a host.
pub struct Sessions<E: Environment> {
    pub(crate) context: Arc<Context<E>>,
    pub(crate) links: DashMap<HostId, Arc<Link<E>>>,
    pub(crate) outgoing: DashMap<SessionId, Arc<Outgoing<E>>>,
    pub(crate) serving: Serving<E>,
    pub(crate) questions: Questions,
    pub(crate) seen: seen::Told,
    /// Who said lately that an actor is full there.
    pub(crate) busy: DashMap<(HostId, ActorId), Instant>,
    pub(crate) turn: AtomicU64,
    /// Asks the receiver to end.
    pub(crate) closed: CancellationToken,
    /// The receiver has ended; none before there is one.
    pub(crate) ended: OnceLock<CancellationToken>,
}

impl<E: Environment> Sessions<E> {
    /// Sessions of a host; none is made, given or served yet.
    #[must_use]
    pub fn new(env: E, own: Member) -> Arc<Self> {
        let acquaintances = Acquaintances::new(&own.cluster, own.cluster_id, &own.trusted);
        let context = Arc::new(Context::new(env, own));
        Arc::new(Self {
            serving: Serving::new(context.clone()),
            questions: Questions::new(acquaintances),
            seen: seen::Told::new(),
            context,
            links: DashMap::new(),
            outgoing: DashMap::new(),
            busy: DashMap::new(),
            turn: AtomicU64::new(0),
            closed: CancellationToken::new(),
            ended: OnceLock::new(),
        })
    }

    /// Takes no more calls from other hosts. They are told, and make elsewhere what came too late; what runs is
    /// answered.
    pub fn leave(&self) {
        self.serving.leave();
    }

    /// Ends serving, when everything else of the host has ended. What of other hosts still runs is ended.
    pub async fn close(&self) {
        self.serving.end();
        let env = &self.context.env;
        env.timeout_at(env.now() + LAST_ANSWERS, env.tasks_ended()).await;
        self.closed.cancel();
        if let Some(ended) = self.ended.get() {
            ended.cancelled().await;
        }
    }

    /// What was refused so far, by [`lattice::session::SessionError::code`].
    #[must_use]
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.context.refused()
    }

    /// What there is to a host; the beginning of it where there was nothing.
    pub(crate) fn link(&self, host: HostId) -> Arc<Link<E>> {
        if let Some(link) = self.links.get(&host) {
            return link.clone();
        }
        self.links.entry(host).or_insert_with(|| Link::new(host)).clone()
    }

    /// A session that was granted to this host.
    pub(crate) fn outgoing(&self, session: SessionId) -> Option<Arc<Outgoing<E>>> {
        self.outgoing.get(&session).map(|session| session.clone())
    }

    /// A host began anew or came back: no reason to wait before the next handshake.
    pub fn renewed(&self, host: &HostId) {
        if let Some(link) = self.links.get(host) {
            link.renewed();
        }
    }

    /// The same of a call to a provider in this process, for the hosts that have it as well.
    pub fn taken_by_provider(&self, hosts: Vec<HostId>, noted: Noted) {
        self.taken(Arc::new(Route { hosts, others: false }), noted);
    }

    /// A signed call to an actor was taken here; the other hosts that run it hear so, to refuse it when it comes again.
    pub fn taken(&self, route: Arc<Route>, noted: Noted) {
        if !route.hosts.is_empty() {
            self.seen.taken(route, noted);
        }
    }
}
