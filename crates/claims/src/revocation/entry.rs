//! One entry of a list: what is revoked, why, and since when.
//!
//! Invariant: a [`Revoked`] and its kind word with its text are the same thing in two forms, see [`Revoked::parse`].

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::Digest as _;

use super::error::RevocationError;
use crate::id::{AccountId, ActorId, ProviderId};
use crate::jwt::excerpt;
use crate::key::PublicKey;

/// Entries of one list.
pub const MAX_ENTRIES: usize = 4096;
/// Bytes of one reason.
pub const MAX_REASON: usize = 256;

/// What is known about an artifact that is about to run, or runs.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The account that signed it.
    pub issuer: AccountId,
    /// The actor or provider it is.
    pub subject: &'a PublicKey,
    /// Digests under which it is known: of the artifact, of its manifest.
    pub digests: &'a [Sha256],
}

/// A SHA-256 digest, in text `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

const SHA256: &str = "sha256:";

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Takes 64 hex digits of either case, as claims spell hashes.
    pub fn from_hex(hex: &str) -> Option<Self> {
        if hex.len() != 64 {
            return None;
        }
        HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SHA256}{}", HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = RevocationError;

    /// Takes exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Self, RevocationError> {
        let lower = |hex: &&str| !hex.bytes().any(|byte| byte.is_ascii_uppercase());
        text.strip_prefix(SHA256)
            .filter(lower)
            .and_then(Self::from_hex)
            .ok_or_else(|| RevocationError::NotADigest { found: excerpt(text) })
    }
}

/// What is no longer trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revoked {
    /// Everything an account signed.
    Issuer(AccountId),
    /// An actor, whoever signed it.
    Actor(ActorId),
    /// A provider, whoever signed it.
    Provider(ProviderId),
    /// An artifact, by the digest of its bytes or of its manifest.
    Digest(Sha256),
}

impl Revoked {
    /// The words of [`Revoked::kind`].
    pub const KINDS: [&'static str; 4] = ["issuer", "actor", "provider", "digest"];

    /// Takes a kind word and the text of what is revoked.
    ///
    /// # Errors
    /// When the word names no kind, or the text is not of that kind.
    pub fn parse(kind: &str, text: &str) -> Result<Self, RevocationError> {
        let not_a_key = |source| RevocationError::NotAnId { found: excerpt(text), source };
        match kind {
            "issuer" => Ok(Self::Issuer(text.parse().map_err(not_a_key)?)),
            "actor" => Ok(Self::Actor(text.parse().map_err(not_a_key)?)),
            "provider" => Ok(Self::Provider(text.parse().map_err(not_a_key)?)),
            "digest" => Ok(Self::Digest(text.parse()?)),
            _ => Err(RevocationError::UnknownKind { found: excerpt(kind) }),
        }
    }

    /// The word for what it is: `issuer`, `actor`, `provider`, `digest`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Issuer(_) => "issuer",
            Self::Actor(_) => "actor",
            Self::Provider(_) => "provider",
            Self::Digest(_) => "digest",
        }
    }

    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Issuer(id) => *id == facts.issuer,
            Self::Actor(id) => id.public_key() == *facts.subject,
            Self::Provider(id) => id.public_key() == *facts.subject,
            Self::Digest(digest) => facts.digests.contains(digest),
        }
    }
}

/// The text alone: a key, or a digest.
impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer(id) => id.fmt(f),
            Self::Actor(id) => id.fmt(f),
            Self::Provider(id) => id.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is revoked.
    pub revoked: Revoked,
    /// Why, for people: at most [`MAX_REASON`] bytes on one line.
    pub reason: Option<String>,
    /// Seconds since 1970 at which it was revoked. For people; it counts at once.
    pub since: u64,
}

impl Entry {
    pub(super) fn check(&self) -> Result<(), RevocationError> {
        let Some(reason) = &self.reason else { return Ok(()) };
        if reason.len() > MAX_REASON {
            let (revoked, found) = (self.revoked, reason.len());
            return Err(RevocationError::ReasonTooLong { revoked, found, limit: MAX_REASON });
        }
        if reason.chars().any(char::is_control) {
            return Err(RevocationError::ReasonNotPlain { revoked: self.revoked });
        }
        Ok(())
    }
}
