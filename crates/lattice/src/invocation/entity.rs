//! Who calls, and who is called.
//!
//! Knows the URL form that is signed, not who exists. Invariant: the URL is the one every peer computes, or no
//! signature of ours would hold for them.

use claims::{ActorId, ProviderId};
use serde::{Deserialize, Serialize};

use crate::{ContractId, LinkName, wire::nil_is_default};

/// One end of a call. Texts, because a peer may put anything here; signatures are checked over what it put.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// Public key of an actor or provider.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub public_key: String,
    /// Link name of a provider, empty for an actor.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub link_name: String,
    /// Contract id of a provider, empty for an actor.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub contract_id: String,
}

impl Entity {
    /// An actor.
    #[must_use]
    pub fn actor(id: &ActorId) -> Self {
        Self { public_key: id.to_string(), link_name: String::new(), contract_id: String::new() }
    }

    /// A provider.
    #[must_use]
    pub fn provider(id: &ProviderId, link_name: &LinkName, contract_id: &ContractId) -> Self {
        Self { public_key: id.to_string(), link_name: link_name.to_string(), contract_id: contract_id.to_string() }
    }

    /// Whether it stands for an actor: it names no contract.
    #[must_use]
    pub fn is_actor(&self) -> bool {
        self.contract_id.is_empty()
    }

    /// The URL that is signed: `wasmbus://{key}` for keys that begin with `M`, in either case, and
    /// `wasmbus://{contract}/{link}/{key}` for all others.
    #[must_use]
    pub fn url(&self) -> String {
        const SCHEME: &str = "wasmbus://";
        if self.public_key.starts_with(['M', 'm']) {
            return format!("{SCHEME}{}", self.public_key);
        }
        let contract = self.contract_id.replace(':', "/").replace(' ', "_").to_lowercase();
        let link_name = self.link_name.replace(' ', "_").to_lowercase();
        format!("{SCHEME}{contract}/{link_name}/{}", self.public_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(public_key: &str, link_name: &str, contract_id: &str) -> Entity {
        Entity {
            public_key: public_key.to_owned(),
            link_name: link_name.to_owned(),
            contract_id: contract_id.to_owned(),
        }
    }

    #[test]
    fn the_url_of_an_actor_ignores_link_and_contract() {
        assert_eq!(entity("MABC", "l", "a:b").url(), "wasmbus://MABC");
        assert_eq!(entity("mabc", "", "").url(), "wasmbus://mabc");
    }

    #[test]
    fn the_url_of_anything_else_names_contract_and_link() {
        assert_eq!(entity("VABC", "My Link", "Acme:Key Value:v2").url(), "wasmbus://acme/key_value/v2/my_link/VABC");
        assert_eq!(entity("", "", "").url(), "wasmbus:////");
        assert_eq!(entity("vAbC", "ÄÖ", "É").url(), "wasmbus://é/äö/vAbC");
    }
}
