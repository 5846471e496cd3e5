//! Signing an actor and deciding whether a binary is one.

use super::canonical::{raw_cut_hash, signed_hash};
use super::{WasmError, canonical_hash, embed, extract};
use crate::id::{AccountId, ActorId};
use crate::key::KeyPair;
use crate::metadata::ActorMetadata;
use crate::token::{Claims, REVISION, TokenError};

/// An actor whose signature, hash and times were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedActor {
    /// Who it is.
    pub id: ActorId,
    /// Who signed it.
    pub issuer: AccountId,
    /// What was signed.
    pub claims: Claims<ActorMetadata>,
    /// The token as embedded.
    pub token: String,
}

/// Why a binary is not a signed actor that may run now.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Not a WebAssembly binary.
    #[error("this is not a WebAssembly binary (it starts with `{start}`): build a module or a component first")]
    NotWasm {
        /// Its first bytes.
        start: String,
    },
    /// No claims in it.
    #[error("the actor is not signed: sign it with `wash claims sign`")]
    Unsigned,
    /// Its claims do not hold.
    #[error("the claims of the actor do not hold")]
    Token(#[from] TokenError),
    /// The claims are about other code.
    #[error(
        "the code was changed after signing (signed `{signed}`, found `{found}`): sign it again with `wash claims sign`"
    )]
    HashMismatch {
        /// The hash in the claims.
        signed: String,
        /// The hash of the binary.
        found: String,
    },
    /// The binary cannot be taken apart.
    #[error("the WebAssembly binary is damaged")]
    Wasm(#[source] WasmError),
}

impl ArtifactError {
    /// Stable word for logs, tests and replies; that of the cause where there is one.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWasm { .. } => "not_wasm",
            Self::Unsigned => "unsigned",
            Self::Token(source) => source.code(),
            Self::HashMismatch { .. } => "hash_mismatch",
            Self::Wasm(source) => source.code(),
        }
    }
}

impl From<WasmError> for ArtifactError {
    fn from(error: WasmError) -> Self {
        match error {
            WasmError::NotWasm { start } => Self::NotWasm { start },
            other => Self::Wasm(other),
        }
    }
}

/// Signs a module or component: fills in its hash and the current revision, and embeds the token.
///
/// # Errors
/// When the binary cannot be walked, or `issuer` is not the account the claims name.
pub fn sign_actor(wasm: &[u8], mut claims: Claims<ActorMetadata>, issuer: &KeyPair) -> Result<Vec<u8>, ArtifactError> {
    claims.metadata.get_or_insert_default().hash = canonical_hash(wasm)?;
    claims.wascap_revision = Some(REVISION);
    Ok(embed(wasm, &claims.sign(issuer)?)?)
}

/// Accepts a binary whose claims are signed by an account, hold at `now`, and are about this very code.
///
/// Signers of revisions 0 to 2 hashed the binary as it was, so for those either form of the hash is accepted; peers skip
/// the check there, which would let any code run under an old signature.
///
/// # Errors
/// When any of that does not hold; the variant says what.
pub fn verify_actor(wasm: &[u8], now: u64) -> Result<SignedActor, ArtifactError> {
    let token = extract(wasm)?.ok_or(ArtifactError::Unsigned)?;
    let claims = Claims::<ActorMetadata>::verify(&token, now)?;
    let signed = &claims.metadata.as_ref().ok_or(TokenError::NoMetadata)?.hash;

    let found = signed_hash(wasm)?;
    let old = claims.wascap_revision.unwrap_or(0) < REVISION;
    if found != *signed && !(old && raw_cut_hash(wasm)? == *signed) {
        return Err(ArtifactError::HashMismatch { signed: crate::jwt::excerpt(signed), found });
    }

    let id = claims.subject.parse().expect("verified claims about an actor name an actor");
    let issuer = claims.issuer.try_into().expect("verified claims about an actor are signed by an account");
    Ok(SignedActor { id, issuer, claims, token })
}
