//! How a call ends when it does not end with an answer.
//!
//! Every call in the lattice returns bytes or one [`CallError`], which names the step that failed. The variant's
//! [`CallError::code`] is stable and travels beside the 0.82 envelope; the sentence is for people and may change.

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The caller's signed claims do not name the contract.
    #[error("the signed claims of `{caller}` do not grant `{contract}`")]
    NotGranted {
        /// The actor that called, or was to be called.
        caller: String,
        /// The contract that is missing from its claims.
        contract: String,
    },
    /// No link binds the actor to a provider for this contract and link name.
    #[error("actor `{actor}` has no link `{link_name}` for `{contract}`")]
    NotLinked {
        /// The actor.
        actor: String,
        /// The contract.
        contract: String,
        /// The link name.
        link_name: String,
    },
    /// The callee is neither a public key nor a known call alias.
    #[error("no actor is known by the id or call alias `{name}`")]
    UnknownActor {
        /// What the caller wrote.
        name: String,
    },
    /// Nobody in the lattice serves the target.
    #[error("`{target}` is not running on any host of the lattice")]
    NotRunning {
        /// The actor or provider that was called.
        target: String,
    },
    /// Every instance is taken and the queue is full.
    #[error("`{target}` is busy: all {limit} instances are in use and its queue is full")]
    Busy {
        /// The actor that was called.
        target: String,
        /// Its `max_instances`.
        limit: u32,
    },
    /// What a host has for all calls together is in use, and more of it than this one may have.
    #[error("`{target}` is busy: {what}")]
    NoRoom {
        /// What was called, or the host.
        target: String,
        /// What is in use, with its bound.
        what: String,
        /// Whether the call was begun. One that was not may be made elsewhere.
        begun: bool,
    },
    /// The deadline passed.
    #[error("deadline exceeded while {step}")]
    DeadlineExceeded {
        /// What was being done when time ran out.
        step: String,
    },
    /// The guest trapped.
    #[error("guest trapped: {message}")]
    Trap {
        /// Trap kind and innermost frames.
        message: String,
    },
    /// A limit of the actor was reached.
    #[error("limit exceeded: {limit}")]
    LimitExceeded {
        /// Which limit, with its value.
        limit: String,
    },
    /// The guest or provider answered with an error of its own.
    #[error("{message}")]
    Reported {
        /// The text as reported.
        message: String,
    },
    /// The target has no such operation.
    #[error("`{target}` does not handle operation `{operation}`")]
    Unsupported {
        /// The actor or provider.
        target: String,
        /// The operation in its wire form, `Trait.Method`.
        operation: String,
    },
    /// An argument or a result could not be decoded.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// Which payload.
        what: String,
        /// Decoder's reason.
        reason: String,
    },
    /// The invocation's signature, hash, issuer or origin is not acceptable.
    #[error("{reason}")]
    Unauthorized {
        /// Which check failed.
        reason: String,
    },
    /// The policy service does not permit the call.
    #[error("the policy service denies this call{}: request `{request_id}`", said(message))]
    PolicyDenied {
        /// The question that was answered with no.
        request_id: String,
        /// The service's words, where it has any.
        message: Option<String>,
    },
    /// The policy service did not answer, and its absence means no.
    #[error("no decision of the policy service: {reason}; this host denies then (`--policy-default deny`)")]
    PolicyUnanswered {
        /// Why there is none.
        reason: String,
    },
    /// The NATS server does not let this host or tool use a subject of the call.
    #[error("NATS forbids to use `{subject}`: {reason}")]
    Forbidden {
        /// The subject.
        subject: String,
        /// What the server said.
        reason: String,
    },
    /// The target may exist, but cannot be reached now (broker away, provider unhealthy).
    #[error("cannot reach `{target}`: {reason}")]
    Unreachable {
        /// The actor or provider.
        target: String,
        /// Why.
        reason: String,
    },
    /// Another host answered with an error and its code.
    #[error("{message}")]
    Remote {
        /// The stable code the other host sent.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// The host itself failed; this is a bug of ours.
    #[error("host fault: {message}")]
    HostFault {
        /// What went wrong.
        message: String,
    },
}

impl CallError {
    /// Stable word for logs, metrics, tests, docs and the wire. The sentence may change; this may not.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::NotGranted { .. } => "not_granted",
            Self::NotLinked { .. } => "not_linked",
            Self::UnknownActor { .. } => "unknown_actor",
            Self::NotRunning { .. } => "not_running",
            Self::Busy { .. } | Self::NoRoom { .. } => "busy",
            Self::DeadlineExceeded { .. } => "deadline_exceeded",
            Self::Trap { .. } => "trap",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::Reported { .. } => "reported",
            Self::Unsupported { .. } => "unsupported",
            Self::Malformed { .. } => "malformed",
            Self::Unauthorized { .. } => "unauthorized",
            Self::PolicyDenied { .. } => "policy_denied",
            Self::PolicyUnanswered { .. } => "policy_unanswered",
            Self::Forbidden { .. } => "nats_forbidden",
            Self::Unreachable { .. } => "unreachable",
            Self::Remote { code, .. } => code,
            Self::HostFault { .. } => "host_fault",
        }
    }

    /// A failure as another host reported it: with its code when it sent one, else as a report. Its text is bounded and
    /// cleaned.
    #[must_use]
    pub fn from_wire(code: Option<&str>, message: String) -> Self {
        let error = match code {
            None | Some("reported") => Self::Reported { message },
            Some(code) => {
                Self::Remote { code: code.chars().filter(char::is_ascii_graphic).take(64).collect(), message }
            }
        };
        error.tidied()
    }

    /// Whether this is how `target` turns a call away for want of room, before anything of it was begun: another host may
    /// be asked.
    #[must_use]
    pub fn turned_away_by(&self, target: &str) -> bool {
        match self {
            Self::Busy { target: full, .. } | Self::NoRoom { target: full, begun: false, .. } => full == target,
            _ => false,
        }
    }
}

fn said(message: &Option<String>) -> String {
    message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default()
}
