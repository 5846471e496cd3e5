//! What claims say, per kind of subject: the `wascap` member of a token.
//!
//! Only shapes and who may sign whom; reading and signing is in [`crate::token`]. Invariant: members are written in the
//! order declared here, which is the order of the peers we share tokens with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::key::KeyKind;

mod sealed {
    pub trait Sealed {}
}

/// The metadata of one kind of claims.
pub trait Metadata: sealed::Sealed {
    /// What the claims are about. `None`: the subject is not a key.
    const SUBJECT: Option<KeyKind>;
    /// Who signs them.
    const ISSUER: KeyKind;
}

/// Says who signs whom: `issuer` signs claims about `subject`.
macro_rules! metadata {
    ($($name:ident: $issuer:ident signs $subject:expr;)*) => {$(
        impl sealed::Sealed for $name {}
        impl Metadata for $name {
            const SUBJECT: Option<KeyKind> = $subject;
            const ISSUER: KeyKind = KeyKind::$issuer;
        }
    )*};
}

metadata! {
    ActorMetadata: Account signs Some(KeyKind::Module);
    ProviderMetadata: Account signs Some(KeyKind::Service);
    AccountMetadata: Operator signs Some(KeyKind::Account);
    OperatorMetadata: Operator signs Some(KeyKind::Operator);
    ClusterMetadata: Operator signs Some(KeyKind::Cluster);
    InvocationMetadata: Cluster signs None;
    DelegationMetadata: Cluster signs Some(KeyKind::Cluster);
}

/// What an account says about an actor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorMetadata {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Upper-case hex SHA-256 of the canonical binary; filled in by [`crate::wasm::sign_actor`].
    pub hash: String,
    /// Free tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Contract ids the actor may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<String>>,
    /// Revision, growing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<i32>,
    /// Version for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ver: Option<String>,
    /// Name by which other actors may call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_alias: Option<String>,
    /// Whether the actor stands for a provider; no peer acts on it.
    #[serde(default)]
    pub prov: bool,
}

/// What an account says about a provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProviderMetadata {
    /// Name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Contract id it serves.
    pub capid: String,
    /// Who made it.
    pub vendor: String,
    /// Revision, growing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<i32>,
    /// Version for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ver: Option<String>,
    /// Upper-case hex SHA-256 of each binary, by target; filled in by [`crate::archive::create`].
    pub target_hashes: BTreeMap<String, String>,
    /// JSON schema of its link values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<serde_json::Value>,
}

/// What an operator says about an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountMetadata {
    /// Name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Further keys which may sign for the account.
    #[serde(default)]
    pub valid_signers: Option<Vec<String>>,
}

/// What an operator says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorMetadata {
    /// Name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Further keys which may sign for the operator.
    #[serde(default)]
    pub valid_signers: Option<Vec<String>>,
}

/// What an operator says about a cluster key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMetadata {
    /// Name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Further keys which may sign for the cluster.
    #[serde(default)]
    pub valid_signers: Option<Vec<String>>,
}

/// What a cluster key says about one invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvocationMetadata {
    /// URL of the target entity and the operation.
    pub target_url: String,
    /// URL of the origin entity.
    pub origin_url: String,
    /// Upper-case hex SHA-256 over origin URL, target URL, operation and payload.
    pub hash: String,
}

/// What a cluster key says about another one that stands for a single caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegationMetadata {
    /// URL of the caller, the only one the key may sign for.
    pub origin_url: String,
    /// The lattice.
    pub delegated_in: String,
}
