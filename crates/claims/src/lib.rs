//! Keys, issuers and signed claims in artifacts.

pub mod archive;
mod capability;
mod human_time;
mod id;
mod jwt;
mod key;
mod metadata;
mod nkey;
mod token;
pub mod wasm;

pub use archive::ArchiveError;
pub use capability::{capability_name, is_call_alias, normalize_call_alias};
pub use id::{AccountId, ActorId, ClusterId, HostId, OperatorId, ProviderId};
pub use key::{KeyError, KeyKind, KeyPair, PublicKey, Seed};
pub use metadata::{
    AccountMetadata, ActorMetadata, ClusterMetadata, InvocationMetadata, Metadata, OperatorMetadata, ProviderMetadata,
};
pub use token::{Claims, Inspection, REVISION, TokenError, new_token_id, subject_kind};
pub use wasm::{ArtifactError, SignedActor, WasmError};
