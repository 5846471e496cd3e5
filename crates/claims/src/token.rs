//! Signed claims: who says what about whom, and until when.
//!
//! The clock is an argument. Invariant: [`Claims::verify`] hands out claims only when the issuer may sign for the
//! subject, the signature holds and the time fits; [`Claims::inspect`] is for showing a token, not for trusting it.

pub use crate::token_error::TokenError;

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::human_time;
use crate::jwt::{self, Envelope, excerpt};
use crate::key::{KeyKind, KeyPair, PublicKey};
use crate::metadata::Metadata;

/// The revision of the signing rules which is written into new tokens.
pub const REVISION: u32 = 3;

/// A signed statement. It deserializes only through [`Claims::verify`] and [`Claims::inspect`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims<M> {
    /// Seconds since 1970 after which the claims are void; absent: never.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Unique id of this token.
    #[serde(rename = "jti")]
    pub id: String,
    /// Seconds since 1970 at which it was signed.
    #[serde(rename = "iat")]
    pub issued_at: u64,
    /// Who signs.
    #[serde(rename = "iss")]
    pub issuer: PublicKey,
    /// Who or what is described.
    #[serde(rename = "sub")]
    pub subject: String,
    /// Seconds since 1970 before which the claims are void; absent: valid at once.
    #[serde(rename = "nbf", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// What is said about the subject.
    #[serde(rename = "wascap", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<M>,
    /// Revision of the signing rules; absent counts as zero.
    #[serde(rename = "wascap_revision", skip_serializing_if = "Option::is_none")]
    pub wascap_revision: Option<u32>,
}

/// The same as read, before issuer and subject are known to be keys.
#[derive(Deserialize)]
struct Unchecked<'a, M> {
    exp: Option<u64>,
    jti: String,
    iat: u64,
    #[serde(borrow)]
    iss: Cow<'a, str>,
    sub: String,
    nbf: Option<u64>,
    wascap: Option<M>,
    wascap_revision: Option<u32>,
}

/// A token laid open, with the verdicts beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection<M> {
    /// What the token says, whether or not it is true.
    pub claims: Claims<M>,
    /// Its time is over.
    pub expired: bool,
    /// Its time has not come.
    pub not_yet_valid: bool,
    /// The issuer did sign it.
    pub signature_valid: bool,
    /// When it expires, for people: `never`, `in 16m`, `8h ago`.
    pub expires_human: String,
    /// When it starts to be valid, for people: `immediately`, `in 16m`, `8h ago`.
    pub not_before_human: String,
}

impl<M> Claims<M> {
    /// New claims with a fresh id, of the current revision, valid at once and for ever.
    pub fn new(issuer: PublicKey, subject: impl Into<String>, metadata: M, issued_at: u64) -> Self {
        Self {
            expires_at: None,
            id: new_token_id(),
            issued_at,
            issuer,
            subject: subject.into(),
            not_before: None,
            metadata: Some(metadata),
            wascap_revision: Some(REVISION),
        }
    }

    /// Whether the claims are void at `now` because their time is over.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at < now)
    }

    /// Whether the claims are void at `now` because their time has not come.
    pub fn is_not_yet_valid(&self, now: u64) -> bool {
        self.not_before.is_some_and(|at| now < at)
    }

    /// Checks the times alone.
    ///
    /// # Errors
    /// [`TokenError::Expired`] or [`TokenError::NotYetValid`].
    pub fn check_times(&self, now: u64) -> Result<(), TokenError> {
        if self.is_expired(now) {
            return Err(TokenError::Expired { human: human_time::expires(self.expires_at, now) });
        }
        if self.is_not_yet_valid(now) {
            // A token that comes from the future says that one of the two clocks is wrong.
            let ahead = (self.issued_at > now).then(|| human_time::distance(self.issued_at - now));
            return Err(TokenError::NotYetValid { human: human_time::not_before(self.not_before, now), ahead });
        }
        Ok(())
    }
}

impl<M: Metadata + Serialize> Claims<M> {
    /// Signs the claims.
    ///
    /// # Errors
    /// When `issuer` is not the issuer the claims name, or may not sign claims of this kind.
    pub fn sign(&self, issuer: &KeyPair) -> Result<String, TokenError> {
        if issuer.public() != self.issuer {
            return Err(TokenError::IssuerMismatch { named: self.issuer, signer: issuer.public() });
        }
        check_kinds::<M>(self.issuer, &self.subject)?;
        let json = serde_json::to_vec(self).map_err(|source| TokenError::Json { part: "claims", source })?;
        jwt::sign(&json, issuer)
    }
}

impl<M: Metadata + DeserializeOwned> Claims<M> {
    /// Lays a token open, also when it is forged or its time is over: the verdicts are part of the answer.
    ///
    /// Whether the issuer may sign for the subject is not among them; [`Claims::verify`] checks it.
    ///
    /// # Errors
    /// When the text is not a token, or its metadata is not of this kind.
    pub fn inspect(token: &str, now: u64) -> Result<Inspection<M>, TokenError> {
        let envelope = Envelope::open(token)?;
        let claims = Self::parse(&envelope.claims)?;
        Ok(Inspection {
            expired: claims.is_expired(now),
            not_yet_valid: claims.is_not_yet_valid(now),
            signature_valid: envelope.is_signed_by(&claims.issuer)?,
            expires_human: human_time::expires(claims.expires_at, now),
            not_before_human: human_time::not_before(claims.not_before, now),
            claims,
        })
    }

