//! What every session of a host shares: the connection, who the host is, whom it trusts, and what it refused.
//!
//! Knows no session. Invariant: whatever is refused is counted, and logged the first time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use async_nats::Client;
use claims::{ClusterId, HostId, KeyPair};
use lattice::{
    LatticeId,
    client::RpcResponder,
    session::{BatchKind, Parties, SessionError, SessionId},
    subject::RpcSubject,
};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Shared by the sessions of one host.
pub struct Way {
    /// The connection that carries calls.
    pub client: Client,
    /// Whether it is up.
    pub connected: watch::Receiver<bool>,
    /// The lattice.
    pub lattice: LatticeId,
    /// This host.
    pub own: HostId,
    /// Signs handshakes.
    pub cluster: KeyPair,
    /// Its public half.
    pub cluster_id: ClusterId,
    /// Whose handshakes are accepted.
    pub trusted: BTreeSet<ClusterId>,
    /// Results that are too large for a message.
    pub large: RpcResponder,
    /// Where everything runs.
    pub tasks: TaskTracker,
    /// Where the broker says that nobody took a batch.
    pub inbox: String,
    /// What was refused, by code.
    pub refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Way {
    /// The parties of a message to a host.
    pub fn to(&self, host: HostId) -> Parties {
        Parties { lattice: self.lattice.clone(), from: self.own, to: host, cluster: self.cluster_id }
    }

    /// Where batches for a host go.
    pub fn batches_to(&self, host: HostId, kind: BatchKind) -> String {
        let subject = match kind {
            BatchKind::Calls => RpcSubject::Calls(host),
            BatchKind::Answers => RpcSubject::Answers(host),
        };
        subject.render(&self.lattice)
    }

    /// Largest message that the broker takes, in bytes.
    pub fn max_payload(&self) -> usize {
        match self.client.max_payload() {
            0 => usize::MAX,
            most => most,
        }
    }

    /// The reply subject on which the broker says that nobody took a batch.
    pub fn nobody(&self, session: SessionId, number: u64) -> String {
        format!("{}.{session}-{number}", self.inbox)
    }

    /// Reads what [`Way::nobody`] rendered.
    pub fn parse_nobody(&self, subject: &str) -> Option<(SessionId, u64)> {
        let (session, number) = subject.strip_prefix(self.inbox.as_str())?.strip_prefix('.')?.split_once('-')?;
        let session = data_encoding::HEXLOWER.decode(session.as_bytes()).ok()?.try_into().ok()?;
        Some((SessionId(session), number.parse().ok()?))
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
}
