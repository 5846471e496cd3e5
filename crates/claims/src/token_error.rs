//! Why a token is refused.

use crate::key::{KeyError, KeyKind, PublicKey};

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Larger than any honest token.
    #[error("the token has {found} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// Not three segments.
    #[error("a token has three segments separated by dots, this text has {found}")]
    Segments {
        /// Segments found.
        found: usize,
    },
    /// A segment is not base64url without padding.
    #[error("the {part} of the token is not base64url without padding")]
    Encoding {
        /// Which segment.
        part: &'static str,
    },
    /// A segment is padded.
    #[error("the {part} of the token is padded with `=`, which tokens are not")]
    Padding {
        /// Which segment.
        part: &'static str,
    },
    /// A segment is not the JSON it should be.
    #[error("the {part} of the token cannot be read as JSON")]
    Json {
        /// Which segment.
        part: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The header names another algorithm.
    #[error("the token is signed with `{found}`, expected `Ed25519`")]
    WrongAlgorithm {
        /// What it names.
        found: String,
    },
    /// The header names another type.
    #[error("the token is of type `{found}`, expected `jwt`")]
    WrongType {
        /// What it names.
        found: String,
    },
    /// A member is empty.
    #[error("the token has an empty `{member}`")]
    Missing {
        /// Which member.
        member: &'static str,
    },
    /// The metadata is absent although the artifact needs it.
    #[error("the token says nothing about its subject: it has no `wascap`")]
    NoMetadata,
    /// Issuer or subject is not a key.
    #[error("the `{member}` of the token, `{found}`, is not a public key")]
    Entity {
        /// Which member.
        member: &'static str,
        /// What it holds.
        found: String,
        /// Why it is no key.
        source: KeyError,
    },
    /// The issuer is a key that does not sign claims of this kind.
    #[error("`{issuer}` is of kind `{found}`, but these claims are signed by a key of kind `{expected}`")]
    WrongIssuerKind {
        /// The issuer.
        issuer: PublicKey,
        /// Who signs claims of this kind.
        expected: KeyKind,
        /// What the issuer is.
        found: KeyKind,
    },
    /// The claims are about something else.
    #[error("the claims are about `{subject}` of kind `{found}`, expected claims about an entity of kind `{expected}`")]
    WrongSubjectKind {
        /// The subject.
        subject: PublicKey,
        /// What was wanted.
        expected: KeyKind,
        /// What the subject is.
        found: KeyKind,
    },
    /// Forged or damaged.
    #[error("the signature was not made by the issuer `{issuer}`, or the token was changed after signing")]
    SignatureInvalid {
        /// Who is said to have signed.
        issuer: PublicKey,
    },
    /// Its time is over.
    #[error("the claims expired {human}: sign again with a later expiry")]
    Expired {
        /// When, for people.
        human: String,
    },
    /// Its time has not come.
    #[error("the claims become valid {human}{}", clocks(.ahead.as_deref()))]
    NotYetValid {
        /// When, for people.
        human: String,
        /// How far this clock is behind the one by which they were signed, for people, if it is.
        ahead: Option<String>,
    },
    /// The key given for signing is not the issuer the claims name.
    #[error("the claims name `{named}` as issuer, but the signing key is `{signer}`")]
    IssuerMismatch {
        /// Who the claims name.
        named: PublicKey,
        /// Whose key was given.
        signer: PublicKey,
    },
    /// Another part of the program took over `jsonwebtoken`. A fault of the program, not of the token.
    #[error("another `jsonwebtoken` cryptography provider is installed in this process")]
    ForeignCryptography,
}

fn clocks(ahead: Option<&str>) -> String {
    ahead
        .map_or_else(String::new, |ahead| format!(", but were signed {ahead} from now: one of the two clocks is wrong"))
}

impl TokenError {
    /// Stable word for logs, tests and replies.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "token_too_large",
            Self::Segments { .. }
            | Self::Encoding { .. }
            | Self::Padding { .. }
            | Self::Json { .. }
            | Self::Missing { .. }
            | Self::NoMetadata
            | Self::Entity { .. } => "malformed_token",
            Self::WrongAlgorithm { .. } => "wrong_algorithm",
            Self::WrongType { .. } => "wrong_type",
            Self::WrongIssuerKind { .. } => "wrong_issuer_kind",
            Self::WrongSubjectKind { .. } => "wrong_subject_kind",
            Self::SignatureInvalid { .. } => "signature_invalid",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { ahead: None, .. } => "not_yet_valid",
            Self::NotYetValid { ahead: Some(_), .. } => "clock_skew",
            Self::IssuerMismatch { .. } => "issuer_mismatch",
            Self::ForeignCryptography => "foreign_cryptography",
        }
    }
}
