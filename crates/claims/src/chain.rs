//! Issuer chains: the account behind the key that signed an artifact, and the operator behind the account.
//!
//! Nothing in a lattice demands a chain; who asks for one brings the tokens. Refuses to know where they come from and
//! which operators are trusted. Invariant: each token of a [`Chain`] holds at the time given, and each signer is the
//! entity above it or a key which that entity names in `valid_signers`.

use crate::key::PublicKey;
use crate::metadata::{AccountMetadata, OperatorMetadata};
use crate::token::{Claims, TokenError};

/// Who stands behind an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The account.
    pub account: Claims<AccountMetadata>,
    /// The operator, if its token was given.
    pub operator: Option<Claims<OperatorMetadata>>,
}

impl Chain {
    /// The key everything rests on: the operator, or who signed the account where no operator was given.
    pub fn root(&self) -> PublicKey {
        self.operator.as_ref().map_or(self.account.issuer, |operator| operator.issuer)
    }
}

/// Finds out who stands behind `issuer`, the key that signed an actor or provider.
///
/// # Errors
/// When a token does not hold at `now`, or a signer may not sign for the entity above it.
pub fn verify_chain(issuer: PublicKey, account: &str, operator: Option<&str>, now: u64) -> Result<Chain, ChainError> {
    let account = Claims::<AccountMetadata>::verify(account, now).map_err(ChainError::Account)?;
    let signers = account.metadata.as_ref().and_then(|metadata| metadata.valid_signers.as_deref());
    may_sign(issuer, &account.subject, signers)?;

    let Some(operator) = operator else { return Ok(Chain { account, operator: None }) };
    let operator = Claims::<OperatorMetadata>::verify(operator, now).map_err(ChainError::Operator)?;
    if operator.issuer.as_str() != operator.subject {
        return Err(ChainError::NotSelfSigned { operator: operator.subject, signer: operator.issuer });
    }
    let signers = operator.metadata.as_ref().and_then(|metadata| metadata.valid_signers.as_deref());
    may_sign(account.issuer, &operator.subject, signers)?;
    Ok(Chain { account, operator: Some(operator) })
}

fn may_sign(signer: PublicKey, entity: &str, signers: Option<&[String]>) -> Result<(), ChainError> {
    let named = || signers.is_some_and(|signers| signers.iter().any(|key| key == signer.as_str()));
    if signer.as_str() == entity || named() {
        return Ok(());
    }
    Err(ChainError::MayNotSign { signer, entity: entity.to_owned() })
}

/// Why nobody stands behind an issuer.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The token of the account does not hold.
    #[error("the claims of the account do not hold")]
    Account(#[source] TokenError),
    /// The token of the operator does not hold.
    #[error("the claims of the operator do not hold")]
    Operator(#[source] TokenError),
    /// Neither the entity nor one of its signers.
    #[error("`{signer}` is neither `{entity}` nor among the keys that may sign for it")]
    MayNotSign {
        /// Who signed.
        signer: PublicKey,
        /// For whom.
        entity: String,
    },
    /// Nobody stands above an operator, so nobody else signs for it.
    #[error("the operator `{operator}` is signed by `{signer}`, expected by itself")]
    NotSelfSigned {
        /// The operator.
        operator: String,
        /// Who signed.
        signer: PublicKey,
    },
}

impl ChainError {
    /// Stable word for logs, tests and replies; that of the token where it is at fault.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Account(source) | Self::Operator(source) => source.code(),
            Self::MayNotSign { .. } => "may_not_sign",
            Self::NotSelfSigned { .. } => "not_self_signed",
        }
    }
}
