//! Sessions: many calls from one host of ours to another under one pair of keys, in place of a signature per call.
//!
//! Owns the bytes of handshakes and batches, the keys and what must hold before anything is believed; knows no
//! connection, no clock and no host. A session carries calls one way, from the host that asked for it to the host that
//! granted it, and answers back. Invariants: nothing of a batch is read before its code (HMAC-SHA256) holds; a batch is
//! accepted once; a key is bound to lattice, both hosts, both cluster keys and the direction; keys wipe themselves.
//!
//! Numbers are big-endian. A `text8` is a length byte and UTF-8, a `text16` two length bytes and UTF-8.

mod acquaintance;
mod batch;
mod entry;
mod envelope;
mod handshake;
mod keys;
mod reader;
mod refusal;
mod window;

pub use acquaintance::{Acquaintances, PROOF_HEADER};
pub use batch::{BatchKind, Draft, HEADER_BYTES, Header, MAC_BYTES, MAX_BATCH_BYTES, MAX_ENTRIES, Opened};
pub use entry::{Answer, CallEntry, CallParts, FromCallee, FromCaller, large_result};
pub use envelope::Parties;
pub use handshake::{Asked, Glance, Granted, Hello, MAX_APART, MAX_LIFETIME, Welcome};
pub use keys::{Ephemeral, MacKey, SessionKeys};
pub use refusal::{Refusal, Unknown};
pub use window::Window;

use std::fmt;

/// Which version of the format this is; hosts that speak it say so in `sessions` of their inventory.
pub const VERSION: u8 = 1;

/// Names one session; chosen by the host that grants it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// A new one, that nobody can guess.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    #[must_use]
    pub fn random() -> Self {
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the operating system provides randomness");
        Self(id)
    }

    /// The text that names one batch of a session: `{session}-{number}`.
    #[must_use]
    pub fn batch(self, number: u64) -> String {
        format!("{self}-{number}")
    }

    /// Reads what [`SessionId::batch`] rendered.
    #[must_use]
    pub fn parse_batch(text: &str) -> Option<(Self, u64)> {
        let (session, number) = text.split_once('-')?;
        let session = data_encoding::HEXLOWER.decode(session.as_bytes()).ok()?.try_into().ok()?;
        Some((Self(session), number.parse().ok()?))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a handshake or a batch is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The bytes are not what they should be.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// Which message.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another version of the format, or not this format at all.
    #[error("version {found} of the session format is not spoken here")]
    Version {
        /// What was found.
        found: u8,
    },
    /// It is about another lattice.
    #[error("the handshake is for another lattice")]
    Lattice,
    /// It is for, or from, another host.
    #[error("the handshake is for another host")]
    Host,
    /// The cluster key is not trusted.
    #[error("the cluster key `{issuer}` is not trusted here")]
    UntrustedIssuer {
        /// The key.
        issuer: String,
    },
    /// The signature does not hold.
    #[error("the signature of the handshake does not hold")]
    Signature,
    /// The clocks are too far apart, or it is old.
    #[error("the handshake was made too long ago, or the clocks of the hosts are more than 90 minutes apart")]
    Time,
    /// It was seen before.
    #[error("this was seen before")]
    Replayed,
    /// It answers another handshake.
    #[error("the answer belongs to another handshake")]
    OtherHandshake,
    /// The public key of the other side allows no secret.
    #[error("the ephemeral key of the other side is weak")]
    WeakKey,
    /// More bytes, or more entries, than a batch may have.
    #[error("the batch is larger than a batch may be")]
    TooLarge,
    /// The code of a batch does not hold.
    #[error("the code of the batch does not hold")]
    Code,
    /// The session is not, or no longer, known.
    #[error("the session is not known")]
    UnknownSession,
    /// More handshakes than are looked at.
    #[error("there are more handshakes than this host looks at")]
    Busy,
}

impl SessionError {
    /// Stable word for logs, tests and the wire.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed_session_message",
            Self::Version { .. } => "session_version",
            Self::Lattice => "session_lattice",
            Self::Host => "session_host",
            Self::UntrustedIssuer { .. } => "untrusted_issuer",
            Self::Signature => "session_signature",
            Self::Time => "session_time",
            Self::Replayed => "session_replayed",
            Self::OtherHandshake => "session_other_handshake",
            Self::WeakKey => "session_weak_key",
            Self::TooLarge => "session_too_large",
            Self::Code => "session_code",
            Self::UnknownSession => "unknown_session",
            Self::Busy => "session_busy",
        }
    }
}
