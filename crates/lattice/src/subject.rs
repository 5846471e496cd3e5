//! Every address of the lattice: subjects, queue groups, KV buckets and keys, object-store names.
//!
//! Owns the spelling and nothing else: rendering and parsing of a form sit beside each other here, and no other file
//! of the workspace spells one. Invariant: what is rendered parses back to the same value.

mod control;
mod permissions;
mod rpc;
mod store;

use crate::LatticeId;

pub use control::{Answers, ConfigKey, ControlRoot, ControlSubject, HostCommand, OPERATIONS, Operation, Subscription};
pub use permissions::{Permissions, Role};
pub use rpc::RpcSubject;
pub use store::{
    LatticeKey, config_bucket, config_key, is_owner_key, lattice_bucket, object_bucket, object_metadata, object_stream,
    owned_by_key, owner_key, parse_config_key, request_object, response_object, revocation_bucket, revocation_key,
};

/// Why a text is not a subject, bucket key or subject prefix of the lattice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It belongs to another root or another lattice.
    #[error("`{subject}` is not a subject of `{root}`")]
    Elsewhere {
        /// The subject.
        subject: String,
        /// Where it should have been.
        root: String,
    },
    /// Under the right root, but nothing is served there.
    #[error("unsupported subject")]
    Unsupported {
        /// The subject.
        subject: String,
    },
    /// A token of it is not the id or name it should be.
    #[error("`{token}` is not a valid {what}")]
    Token {
        /// The token.
        token: String,
        /// What it should be.
        what: &'static str,
    },
    /// A subject prefix is not a row of plain subject tokens.
    #[error("`{prefix}` is not a subject prefix: use tokens joined by `.`, without `*`, `>` or white space")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
}

impl SubjectError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Elsewhere { .. } => "subject_elsewhere",
            Self::Unsupported { .. } => "unsupported_subject",
            Self::Token { .. } => "invalid_subject_token",
            Self::Prefix { .. } => "invalid_subject_prefix",
        }
    }
}

fn token<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, SubjectError> {
    text.parse().map_err(|_| SubjectError::Token { token: text.to_owned(), what })
}

/// What follows `root.` in `subject`.
fn under<'s>(root: &str, subject: &'s str) -> Result<&'s str, SubjectError> {
    subject
        .strip_prefix(root)
        .and_then(|rest| rest.strip_prefix('.'))
        .ok_or_else(|| SubjectError::Elsewhere { subject: subject.to_owned(), root: root.to_owned() })
}

const EVENT_ROOT: &str = "wasmbus.evt";

/// The subject that carries every event of the lattice.
#[must_use]
pub fn events(lattice: &LatticeId) -> String {
    format!("{EVENT_ROOT}.{lattice}")
}

/// The subject that carries the events of one name; each event goes here and to [`events`].
#[must_use]
pub fn event(lattice: &LatticeId, name: &str) -> String {
    format!("{EVENT_ROOT}.{lattice}.{name}")
}

/// The event name in a subject made by [`event`], `None` for the subject of [`events`].
///
/// # Errors
/// When it is not an event subject of this lattice.
pub fn parse_event<'s>(lattice: &LatticeId, subject: &'s str) -> Result<Option<&'s str>, SubjectError> {
    let root = events(lattice);
    if subject == root {
        return Ok(None);
    }
    match under(&root, subject)? {
        name if !name.is_empty() && !name.contains('.') => Ok(Some(name)),
        _ => Err(SubjectError::Unsupported { subject: subject.to_owned() }),
    }
}

/// The subject on which a host asks the config service for registry credentials when it starts.
#[must_use]
pub fn config_service(lattice: &LatticeId) -> String {
    format!("wasmbus.cfg.{lattice}.req")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn event_subjects_round_trip() {
        let lattice: LatticeId = "l".parse().unwrap();
        assert_eq!(events(&lattice), "wasmbus.evt.l");
        assert_eq!(event(&lattice, "actor_scaled"), "wasmbus.evt.l.actor_scaled");
        assert_eq!(parse_event(&lattice, &events(&lattice)), Ok(None));
        assert_eq!(parse_event(&lattice, &event(&lattice, "actor_scaled")), Ok(Some("actor_scaled")));
        assert_eq!(parse_event(&lattice, "wasmbus.evt.l.a.b").unwrap_err().code(), "unsupported_subject");
        assert_eq!(parse_event(&lattice, "wasmbus.evt.l2.a").unwrap_err().code(), "subject_elsewhere");
        assert_eq!(config_service(&lattice), "wasmbus.cfg.l.req");
    }
}
