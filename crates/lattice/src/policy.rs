//! What a host asks a policy service, and what it hears back (protocol section 8.5).
//!
//! Owns the two JSON messages: the question, and the decision, which has one shape as an answer and as news on the
//! changes topic. Decides nothing. Invariants: what we send has every member of the protocol, null where nothing is
//! known; a decision is read only when it is small, an object, and names the question it is about.

use std::{collections::BTreeMap, fmt};

use claims::{AccountId, ClusterId, HostId, PublicKey};
use serde::{Deserialize, Serialize};

use crate::{ContractId, LatticeId, LinkName};

/// Largest decision that is read, in bytes.
const MAX_DECISION: usize = 64 * 1024;
/// Longest id of a question in a decision, in bytes. Ours have 36.
const MAX_REQUEST_ID: usize = 128;
/// Longest message that is kept, in characters; the rest is cut off.
const MAX_MESSAGE: usize = 1024;

/// What is to be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyAction {
    /// A call.
    PerformInvocation,
    /// An actor starts on the host that asks.
    StartActor,
    /// A provider starts on the host that asks.
    StartProvider,
}

impl PolicyAction {
    /// Its word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerformInvocation => "perform_invocation",
            Self::StartActor => "start_actor",
            Self::StartProvider => "start_provider",
        }
    }
}

impl fmt::Display for PolicyAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who acts. Nobody, when something is started: every member is empty then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySource {
    /// The actor or provider that calls.
    pub public_key: Option<PublicKey>,
    /// Contract of a provider.
    pub contract_id: Option<ContractId>,
    /// Link name of a provider.
    pub link_name: Option<LinkName>,
    /// Contracts that an actor's claims name.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The account that signed it.
    pub issuer: Option<AccountId>,
    /// When it was signed, seconds since 1970 in decimal; null where the host does not know.
    pub issued_on: Option<String>,
    /// Until when its claims hold, seconds since 1970.
    pub expires_at: Option<u64>,
    /// Whether that is past. What is expired never gets as far as a question, so never.
    #[serde(default)]
    pub expired: bool,
}

/// What is acted upon: what is called, or started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTarget {
    /// The actor or provider.
    pub public_key: PublicKey,
    /// The account that signed it.
    pub issuer: Option<AccountId>,
    /// Contract of a provider.
    pub contract_id: Option<ContractId>,
    /// Link name of a provider.
    pub link_name: Option<LinkName>,
}

/// The host that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyHost {
    /// Its key.
    pub public_key: HostId,
    /// Its lattice.
    pub lattice_id: LatticeId,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Cluster keys it trusts.
    pub cluster_issuers: Vec<ClusterId>,
}

/// A question to the policy service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRequest {
    /// What the decision refers to.
    pub request_id: String,
    /// Who acts.
    pub source: PolicySource,
    /// Upon what.
    pub target: PolicyTarget,
    /// Where.
    pub host: PolicyHost,
    /// What is done.
    pub action: PolicyAction,
}

impl PolicyRequest {
    /// The JSON object.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        crate::control::encode(self)
    }
}

/// A decision: the answer to a question, and what the changes topic carries when one is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDecision {
    /// The question.
    pub request_id: String,
    /// Yes or no.
    pub permitted: bool,
    /// The service's words, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Why bytes are no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyDecisionError {
    /// Too long to be one.
    #[error("a decision of {size} bytes is larger than {MAX_DECISION} bytes")]
    TooLarge {
        /// Bytes received.
        size: usize,
    },
    /// Not the object it should be.
    #[error("not a policy decision: {0}")]
    Json(String),
    /// Without a usable id.
    #[error("not a policy decision: `requestId` must have 1 to {MAX_REQUEST_ID} printable characters")]
    RequestId,
}

impl PolicyDecisionError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "policy_decision_too_large",
            Self::Json(_) => "malformed_policy_decision",
            Self::RequestId => "policy_decision_without_request",
        }
    }
}

impl PolicyDecision {
    /// Reads a decision. Its message is cut to a length that can be kept and shown.
    ///
    /// # Errors
    /// [`PolicyDecisionError`].
    pub fn from_json(body: &[u8]) -> Result<Self, PolicyDecisionError> {
        if body.len() > MAX_DECISION {
            return Err(PolicyDecisionError::TooLarge { size: body.len() });
        }
        if !crate::control::is_object(body) {
            return Err(PolicyDecisionError::Json("expected a JSON object".to_owned()));
        }
        let mut decision: Self =
            serde_json::from_slice(body).map_err(|error| PolicyDecisionError::Json(error.to_string()))?;
        let id = &decision.request_id;
        if id.is_empty() || id.len() > MAX_REQUEST_ID || id.chars().any(char::is_control) {
            return Err(PolicyDecisionError::RequestId);
        }
        decision.message = decision.message.map(|message| printable(&message)).filter(|message| !message.is_empty());
        Ok(decision)
    }

    /// The JSON object.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        crate::control::encode(self)
    }
}

/// One line of bounded length.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect::<String>().trim().to_owned()
}
