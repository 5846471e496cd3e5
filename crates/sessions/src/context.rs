//! What every session of a host shares: the environment, who the host is, whom it trusts, and what it refused.
//!
//! Knows no session. Invariant: whatever is refused is counted, and logged the first time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use claims::{ClusterId, HostId, KeyPair};
use lattice::{
    LatticeId,
    session::{BatchKind, Parties, SessionError, SessionId},
    subject::RpcSubject,
};

use crate::{
    batch_writer::Outlet,
    environment::{Environment, OutMessage},
};

/// Longest wait for a write before the next batch is made anyway.
const WRITE: Duration = Duration::from_secs(1);

/// Who a host is, and whom it believes.
pub struct Member {
    /// The lattice.
    pub lattice: LatticeId,
    /// The host.
    pub host: HostId,
    /// Signs handshakes.
    pub cluster: KeyPair,
    /// Its public half.
    pub cluster_id: ClusterId,
    /// Whose handshakes are accepted.
    pub trusted: BTreeSet<ClusterId>,
}

/// Shared by the sessions of one host.
pub struct Context<E> {
    /// Broker, clocks and tasks.
    pub env: E,
    /// This host.
    pub own: Member,
    /// Where the broker says that nobody took a batch.
    pub inbox: String,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl<E: Environment> Context<E> {
    /// For a host.
    pub fn new(env: E, own: Member) -> Self {
        Self { inbox: env.new_inbox(), env, own, refused: Mutex::default() }
    }

    /// Whether the broker is there.
    pub fn is_connected(&self) -> bool {
        *self.env.connected().borrow()
    }

    /// The parties of a message to a host.
    pub fn to(&self, host: HostId) -> Parties {
        let own = &self.own;
        Parties { lattice: own.lattice.clone(), from: own.host, to: host, cluster: own.cluster_id }
    }

    /// Where batches for a host go.
    pub fn batches_to(&self, host: HostId, kind: BatchKind) -> String {
        let subject = match kind {
            BatchKind::Calls => RpcSubject::Calls(host),
            BatchKind::Answers => RpcSubject::Answers(host),
        };
        subject.render(&self.own.lattice)
    }

    /// The reply subject on which the broker says that nobody took a batch.
    pub fn nobody(&self, session: SessionId, number: u64) -> String {
        format!("{}.{}", self.inbox, session.batch(number))
    }

    /// Reads what [`Context::nobody`] rendered.
    pub fn parse_nobody(&self, subject: &str) -> Option<(SessionId, u64)> {
        SessionId::parse_batch(subject.strip_prefix(self.inbox.as_str())?.strip_prefix('.')?)
    }

    /// Counts what was refused.
    pub fn refuse(&self, error: &SessionError) {
        let code = error.code();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.entry(code).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(%error, code, "a session message is refused; more of this kind are counted only");
        } else {
            tracing::debug!(%error, code, count, "a session message is refused");
        }
    }

    /// What was refused so far.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One direction of one session towards a host.
pub struct Lane<E> {
    context: std::sync::Arc<Context<E>>,
    kind: BatchKind,
    session: SessionId,
    subject: String,
}

impl<E: Environment> Lane<E> {
    /// The way of batches of a kind to a host.
    pub fn new(context: std::sync::Arc<Context<E>>, kind: BatchKind, session: SessionId, host: HostId) -> Self {
        let subject = context.batches_to(host, kind);
        Self { context, kind, session, subject }
    }
}

impl<E: Environment> Outlet for Lane<E> {
    fn max_payload(&self) -> usize {
        self.context.env.max_payload()
    }

    async fn send(&self, number: u64, batch: Bytes) {
        let reply = match self.kind {
            BatchKind::Calls => Some(self.context.nobody(self.session, number)),
            BatchKind::Answers => None,
        };
        let message = OutMessage { subject: self.subject.clone(), reply, headers: None, payload: batch };
        if let Err(error) = self.context.env.publish(message).await {
            tracing::debug!(%error, session = %self.session, "cannot send a batch");
        }
    }

    async fn pause(&self) {
        tokio::task::yield_now().await;
    }

    async fn written(&self) {
        let env = &self.context.env;
        env.timeout_at(env.now() + WRITE, env.flush()).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.context.env.spawn(task);
    }
}
