//! Why a revocation list is refused.

use super::entry::Revoked;
use crate::key::{KeyError, KeyKind, PublicKey};
use crate::token::TokenError;

/// Why a revocation list is refused.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// The token itself is at fault: forged, damaged, of another kind.
    #[error("the revocation list does not hold")]
    Token(#[source] TokenError),
    /// More than the lattice state takes as one value.
    #[error("the signed list has {found} bytes, more than the {limit} allowed: shorten reasons or drop old entries")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// Signed by a key that revokes nothing.
    #[error("`{signer}` is a key of kind `{found}`: lists are signed by a cluster key or an account")]
    WrongSigner {
        /// The key.
        signer: PublicKey,
        /// What it is.
        found: KeyKind,
    },
    /// It has an `exp` or `nbf`.
    #[error("a revocation list has no `exp` or `nbf`: it holds until one with a higher number replaces it")]
    Timed,
    /// Its subject cannot be the name of a lattice.
    #[error("`{found}` is not the name of a lattice")]
    NotALattice {
        /// The subject.
        found: String,
    },
    /// Numbers start at 1.
    #[error("the number of a revocation list is at least 1")]
    NumberZero,
    /// Too many entries.
    #[error("the revocation list has {found} entries, more than the {limit} allowed: revoke issuers instead")]
    TooManyEntries {
        /// Entries it has.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// One thing named twice.
    #[error("the revocation list names `{revoked}` twice")]
    Duplicate {
        /// What.
        revoked: Revoked,
    },
    /// An entry without, or with more than one, of the members that say what is revoked.
    #[error("entry {index} of the revocation list must have one of `issuer`, `actor`, `provider` and `digest`")]
    NotOneThing {
        /// Which, counted from zero.
        index: usize,
    },
    /// A reason of the wrong size.
    #[error("the reason for `{revoked}` has {found} bytes, more than the {limit} allowed")]
    ReasonTooLong {
        /// What is revoked.
        revoked: Revoked,
        /// Bytes it has.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// A reason that would write over the terminal it is shown on.
    #[error("the reason for `{revoked}` contains control characters")]
    ReasonNotPlain {
        /// What is revoked.
        revoked: Revoked,
    },
    /// Not a word for what can be revoked.
    #[error("`{found}` cannot be revoked: use issuer, actor, provider or digest")]
    UnknownKind {
        /// What was written.
        found: String,
    },
    /// Not the key it should be.
    #[error("`{found}` is not the id it should be")]
    NotAnId {
        /// What was written.
        found: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Not a digest.
    #[error("`{found}` is not a digest: write `sha256:` and 64 lower-case hex digits")]
    NotADigest {
        /// What was written.
        found: String,
    },
}

impl RevocationError {
    /// Stable word for logs, tests and replies; that of the token or key where it is at fault.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(source) => source.code(),
            Self::TooLarge { .. } => "revocations_too_large",
            Self::WrongSigner { .. } => "wrong_revocation_signer",
            Self::Timed => "revocations_timed",
            Self::NotALattice { .. } => "not_a_lattice",
            Self::NumberZero => "revocations_number",
            Self::TooManyEntries { .. } => "too_many_revocations",
            Self::Duplicate { .. } => "duplicate_revocation",
            Self::NotOneThing { .. } => "malformed_revocation",
            Self::ReasonTooLong { .. } | Self::ReasonNotPlain { .. } => "revocation_reason",
            Self::UnknownKind { .. } => "unknown_revocation_kind",
            Self::NotAnId { source, .. } => source.code(),
            Self::NotADigest { .. } => "not_a_digest",
        }
    }
}

impl From<TokenError> for RevocationError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::TooLarge { found, limit } => Self::TooLarge { found, limit },
            other => Self::Token(other),
        }
    }
}
