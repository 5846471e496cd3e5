//! `get.links`, `linkdefs.put` and `linkdefs.del`.
//!
//! The request of a put is a [`Link`] itself. Deleting names the three parts that make a link's id; the provider is
//! not one of them.

use claims::ActorId;
use serde::{Deserialize, Serialize};

use super::ControlRequest;
use crate::{ContractId, Link, LinkName};

/// Answer to `get.links`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire")]
pub struct LinksReply {
    /// The links that are links.
    pub links: Vec<Link>,
    /// Entries that are none, each with the reason; a real host stores what it is given.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

#[derive(Deserialize)]
struct Wire {
    links: Vec<serde_json::Value>,
}

impl From<Wire> for LinksReply {
    fn from(wire: Wire) -> Self {
        let mut reply = Self::default();
        for entry in wire.links {
            match Link::deserialize(&entry) {
                Ok(link) => reply.links.push(link),
                Err(error) => reply.unreadable.push(format!("{error}: {entry}")),
            }
        }
        reply
    }
}

/// Request of `linkdefs.del`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteLink {
    /// The actor.
    pub actor_id: ActorId,
    /// The contract.
    pub contract_id: ContractId,
    /// The link name.
    #[serde(default, deserialize_with = "super::lenient::empty_is_default")]
    pub link_name: LinkName,
}

impl ControlRequest for DeleteLink {
    const WHAT: &'static str = "link definition";
}
