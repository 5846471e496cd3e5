//! Links: which actor may use which provider, for which contract, under which name, with which settings.
//!
//! Owns the link definition in its JSON form (control interface, KV) and its MessagePack form (to providers), and the
//! id of a link. Refuses to know who is running. Invariants: every id and name of a [`Link`] is valid, and the id does
//! not depend on the provider, so that an actor has at most one provider per contract and link name.

use std::{collections::BTreeMap, fmt, str::FromStr};

use claims::{ActorId, ProviderId};
use data_encoding::HEXUPPER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

use crate::{ContractId, LinkName, wire};

/// Identifies a link by actor, contract and link name: a SHA-256, in upper-case hex as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId([u8; 32]);

impl LinkId {
    /// The id of the link of `actor` for `contract` under `link_name`.
    #[must_use]
    pub fn new(actor: &ActorId, contract: &ContractId, link_name: &LinkName) -> Self {
        Self::of_text(actor.as_str(), contract.as_str(), link_name.as_str())
    }

    fn of_text(actor: &str, contract: &str, link_name: &str) -> Self {
        Self(Sha256::new().chain_update(actor).chain_update(contract).chain_update(link_name).finalize().into())
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXUPPER.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkId({self})")
    }
}

/// The text is not the 64 upper-case hex digits of a link id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a link id has 64 upper-case hexadecimal digits")]
pub struct LinkIdError;

impl FromStr for LinkId {
    type Err = LinkIdError;

    fn from_str(text: &str) -> Result<Self, LinkIdError> {
        let mut id = [0; 32];
        if HEXUPPER.decode_len(text.len()) != Ok(id.len()) {
            return Err(LinkIdError);
        }
        HEXUPPER.decode_mut(text.as_bytes(), &mut id).map_err(|_| LinkIdError)?;
        Ok(Self(id))
    }
}

impl Serialize for LinkId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LinkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A link definition. `Debug` shows the names of the values only, because values may be passwords.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The actor that may call the provider, and that the provider may call.
    #[serde(deserialize_with = "member::actor_id")]
    pub actor_id: ActorId,
    /// The provider.
    #[serde(deserialize_with = "member::provider_id")]
    pub provider_id: ProviderId,
    /// Tells links of one actor and contract apart; also the name the provider was started with.
    #[serde(deserialize_with = "member::link_name")]
    pub link_name: LinkName,
    /// The contract.
    #[serde(deserialize_with = "member::contract_id")]
    pub contract_id: ContractId,
    /// Settings, for the provider to read.
    #[serde(deserialize_with = "member::values")]
    pub values: BTreeMap<String, String>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("actor_id", &self.actor_id)
            .field("provider_id", &self.provider_id)
            .field("link_name", &self.link_name)
            .field("contract_id", &self.contract_id)
            .field("values", &self.values.keys())
            .finish()
    }
}

/// Readers of one member each, whose errors name the member.
mod member {
    use super::{ActorId, BTreeMap, ContractId, Deserialize, Deserializer, LinkName, ProviderId};
    use serde::de::Error as _;

    macro_rules! member {
        ($($name:ident: $type:ty),* $(,)?) => {$(
            pub(super) fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                <$type>::deserialize(deserializer)
                    .map_err(|error| D::Error::custom(format_args!(concat!("`", stringify!($name), "`: {}"), error)))
            }
        )*};
    }

    member!(
        actor_id: ActorId,
        provider_id: ProviderId,
        link_name: LinkName,
        contract_id: ContractId,
        values: BTreeMap<String, String>,
    );
}

/// Why bytes are not a link definition. The text names the member.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A JSON array or bare value; some hosts would read those as a link with defaults.
    #[error("a link definition is a JSON object")]
    NotAnObject,
    /// A member is missing or malformed, or it is not JSON.
    #[error("link definition: {0}")]
    Json(String),
    /// A member is missing or malformed, or it is not MessagePack.
    #[error("link definition: {0}")]
    MessagePack(String),
}

impl LinkError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "malformed_link"
    }
}

impl Link {
    /// The id, the same for whichever provider.
    #[must_use]
    pub fn id(&self) -> LinkId {
        LinkId::new(&self.actor_id, &self.contract_id, &self.link_name)
    }

    /// The form of the control interface and the KV bucket.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a link is strings only")
    }

    /// Reads the form of the control interface and the KV bucket. All five members are required.
    ///
    /// # Errors
    /// [`LinkError`], naming the member.
    pub fn from_json(bytes: &[u8]) -> Result<Self, LinkError> {
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(LinkError::NotAnObject);
        }
        serde_json::from_slice(bytes).map_err(|error| LinkError::Json(error.to_string()))
    }

    /// The form sent to providers.
    #[must_use]
    pub fn to_msgpack(&self) -> Vec<u8> {
        wire::encode(self, 256)
    }

    /// Reads the form sent to providers.
    ///
    /// # Errors
    /// [`LinkError`], naming the member.
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, LinkError> {
        wire::decode(bytes).map_err(|error| LinkError::MessagePack(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_hashes_the_three_texts_without_separators() {
        let id = LinkId::of_text("Mbob", "wasmcloud:testy", "default");
        assert_eq!(id.to_string(), "B40411AD09B70A2C83D59923584F66BA2C5A3C274DC4F19416DA49CCD6531F9C");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn only_64_upper_case_digits_are_a_link_id() {
        let text = LinkId::of_text("a", "b", "c").to_string();
        for bad in ["", &text[1..], &format!("{text}00"), &text.to_lowercase(), &text.replace(&text[..1], "G")] {
            assert_eq!(bad.parse::<LinkId>(), Err(LinkIdError), "{bad:?}");
        }
    }
}
