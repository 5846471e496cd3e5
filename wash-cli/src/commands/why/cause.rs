//! The causes `wash why` knows: a stable code each, and the usual thing to do.

use lattice::invocation::UNTRUSTED_ISSUER;

/// A stable word for a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The claims do not name the contract.
    MissingClaim,
    /// There is no such link.
    MissingLink,
    /// The link is for a contract that its provider does not serve, or for another than was asked for.
    WrongContract,
    /// The link, or the provider, goes by another link name.
    WrongLinkName,
    /// The provider of the link runs nowhere.
    ProviderNotRunning,
    /// Its process ended, or does not answer.
    ProviderDead,
    /// It says that it cannot work.
    ProviderUnhealthy,
    /// It does not serve the link.
    LinkRefused,
    /// The policy service says no.
    PolicyDenied,
    /// The policy service does not answer, and then the host says no.
    PolicyUnanswered,
    /// The actor runs nowhere.
    ActorNotRunning,
    /// All instances are taken.
    ActorFull,
    /// A revocation list names it.
    Revoked,
    /// Its issuer, or the cluster key of a call, is not trusted.
    UntrustedIssuer,
    /// No host has the labels.
    NoHostMatches,
    /// No host that has the labels offers to run it.
    NoHostOffers,
    /// The NATS server does not let somebody use a subject.
    NatsPermissionMissing,
    /// The host's connection to NATS is down.
    NatsAway,
    /// The NATS server does not know the host.
    NatsDenied,
    /// TLS with the NATS server fails.
    NatsTls,
    /// JetStream does not let the lattice have its buckets.
    StoreRefused,
    /// An argument or result is larger than allowed.
    PayloadTooLarge,
    /// The call takes longer than it may.
    DeadlineTooShort,
    /// Whatever else a host reports, with its own code.
    Other(String),
}

impl Code {
    /// The word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::MissingClaim => "missing_claim",
            Self::MissingLink => "missing_link",
            Self::WrongContract => "wrong_contract",
            Self::WrongLinkName => "wrong_link_name",
            Self::ProviderNotRunning => "provider_not_running",
            Self::ProviderDead => "provider_dead",
            Self::ProviderUnhealthy => "provider_unhealthy",
            Self::LinkRefused => "link_refused",
            Self::PolicyDenied => "policy_denied",
            Self::PolicyUnanswered => "policy_unanswered",
            Self::ActorNotRunning => "actor_not_running",
            Self::ActorFull => "actor_full",
            Self::Revoked => "revoked",
            Self::UntrustedIssuer => "untrusted_issuer",
            Self::NoHostMatches => "no_host_matches",
            Self::NoHostOffers => "no_host_offers",
            Self::NatsPermissionMissing => "nats_permission_missing",
            Self::NatsAway => "nats_away",
            Self::NatsDenied => "nats_denied",
            Self::NatsTls => "nats_tls",
            Self::StoreRefused => "store_refused",
            Self::PayloadTooLarge => "payload_too_large",
            Self::DeadlineTooShort => "deadline_too_short",
            Self::Other(code) => code,
        }
    }

    /// What a host reported, as a cause.
    pub fn of_report(code: &str, message: &str) -> Self {
        match code {
            "busy" => Self::ActorFull,
            "deadline_exceeded" => Self::DeadlineTooShort,
            "limit_exceeded" if is_about_size(message) => Self::PayloadTooLarge,
            "untrusted_issuer" => Self::UntrustedIssuer,
            // The protocol has no code for it; this text is fixed there (section 1.6).
            "unauthorized" if message.ends_with(UNTRUSTED_ISSUER) => Self::UntrustedIssuer,
            "unauthorized" if message.contains("revoked") => Self::Revoked,
            "revoked" => Self::Revoked,
            "policy_denied" => Self::PolicyDenied,
            "policy_unanswered" => Self::PolicyUnanswered,
            "nats_forbidden" => Self::NatsPermissionMissing,
            "link_refused" => Self::LinkRefused,
            "provider_dead" => Self::ProviderDead,
            other => Self::Other(other.to_owned()),
        }
    }

    /// What to do about it where nothing better can be said.
    pub fn usual_step(&self) -> &'static str {
        match self {
            Self::MissingClaim => "sign the actor again with `--cap CONTRACT`, and update it with `wash update actor`",
            Self::MissingLink => "link it with `wash link put ACTOR PROVIDER CONTRACT`",
            Self::WrongContract => "put the link for the contract that the provider serves, and delete this one",
            Self::WrongLinkName => "call it by that link name, or put a link of the name the actor uses",
            Self::ProviderNotRunning => "start it with `wash start provider REFERENCE`",
            Self::ProviderDead => "read the log of its host: it says how the process ended",
            Self::ProviderUnhealthy => "repair what the provider names, such as the server it connects to",
            Self::LinkRefused => "put the link again with values that the provider takes",
            Self::PolicyDenied => "have the policy service permit it; it knows the request by the id above",
            Self::PolicyUnanswered => "start the policy service, or run the host with `--policy-default permit`",
            Self::ActorNotRunning => "start it with `wash start actor REFERENCE`",
            Self::ActorFull => "give it more instances with `wash scale actor`, or start it on another host",
            Self::Revoked => "use a version that is not revoked; `wash claims revocations` shows the lists",
            Self::UntrustedIssuer => {
                "trust the account: a provider's with `wash keys trust`, any other with `--allowed-issuer` of the host"
            }
            Self::NoHostMatches => "set the label with `wash label HOST key=value`, or change `--constraint`",
            Self::NoHostOffers => "start it with `--host-id` to hear the reason of one host",
            Self::NatsPermissionMissing => "give this NATS user the permissions of its role: `docs/nats.md`",
            Self::NatsAway => "start the NATS server, or repair the way to it",
            Self::NatsDenied => "give the host credentials of a user of the NATS server, such as `--nats-creds FILE`",
            Self::NatsTls => "compare the TLS settings of the host and of the NATS server: `docs/nats.md`",
            Self::StoreRefused => {
                "let the account have JetStream, or make the buckets smaller with `--bucket-max-bytes`: `docs/nats.md`"
            }
            Self::PayloadTooLarge => "send less at a time, or raise the limit: `wash start actor --limit payload=SIZE`",
            Self::DeadlineTooShort => {
                "give the call more time (`--rpc-timeout-ms` of the host, `timeout_ms` of the link), or find what is slow"
            }
            Self::Other(code) => match code.as_str() {
                "reported" => "this is what the actor or provider itself answers: act on its message",
                "trap" => "correct the actor: the message says where its code failed",
                "limit_exceeded" => "raise the limit with `wash start actor … --limit NAME=VALUE`, or use less",
                "malformed" | "unsupported" => "use versions of both ends that agree on the contract",
                "host_fault" => "this is a fault of that host: its log says more",
                _ => "act on the message above, then ask again",
            },
        }
    }
}

/// A size was the limit, of an argument, a result or a message.
fn is_about_size(message: &str) -> bool {
    ["payload", "response_bytes", "messages of at most", "argument of"].iter().any(|word| message.contains(word))
}

/// Where the chain breaks, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The word.
    pub code: Code,
    /// What is the case.
    pub sentence: String,
    /// The one thing to do.
    pub next: String,
}

impl Cause {
    /// A cause with its own next step.
    pub fn new(code: Code, sentence: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), next: next.into() }
    }

    /// A cause with the usual next step.
    pub fn usual(code: Code, sentence: impl Into<String>) -> Self {
        let next = code.usual_step();
        Self::new(code, sentence, next)
    }
}
