//! Keys, issuers and signed claims in artifacts: who an actor or provider is, who says so, and what it may use.
//!
//! Pure: no files, no network, no clock of its own; time comes in as seconds since 1970. Knows the formats of 0.82
//! (nkeys, tokens, the claims section of a binary, provider archives) and nothing of a lattice. Invariants:
//!
//! - an id is a well-formed key of its kind, and a seed never prints;
//! - claims that come out of a `verify` were signed by an issuer that may sign for the subject, and hold at the time given;
//! - whatever was read here came from a stranger: sizes, depths and counts are bounded before anything is kept.
//!
//! # Example
//!
//! An account signs an actor; whoever receives the binary knows who it is, who vouches for it and what it may use.
//!
//! ```
//! use claims::{ActorMetadata, Claims, KeyKind, KeyPair, wasm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let account = KeyPair::generate(KeyKind::Account);
//! let actor = KeyPair::generate(KeyKind::Module);
//! let module = wasm::Layer::Module.header(); // the smallest module there is
//! let now = 1_700_000_000;
//!
//! let metadata = ActorMetadata { caps: Some(vec!["wasmcloud:keyvalue".to_owned()]), ..ActorMetadata::default() };
//! let mut claims = Claims::new(account.public(), actor.public().as_str(), metadata, now);
//! claims.expires_at = Some(now + 3600);
//! let signed = wasm::sign_actor(&module, claims, &account)?;
//!
//! let verified = wasm::verify_actor(&signed, now)?;
//! assert_eq!(verified.id.public_key(), actor.public());
//! assert_eq!(verified.issuer.public_key(), account.public());
//!
//! // Time runs out, and code that was not signed is refused.
//! assert_eq!(wasm::verify_actor(&signed, now + 7200).unwrap_err().code(), "expired");
//! assert_eq!(wasm::verify_actor(&module, now).unwrap_err().code(), "unsigned");
//! # Ok(())
//! # }
//! ```

pub mod archive;
mod capability;
mod chain;
mod human_time;
mod id;
mod jwt;
mod key;
pub mod members;
mod metadata;
pub mod ownership;
pub mod revocation;
mod token;
mod token_error;
pub mod wasm;

pub use archive::{Archive, ArchiveError};
pub use capability::{capability_name, is_call_alias, normalize_call_alias};
pub use chain::{Chain, ChainError, verify_chain};
pub use id::{AccountId, ActorId, ClusterId, HostId, OperatorId, ProviderId};
pub use key::{KeyError, KeyKind, KeyPair, PublicKey, Seed};
pub use metadata::{
    AccountMetadata, ActorMetadata, ClusterMetadata, DelegationMetadata, InvocationMetadata, Metadata,
    OperatorMetadata, ProviderMetadata,
};
pub use token::{Claims, Inspection, REVISION, TokenError, new_token_id, subject_kind};
pub use wasm::{ArtifactError, SignedActor, WasmError};
