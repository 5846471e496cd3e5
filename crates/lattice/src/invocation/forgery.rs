//! How a call is signed, and what must hold before it is believed.
//!
//! One signature and one hash to issue, one verification to accept. The clock is an argument. Invariant: an accepted
//! call was signed by a trusted cluster key for exactly this origin, target and operation; its payload is accepted only
//! together with [`Verified::check_body`], because a large one arrives later.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use claims::{Claims, ClusterId, HostId, InvocationMetadata, KeyPair, PublicKey, TokenError};
use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};

use super::{Entity, Invocation};

/// How far the time of issue of a call may be from now, in seconds, and how long what we issue holds: the clocks of hosts
/// may be apart, and calls between hosts of which one is an hour off are made all the same. What was seen is remembered
/// for longer.
pub const LIFETIME: u64 = 90 * 60;

/// How hosts of any make say that they do not trust the key of a call; those of others send no code beside it.
pub const UNTRUSTED_ISSUER: &str = "issuer of this invocation is not among the list of valid issuers";

/// Why a call is not believed. The texts of the first steps are those of other hosts.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// The sending host is not named by a host id.
    #[error("invalid host ID on invocation: '{host_id}'")]
    HostId {
        /// What stands there instead, cut.
        host_id: String,
    },
    /// The token's time is over.
    #[error("invocation claims token expired")]
    Expired,
    /// The token's time has not come.
    #[error("invocation claims token cannot be used yet")]
    NotYetValid,
    /// The token was issued too long ago, or in the future.
    #[error(
        "invocation was issued {seconds} s {direction}: it is old, or the clocks of sender and receiver are more than 90 \
         minutes apart"
    )]
    Apart {
        /// How far from now.
        seconds: u64,
        /// `ago` or `ahead`.
        direction: &'static str,
    },
    /// The token was not signed by its issuer.
    #[error("invocation claims signature invalid")]
    SignatureInvalid,
    /// The token is not one of an invocation.
    #[error("invocation claims cannot be read")]
    Claims(#[source] TokenError),
    /// The statement beside a call does not let its key sign for its caller.
    #[error("the delegation of the key that signed does not hold: {reason}")]
    Delegation {
        /// What is wrong.
        reason: &'static str,
    },
    /// The issuer is not trusted here.
    #[error("{UNTRUSTED_ISSUER}")]
    UntrustedIssuer {
        /// The issuer.
        issuer: PublicKey,
    },
    /// The token says nothing about a call.
    #[error("invocation claims have no metadata")]
    NoMetadata,
    /// The token is about another target or operation.
    #[error("invocation claims and invocation target URL do not match")]
    TargetMismatch,
    /// The token is about another caller.
    #[error("invocation claims and invocation origin URL do not match")]
    OriginMismatch,
    /// The token is about another payload.
    #[error("invocation hash does not match the invocation")]
    HashMismatch,
}

impl InvocationError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::HostId { .. } => "invalid_host_id",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Apart { .. } => "issued_apart",
            Self::SignatureInvalid => "signature_invalid",
            Self::Claims(error) => error.code(),
            Self::Delegation { .. } => "delegation",
            Self::UntrustedIssuer { .. } => "untrusted_issuer",
            Self::NoMetadata => "no_metadata",
            Self::TargetMismatch => "target_mismatch",
            Self::OriginMismatch => "origin_mismatch",
            Self::HashMismatch => "hash_mismatch",
        }
    }
}

impl From<TokenError> for InvocationError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired { .. } => Self::Expired,
            TokenError::NotYetValid { .. } => Self::NotYetValid,
            TokenError::SignatureInvalid { .. } => Self::SignatureInvalid,
            TokenError::WrongIssuerKind { issuer, .. } => Self::UntrustedIssuer { issuer },
            other => Self::Claims(other),
        }
    }
}

/// A call whose signature holds. What is left to check is its payload, once all of it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The cluster key that signed.
    pub issuer: ClusterId,
    /// When it was issued, seconds since 1970: within [`LIFETIME`] of the time at which it was verified.
    pub issued_at: u64,
    /// Until when the token holds, seconds since 1970; `None`: hosts of others do not say.
    pub expires_at: Option<u64>,
    origin_url: String,
    target_url: String,
    operation: String,
    hash: String,
}

impl Verified {
    /// Checks the whole payload, also an empty one, against the signed hash.
    ///
    /// # Errors
    /// [`InvocationError::HashMismatch`].
    pub fn check_body(&self, body: &[u8]) -> Result<(), InvocationError> {
        if hash(&self.origin_url, &self.target_url, &self.operation, body) == self.hash {
            Ok(())
        } else {
            Err(InvocationError::HashMismatch)
        }
    }
}