    /// Takes the claims out of a token that holds now.
    ///
    /// # Errors
    /// When the token is not of this kind, is forged, or its time is over or has not come.
    pub fn verify(token: &str, now: u64) -> Result<Self, TokenError> {
        let claims = Self::verify_signature(token)?;
        claims.check_times(now)?;
        Ok(claims)
    }

    /// As [`Claims::verify`], but what the claims say is checked by the caller, times and all, and before the signature,
    /// which costs many times as much.
    ///
    /// # Errors
    /// Whatever `check` refuses, and when the token is not of this kind, or is forged.
    pub fn verify_after<E: From<TokenError>>(
        token: &str,
        check: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        let envelope = Envelope::open(token)?;
        let claims = Self::parse(&envelope.claims)?;
        check(&claims)?;
        if !envelope.is_signed_by(&claims.issuer)? {
            return Err(TokenError::SignatureInvalid { issuer: claims.issuer }.into());
        }
        check_kinds::<M>(claims.issuer, &claims.subject)?;
        Ok(claims)
    }

    /// As [`Claims::verify`], but the time is left to the caller.
    ///
    /// # Errors
    /// When the token is not of this kind, or is forged.
    pub fn verify_signature(token: &str) -> Result<Self, TokenError> {
        Self::verify_after(token, |_| Ok(()))
    }

    fn parse(json: &[u8]) -> Result<Self, TokenError> {
        match serde_json::from_slice::<Unchecked<'_, M>>(json) {
            Ok(unchecked) => unchecked.check(),
            Err(source) => Err(explain::<M>(json).unwrap_or(TokenError::Json { part: "claims", source })),
        }
    }
}

impl<M: DeserializeOwned> Claims<M> {
    /// Reads claims of any kind. Who may sign whom is left to the caller, and so is the signature.
    pub(crate) fn parse_unkinded(json: &[u8]) -> Result<Self, TokenError> {
        let unchecked: Unchecked<'_, M> =
            serde_json::from_slice(json).map_err(|source| TokenError::Json { part: "claims", source })?;
        unchecked.check()
    }
}

impl<M> Unchecked<'_, M> {
    fn check(self) -> Result<Claims<M>, TokenError> {
        let issuer = check_entities(&self.iss, &self.sub)?;
        Ok(Claims {
            expires_at: self.exp,
            id: self.jti,
            issued_at: self.iat,
            issuer,
            subject: self.sub,
            not_before: self.nbf,
            metadata: self.wascap,
            wascap_revision: self.wascap_revision,
        })
    }
}

/// The kind of key a token is about, without checking anything else. `None`: its subject is not a key.
///
/// # Errors
/// When the text is not a token.
pub fn subject_kind(token: &str) -> Result<Option<KeyKind>, TokenError> {
    let envelope = Envelope::open(token)?;
    let claims: Unchecked<'_, IgnoredAny> =
        serde_json::from_slice(&envelope.claims).map_err(|source| TokenError::Json { part: "claims", source })?;
    Ok(claims.sub.parse::<PublicKey>().ok().map(|key| key.kind()))
}

/// Metadata that does not parse usually belongs to a token of another kind; that is the better message then.
fn explain<M: Metadata>(json: &[u8]) -> Option<TokenError> {
    let unchecked: Unchecked<'_, IgnoredAny> = serde_json::from_slice(json).ok()?;
    check_entities(&unchecked.iss, &unchecked.sub).and_then(|issuer| check_kinds::<M>(issuer, &unchecked.sub)).err()
}

fn check_entities(iss: &str, sub: &str) -> Result<PublicKey, TokenError> {
    if iss.is_empty() {
        return Err(TokenError::Missing { member: "iss" });
    }
    if sub.is_empty() {
        return Err(TokenError::Missing { member: "sub" });
    }
    iss.parse().map_err(|source| TokenError::Entity { member: "iss", found: excerpt(iss), source })
}

fn check_kinds<M: Metadata>(issuer: PublicKey, subject: &str) -> Result<(), TokenError> {
    if let Some(expected) = M::SUBJECT {
        let key: PublicKey =
            subject.parse().map_err(|source| TokenError::Entity { member: "sub", found: excerpt(subject), source })?;
        if key.kind() != expected {
            return Err(TokenError::WrongSubjectKind { subject: key, expected, found: key.kind() });
        }
    }
    if issuer.kind() != M::ISSUER {
        return Err(TokenError::WrongIssuerKind { issuer, expected: M::ISSUER, found: issuer.kind() });
    }
    Ok(())
}

/// A fresh id: 128 random bits in 22 letters and digits.
pub fn new_token_id() -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).expect("the operating system provides randomness");
    let mut rest = u128::from_le_bytes(random);
    (0..22)
        .map(|_| {
            let digit = DIGITS[(rest % 62) as usize];
            rest /= 62;
            char::from(digit)
        })
        .collect()
}
