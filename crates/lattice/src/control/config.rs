//! `config.*` and `get.config.*`: opaque bytes per actor or provider and key.
//!
//! The put request is the bytes themselves. Replies carry bytes as JSON arrays of numbers; an entity that never had
//! data may be answered with nothing at all.

use std::collections::BTreeMap;

use claims::{KeyKind, PublicKey};
use serde::{Deserialize, Serialize};

/// What a host answers when the entity is neither an actor nor a provider.
pub const INVALID_CONFIG_ENTITY: &str =
    "Invalid entity ID. The entity ID must be a valid public nkey for an actor or provider";

/// The entity of a config subject, if it is an actor or a provider.
#[must_use]
pub fn config_entity(text: &str) -> Option<PublicKey> {
    text.parse().ok().filter(|key: &PublicKey| matches!(key.kind(), KeyKind::Module | KeyKind::Service))
}

/// Answer to `get.config.{entity}.{key}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigValue {
    /// Whether there is a value.
    pub found: bool,
    /// The value; empty when there is none.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub data: Vec<u8>,
}

/// Answer to `get.config.{entity}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigValues(pub BTreeMap<String, Vec<u8>>);

impl ConfigValues {
    /// Reads the answer; no bytes at all mean no values.
    ///
    /// # Errors
    /// The decoder's reason.
    pub fn from_reply(body: &[u8]) -> Result<Self, String> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
}
