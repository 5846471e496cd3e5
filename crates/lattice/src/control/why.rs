//! `get.{host}.why`: what a host knows of one actor, link, provider or reference that does not work. Ours; hosts of
//! others do not serve it.
//!
//! Facts, no verdict: whoever asks puts the answers of all hosts together. Every member of both messages may be left
//! out, so that either side may learn more later. Invariant: an answer is small, whatever a host has seen.

use claims::{ActorId, HostId, ProviderId};
use serde::{Deserialize, Serialize};

use super::{Constraints, ControlRequest, lenient};
use crate::{ContractId, LinkName};

/// Request of `get.{host}.why`. What is left out is not looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskWhy {
    /// The actor that is asked about: the one that calls, or is called by its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorId>,
    /// The actor it calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callee: Option<ActorId>,
    /// The contract of its link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractId>,
    /// The name of its link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_name: Option<LinkName>,
    /// A reference that was to be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the host might run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<AskOffer>,
}

/// Whether a host would run something: an auction in which those that decline say why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskOffer {
    /// The reference as the operator wrote it.
    pub reference: String,
    /// The link name, of a provider; none for an actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<LinkName>,
    /// Labels the host must have.
    #[serde(default, deserialize_with = "lenient::null_is_default", skip_serializing_if = "Constraints::is_empty")]
    pub constraints: Constraints,
}

/// Whether a host runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Whether it does.
    pub accepts: bool,
    /// Why not, as a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why not, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ControlRequest for AskWhy {
    const WHAT: &'static str = "question";
}

/// What a host knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyReply {
    /// The host.
    pub host_id: HostId,
    /// Its connections.
    #[serde(default, deserialize_with = "lenient::null_is_default")]
    pub nats: NatsState,
    /// The actor asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorState>,
    /// The actor it calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callee: Option<ActorState>,
    /// The provider of the link asked about, when it runs on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderState>,
    /// Whether the policy permits it on this host; none when nobody is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyState>,
    /// What failed here, newest first.
    #[serde(default, deserialize_with = "lenient::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureRecord>,
    /// How long a call may take on this host that says nothing itself, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc_timeout_ms: Option<u64>,
    /// Whether it would run what was asked about; none from a host that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
}

impl WhyReply {
    /// An answer that says nothing yet.
    #[must_use]
    pub fn new(host_id: HostId) -> Self {
        Self {
            host_id,
            nats: NatsState::default(),
            actor: None,
            callee: None,
            provider: None,
            policy: None,
            failures: Vec::new(),
            rpc_timeout_ms: None,
            offer: None,
        }
    }
}

/// The connections of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsState {
    /// Whether it uses NATS at all.
    #[serde(default)]
    pub used: bool,
    /// Whether the control connection is up.
    #[serde(default)]
    pub control: bool,
    /// Whether the RPC connection is up.
    #[serde(default)]
    pub rpc: bool,
    /// What the server forbade lately.
    #[serde(default, deserialize_with = "lenient::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<ForbiddenSubject>,
    /// Why the host has no connection, when it knows more than that nobody answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<NatsProblem>,
    /// Why JetStream does not let the host have the buckets of the lattice; none when it does, or is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_refused: Option<String>,
}

/// Why a host has no connection to NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsProblem {
    /// Stable word: `nats_denied`, `nats_tls`, …
    pub code: String,
    /// Sentence.
    pub message: String,
}

/// A subject that a NATS server does not let its user use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForbiddenSubject {
    /// `publish` or `subscribe`.
    pub operation: String,
    /// The subject.
    pub subject: String,
    /// Whose connection it is: `control` or `rpc`.
    #[serde(default)]
    pub connection: String,
}

/// An actor, as one host sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorState {
    /// Whether it runs here.
    #[serde(default)]
    pub running: bool,
    /// Calls it runs now.
    #[serde(default)]
    pub in_use: u32,
    /// Calls it may run at once.
    #[serde(default)]
    pub max_instances: u32,
    /// Why it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// Whether its issuer may run things here; none when the issuer is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_trusted: Option<bool>,
    /// Contracts its claims name, as they run here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contracts: Option<Vec<String>>,
}

/// A provider on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderState {
    /// The provider.
    pub id: ProviderId,
    /// The contract it serves.
    pub contract: ContractId,
    /// Whether it is part of the host, or a process.
    #[serde(default)]
    pub embedded: bool,
    /// Whether it runs: a process that ended is being restarted.
    #[serde(default)]
    pub up: bool,
    /// What it answered when it was asked now; none when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// Its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether it has taken the link asked about; none from a host that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<bool>,
}

/// What the policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyState {
    /// Where the service is asked.
    pub topic: String,
    /// What holds without its answer, `permit` or `deny`.
    pub default: String,
    /// Why this host refuses; none when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The code of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A failure that a host remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// What failed, in words: a call and its two ends, a link, a start.
    pub what: String,
    /// Stable word.
    pub code: String,
    /// Sentence.
    pub message: String,
    /// When it happened last, seconds since 1970.
    pub at: u64,
    /// The contract, of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// The link name, of a link or provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_name: Option<String>,
    /// The other end, where it is an actor or provider: its key, or the name it was called by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// How often, since it was first remembered.
    #[serde(default)]
    pub times: u64,
    /// What kind of thing it was; none from a host that does not say, or says what we do not know.
    #[serde(default, deserialize_with = "lenient::readable", skip_serializing_if = "Option::is_none")]
    pub kind: Option<FailureKind>,
    /// The operation, of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Since when it is known to be over, seconds since 1970: the same thing worked, or is wanted no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_at: Option<u64>,
}

/// What kind of thing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A call that the actor made, or a link it would make calls over.
    Outgoing,
    /// A call that came over the lattice.
    Arrival,
    /// A call by a provider of that host, or the provider itself.
    Provider,
    /// A start.
    Start,
}
