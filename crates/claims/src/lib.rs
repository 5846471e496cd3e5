//! Keys, issuers and signed claims in artifacts.

mod id;
mod key;
mod nkey;

pub use id::{AccountId, ActorId, ClusterId, HostId, OperatorId, ProviderId};
pub use key::{KeyError, KeyKind, KeyPair, PublicKey, Seed};
