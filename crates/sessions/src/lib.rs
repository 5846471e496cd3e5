//! Sessions with the other hosts: many calls under one pair of keys, and several hosts to choose from.
//!
//! The bytes are `lattice::session`'s; here are the two ends, and which host gets a call. What the protocol promises, to
//! whom and against whom, is `docs/sessions.md`. What has no session takes the signed way of the lattice protocol, which
//! is always there. Knows no actors, no providers and no runtime: a host is a [`ServeCall`], and the world around it an
//! [`Environment`], which is [`Nats`] but for tests. Invariants: a call is made again only when it was not begun; a host
//! that is full is passed over while another has room; nothing here waits for a broker that is known to be away.

mod ask;
mod batch_writer;
mod budget;
mod context;
mod environment;
mod gate;
mod held;
mod link;
mod nats;
mod outgoing;
mod questions;
mod queue;
mod receiver;
mod routing;
mod seen;
mod serve_call;
mod serving;

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

pub use self::{
    budget::{Budget, Budgets, Rate},
    context::Member,
    environment::{AskError, Environment, OutMessage, Task},
    nats::Nats,
    routing::{Route, Wish},
    serve_call::{Failed, ServeCall},
};
use self::{
    context::Context, link::Link, outgoing::Outgoing, questions::Questions, receiver::Subscriptions, serving::Serving,
};

/// Longest wait for the last answers to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The sessions of a host.
pub struct Sessions<E: Environment> {
    context: Arc<Context<E>>,
    links: DashMap<HostId, Arc<Link<E>>>,
    outgoing: DashMap<SessionId, Arc<Outgoing<E>>>,
    serving: Serving<E>,
    questions: Questions,
    seen: seen::Told,
    /// Who said lately that an actor is full there.
    busy: DashMap<(HostId, ActorId), Instant>,
    turn: AtomicU64,
    /// Asks the receiver to end.
    closed: CancellationToken,
    /// The receiver has ended; none before there is one.
    ended: OnceLock<CancellationToken>,
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

    /// Begins to serve, once; returns when the subscriptions are made.
    pub async fn open<H: ServeCall>(self: &Arc<Self>, host: &Arc<H>) {
        match Subscriptions::make(&self.context).await {
            Ok(subscriptions) => {
                let serving = subscriptions.serve(host.clone(), self.clone());
                let ended = self.ended.get_or_init(CancellationToken::new).clone();
                self.context.env.spawn_apart(async move {
                    let _ended = ended.drop_guard();
                    serving.await;
                });
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
