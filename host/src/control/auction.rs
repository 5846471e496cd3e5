//! `auction.actor` and `auction.provider`: an offer, or silence. Never an error to a well-formed question: a client
//! would take it for an offer (protocol section 3.4).

use bytes::Bytes;
use lattice::control::{Ack, AuctionActor, AuctionProvider, Constraints, decode, encode};

use crate::{
    artifacts::{ArtifactRef, Location},
    core::Core,
};

/// Offers to run an actor when every constraint equals a label of this host and the reference could be loaded here.
pub fn actor(core: &Core, body: &Bytes) -> Option<Vec<u8>> {
    match decode::<AuctionActor>(body) {
        Ok(auction) => {
            let wanted = meets(core, &auction.constraints) && loadable(core, &auction.actor_ref);
            wanted.then(|| encode(&auction.bid(core.identity.host_id)))
        }
        Err(error) => Some(encode(&Ack::refused(error))),
    }
}

/// Offers to run a provider unless it runs here already under that link name.
pub fn provider(core: &Core, body: &Bytes) -> Option<Vec<u8>> {
    match decode::<AuctionProvider>(body) {
        Ok(auction) => {
            let wanted = meets(core, &auction.constraints)
                && loadable(core, &auction.provider_ref)
                && !core.providers.runs(auction.provider_ref.trim(), &auction.link_name);
            wanted.then(|| encode(&auction.bid(core.identity.host_id)))
        }
        Err(error) => Some(encode(&Ack::refused(error))),
    }
}

fn meets(core: &Core, constraints: &Constraints) -> bool {
    let labels = core.labels();
    constraints.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// What this host can never load it does not offer to run.
fn loadable(core: &Core, reference: &str) -> bool {
    match ArtifactRef::parse(reference).as_ref().map(ArtifactRef::location) {
        Ok(Location::File(_)) => core.config.allow_file_load,
        Ok(Location::Builtin(name)) => core.builtins.iter().any(|builtin| builtin.descriptor.name == name),
        Ok(Location::Registry(text)) => core.artifacts.may_fetch(text),
        Err(_) => false,
    }
}
