//! `get.links`, `linkdefs.put` and `linkdefs.del`.
//!
//! The request of `get.links` is empty, but for the second and later pages of an answer that does not fit a message. The request of a put is a [`Link`] itself. Deleting names the three parts that make a link's id; the provider is
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
    /// There are more: ask again with this in [`GetLinks::after`]. Ours; hosts of others send everything, or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<DeleteLink>,
}

#[derive(Deserialize)]
struct Wire {
    links: Vec<serde_json::Value>,
    #[serde(default)]
    more: Option<DeleteLink>,
}

/// Request of `get.links`; may be left out altogether. Hosts of others pass it over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetLinks {
    /// [`LinksReply::more`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DeleteLink>,
}

impl ControlRequest for GetLinks {
    const WHAT: &'static str = "question for links";
}

impl From<Wire> for LinksReply {
    fn from(wire: Wire) -> Self {
        let mut reply = Self { more: wire.more, ..Self::default() };
        for entry in wire.links {
            match Link::deserialize(&entry) {
                Ok(link) => reply.links.push(link),
                Err(error) => reply.unreadable.push(format!("{error}: {}", without_values(entry))),
            }
        }
        reply
    }
}

/// Values may be passwords, also those of an entry that is no link.
fn without_values(mut entry: serde_json::Value) -> serde_json::Value {
    if let Some(members) = entry.as_object_mut() {
        members.remove("values");
    }
    entry
}

/// Request of `linkdefs.del`: the parts that make a link's id.
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
