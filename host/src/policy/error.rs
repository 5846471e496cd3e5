//! Why the policy stands in the way of an action.

use std::{fmt, sync::Arc};

use contracts::CallError;
use lattice::policy::PolicyAction;

use super::Decision;

/// Why the policy stands in the way of an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The service said no.
    #[error("the policy service denies `{action}`{}: request `{request_id}`", Said(message))]
    Denied {
        /// What was to be done.
        action: PolicyAction,
        /// The question as the service knows it.
        request_id: Arc<str>,
        /// Its words, where it has any.
        message: Option<Arc<str>>,
    },
    /// There is no decision, and then this host denies.
    #[error(
        "no decision of the policy service on `{action}`: {silence}; this host denies then (`--policy-default deny`)"
    )]
    Unanswered {
        /// What was to be done.
        action: PolicyAction,
        /// Why there is no decision.
        silence: Silence,
    },
}

impl PolicyError {
    /// Stable word for logs, tests and docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "policy_denied",
            Self::Unanswered { .. } => "policy_unanswered",
        }
    }

    /// Whether the same question may be answered otherwise later without anybody changing anything here.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }
}

impl From<PolicyError> for CallError {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Denied { request_id, message, .. } => Self::PolicyDenied {
                request_id: request_id.to_string(),
                message: message.map(|message| message.to_string()),
            },
            PolicyError::Unanswered { silence, .. } => Self::PolicyUnanswered { reason: silence.to_string() },
        }
    }
}

impl Decision {
    pub(super) fn outcome(self, action: PolicyAction) -> Result<(), PolicyError> {
        if self.permitted {
            return Ok(());
        }
        Err(PolicyError::Denied { action, request_id: self.request_id, message: self.message })
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// This host runs without NATS.
    #[error("this host runs without NATS")]
    NoNats,
    /// The broker is away.
    #[error("NATS is away")]
    Away,
    /// Nobody listens on the topic.
    #[error("nobody listens on `{topic}`")]
    Nobody {
        /// The topic.
        topic: String,
    },
    /// No answer in time.
    #[error("no answer on `{topic}` within {within_ms} ms")]
    Late {
        /// The topic.
        topic: String,
        /// How long it was waited for, milliseconds.
        within_ms: u64,
    },
    /// An answer that is none.
    #[error("the answer is unusable: {reason}")]
    Unusable {
        /// What is wrong with it.
        reason: String,
    },
    /// More questions than are asked at a time.
    #[error("{most} questions wait for an answer already")]
    TooMany {
        /// The bound.
        most: usize,
    },
    /// The host ends.
    #[error("this host is stopping")]
    Stopping,
}

struct Said<'a>(&'a Option<Arc<str>>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |message| write!(f, " ({message})"))
    }
}
