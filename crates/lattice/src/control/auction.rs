//! `auction.actor` and `auction.provider`: who can run this?
//!
//! A host that declines stays silent, so a bid without a host id is no bid: it does not decode. An auction must carry
//! constraints, if only empty ones.

use std::collections::BTreeMap;

use claims::HostId;
use serde::{Deserialize, Serialize};

use super::ControlRequest;
use crate::{
    LinkName,
    bounds::{self, LimitExceeded},
};

/// Labels a host must have, with these values.
pub type Constraints = BTreeMap<String, String>;

/// Request of `auction.actor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuctionActor {
    /// The reference as the operator wrote it.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub actor_ref: String,
    /// Labels a bidder must have.
    pub constraints: Constraints,
}

impl ControlRequest for AuctionActor {
    const WHAT: &'static str = "actor auction command";

    fn check_size(&self) -> Result<(), LimitExceeded> {
        bounds::reference(&self.actor_ref)?;
        bounds::annotations(&self.constraints)
    }
}

impl AuctionActor {
    /// The bid of `host`, which repeats the request.
    #[must_use]
    pub fn bid(self, host: HostId) -> ActorBid {
        ActorBid { actor_ref: self.actor_ref, host_id: host, constraints: self.constraints, peers: None }
    }
}

/// A host's offer to run an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorBid {
    /// As in the request.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub actor_ref: String,
    /// Who bids.
    pub host_id: HostId,
    /// As in the request.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub constraints: Constraints,
    /// The other hosts this host knows of; ours alone send it.
    #[serde(default, deserialize_with = "super::lenient::parsable", skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<HostId>>,
}

/// Request of `auction.provider`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuctionProvider {
    /// The reference as the operator wrote it.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub provider_ref: String,
    /// The link name it is to run under.
    #[serde(default, deserialize_with = "super::lenient::empty_is_default")]
    pub link_name: LinkName,
    /// Labels a bidder must have.
    pub constraints: Constraints,
}

impl ControlRequest for AuctionProvider {
    const WHAT: &'static str = "provider auction command";

    fn check_size(&self) -> Result<(), LimitExceeded> {
        bounds::reference(&self.provider_ref)?;
        bounds::annotations(&self.constraints)
    }
}

impl AuctionProvider {
    /// The bid of `host`, which repeats the request.
    #[must_use]
    pub fn bid(self, host: HostId) -> ProviderBid {
        ProviderBid {
            provider_ref: self.provider_ref,
            link_name: self.link_name,
            host_id: host,
            constraints: self.constraints,
            peers: None,
        }
    }
}

/// A host's offer to run a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderBid {
    /// As in the request.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub provider_ref: String,
    /// As in the request.
    #[serde(default, deserialize_with = "super::lenient::empty_is_default")]
    pub link_name: LinkName,
    /// Who bids.
    pub host_id: HostId,
    /// As in the request.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub constraints: Constraints,
    /// The other hosts this host knows of; ours alone send it.
    #[serde(default, deserialize_with = "super::lenient::parsable", skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<HostId>>,
}
