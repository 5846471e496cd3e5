//! Signing an actor and deciding whether a binary is one.

use std::io::{self, Write};

use super::canonical::{canonical_hash, has_nested_claims, raw_cut_hash, signed_hash, write_canonical};
use super::format::WasmError;
use super::{claims_section_start, embed, extract};
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
    /// Something inside it carries claims, but it does not.
    #[error("the component is not signed, only something inside it is: sign the component with `wash claims sign`")]
    OnlyNestedSigned,
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
    /// The signed binary could not be written where it should go.
    #[error("cannot write the signed actor")]
    Write(#[source] io::Error),
}

impl ArtifactError {
    /// Stable word for logs, tests and replies; that of the cause where there is one.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWasm { .. } => "not_wasm",
            Self::Unsigned => "unsigned",
            Self::OnlyNestedSigned => "only_nested_signed",
            Self::Token(source) => source.code(),
            Self::HashMismatch { .. } => "hash_mismatch",
            Self::Wasm(source) => source.code(),
            Self::Write(_) => "write_failed",
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
/// Needs room for the signed binary; [`sign_actor_to`] does not.
///
/// # Errors
/// When the binary cannot be walked, or `issuer` is not the account the claims name.
pub fn sign_actor(wasm: &[u8], claims: Claims<ActorMetadata>, issuer: &KeyPair) -> Result<Vec<u8>, ArtifactError> {
    Ok(embed(wasm, &token_for(wasm, claims, issuer)?)?)
}

/// As [`sign_actor`], but writes the signed binary piece by piece instead of holding it beside the unsigned one; answers
/// the token. `out` is left as it was when the binary cannot be signed.
///
/// # Errors
/// As [`sign_actor`], and when `out` fails.
pub fn sign_actor_to(
    wasm: &[u8],
    claims: Claims<ActorMetadata>,
    issuer: &KeyPair,
    mut out: impl Write,
) -> Result<String, ArtifactError> {
    let token = token_for(wasm, claims, issuer)?;
    let start = claims_section_start(&token)?;
    let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(ArtifactError::Write);
    write_canonical(wasm, &mut write)?;
    write(&start)?;
    write(token.as_bytes())?;
    out.flush().map_err(ArtifactError::Write)?;
    Ok(token)
}

fn token_for(wasm: &[u8], mut claims: Claims<ActorMetadata>, issuer: &KeyPair) -> Result<String, ArtifactError> {
    claims.metadata.get_or_insert_default().hash = canonical_hash(wasm)?;
    claims.wascap_revision = Some(REVISION);
    Ok(claims.sign(issuer)?)
}

/// Accepts a binary whose claims are signed by an account, hold at `now`, and are about this very code.
///
/// Signers of revisions 0 to 2 hashed the binary as it was, so for those either form of the hash is accepted; peers skip
/// the check there, which would let any code run under an old signature.
///
/// # Errors
/// When any of that does not hold; the variant says what.
pub fn verify_actor(wasm: &[u8], now: u64) -> Result<SignedActor, ArtifactError> {
    let Some(token) = extract(wasm)? else {
        return Err(if has_nested_claims(wasm, 0)? {
            ArtifactError::OnlyNestedSigned
        } else {
            ArtifactError::Unsigned
        });
    };
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
