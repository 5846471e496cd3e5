//! `linkdefs.put`, `linkdefs.del` and `get.links`.
//!
//! A put is checked here as far as it can be: its shape, its values by the contract's own parser, and the actor's
//! claims when they are known; an actor that nobody has seen yet may be linked, and is checked at every call. Effects
//! travel with lattice state, not from here.

use bytes::Bytes;
use contracts::{LinkValueError, httpserver};
use lattice::{
    Link, LinkId,
    control::{Ack, DeleteLink, LinksReply, decode, encode},
    subject::LatticeKey,
};

use crate::{core::Core, reason::reason, state::replica::Bucket};

/// Every link of the lattice.
pub fn list(core: &Core) -> Vec<u8> {
    let links = core.tables().links.all().iter().map(|link| link.as_ref().clone()).collect();
    encode(&LinksReply { links, ..LinksReply::default() })
}

/// Records a link.
pub async fn put(core: &Core, body: &Bytes) -> Ack {
    let link = match decode::<Link>(body) {
        Ok(link) => link,
        Err(error) => return Ack::refused(error),
    };
    if let Err(error) = check_values(&link) {
        return Ack::refused(format!("link of `{}` to `{}`: {error}", link.actor_id, link.contract_id));
    }
    let contract = link.contract_id.as_str();
    // Known are the claims of what runs here, and of what the lattice has seen. An actor of which nothing is known yet may
    // be linked before it starts; then every call checks (`router`, `rpc`).
    if core.check_grant(&link.actor_id, contract).is_err() {
        let actor = link.actor_id;
        return Ack::refused(format!(
            "the signed claims of `{actor}` do not grant `{contract}`; sign it again with `--cap {contract}`"
        ));
    }
    // The bytes as received are what the lattice stores (protocol section 3.5).
    write(core, link.id(), Some(body.clone())).await
}

/// Forgets a link; an unknown one is fine.
pub async fn delete(core: &Core, body: &Bytes) -> Ack {
    match decode::<DeleteLink>(body) {
        Ok(link) => write(core, LinkId::new(&link.actor_id, &link.contract_id, &link.link_name), None).await,
        Err(error) => Ack::refused(error),
    }
}

async fn write(core: &Core, id: LinkId, value: Option<Bytes>) -> Ack {
    match core.store.write(Bucket::Lattice, LatticeKey::Link(id).render(), value).await {
        Ok(()) => core.store.kept(),
        Err(error) => Ack::refused(reason(&error)),
    }
}

/// Contracts whose link values we can read; others are the provider's own business.
fn check_values(link: &Link) -> Result<(), LinkValueError> {
    match link.contract_id.as_str() {
        httpserver::CONTRACT => httpserver::HttpServerLink::parse(&link.values).map(drop),
        _ => Ok(()),
    }
}