fn target_url(target: &Entity, operation: &str) -> String {
    let mut url = target.url();
    url.push('/');
    url.push_str(operation);
    url
}

fn hash(origin_url: &str, target_url: &str, operation: &str, body: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(origin_url)
        .chain_update(target_url)
        .chain_update(operation)
        .chain_update(body)
        .finalize();
    HEXUPPER.encode(&digest)
}

impl Invocation {
    /// Makes and signs a call with a new id. `msg` is the whole argument, whether or not it is sent in the envelope.
    ///
    /// # Errors
    /// [`TokenError`] when `cluster` is not a cluster key.
    pub fn issue(
        origin: Entity,
        target: Entity,
        operation: impl Into<String>,
        msg: Bytes,
        cluster: &KeyPair,
        host: &HostId,
        now: u64,
    ) -> Result<Self, TokenError> {
        let operation = operation.into();
        let id = uuid::Uuid::new_v4().to_string();
        let (origin_url, target_url) = (origin.url(), target_url(&target, &operation));
        let hash = hash(&origin_url, &target_url, &operation, &msg);
        let metadata = InvocationMetadata { target_url, origin_url, hash };
        let mut claims = Claims::new(cluster.public(), id.clone(), metadata, now);
        claims.expires_at = Some(now + LIFETIME);
        let encoded_claims = claims.sign(cluster)?;
        Ok(Self {
            origin,
            target,
            operation,
            content_length: msg.len() as u64,
            msg,
            id,
            encoded_claims,
            host_id: host.to_string(),
            trace_context: BTreeMap::new(),
        })
    }

    /// Checks host id, time, issuer, what the signature covers, and the signature, in this order, and the payload if the
    /// envelope holds one. An empty `msg` is not checked, because the payload may be in the object store:
    /// [`Verified::check_body`] does that once it is there.
    ///
    /// Whether the target is the receiver and the origin may call it is the receiver's to check.
    ///
    /// # Errors
    /// [`InvocationError`]; its text is what a host answers.
    pub fn validate(&self, now: u64, trusted: &BTreeSet<ClusterId>) -> Result<Verified, InvocationError> {
        self.validate_of(now, |issuer| trusted.contains(issuer))
    }

    /// The same for issuers of the caller's choice.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn validate_of(&self, now: u64, trusts: impl Fn(&ClusterId) -> bool) -> Result<Verified, InvocationError> {
        self.host_id.parse::<HostId>().map_err(|_| InvocationError::HostId {
            host_id: self.host_id.chars().filter(|c| !c.is_control()).take(64).collect(),
        })?;
        let mut issuer = None;
        let claims = Claims::<InvocationMetadata>::verify_after(&self.encoded_claims, |claims| {
            issuer = Some(self.check_claims(claims, now, trusts)?);
            Ok::<_, InvocationError>(())
        })?;
        let (Some(issuer), Some(signed)) = (issuer, claims.metadata) else { return Err(InvocationError::NoMetadata) };
        let verified = Verified {
            issuer,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            origin_url: signed.origin_url,
            target_url: signed.target_url,
            operation: self.operation.clone(),
            hash: signed.hash,
        };
        if !self.msg.is_empty() {
            verified.check_body(&self.msg)?;
        }
        Ok(verified)
    }

    /// Everything that costs no signature: anybody can send what is wrong with these.
    fn check_claims(
        &self,
        claims: &Claims<InvocationMetadata>,
        now: u64,
        trusts: impl Fn(&ClusterId) -> bool,
    ) -> Result<ClusterId, InvocationError> {
        claims.check_times(now)?;
        let seconds = claims.issued_at.abs_diff(now);
        if seconds > LIFETIME {
            let direction = if claims.issued_at < now { "ago" } else { "ahead" };
            return Err(InvocationError::Apart { seconds, direction });
        }
        let issuer = ClusterId::try_from(claims.issuer)
            .ok()
            .filter(trusts)
            .ok_or(InvocationError::UntrustedIssuer { issuer: claims.issuer })?;
        let signed = claims.metadata.as_ref().ok_or(InvocationError::NoMetadata)?;
        if signed.target_url != target_url(&self.target, &self.operation) {
            return Err(InvocationError::TargetMismatch);
        }
        if signed.origin_url != self.origin.url() {
            return Err(InvocationError::OriginMismatch);
        }
        Ok(issuer)
    }
}
