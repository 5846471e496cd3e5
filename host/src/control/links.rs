//! `linkdefs.put`, `linkdefs.del` and `get.links`.
//!
//! Values are the provider's business: a put is checked for nothing but its shape and the bounds of lattice state. One for an
//! actor whose claims do not grant the contract is stored too, and said to be without effect; every call checks. Effects
//! travel with lattice state, not from here.

use bytes::Bytes;
use lattice::{
    Link, LinkId,
    bounds::{PAGE_BYTES, json_len},
    control::{Ack, DeleteLink, GetLinks, LinksReply, decode, encode},
    event::{EventData, LinkFailed},
};

use lattice_state::store::StoreError;

use crate::{control::face::Control, process::error_chain::error_chain};

/// The links of the lattice, from where the page before ended.
pub fn list(control: &Control, body: &Bytes) -> Vec<u8> {
    let after = match body.is_empty() {
        true => None,
        // Clients of others may send what they like; they get the beginning.
        false => decode::<GetLinks>(body).ok().and_then(|request| request.after),
    };
    let mut links = control.tables().links.all().into_iter();
    let key = |link: &DeleteLink| (link.actor_id, link.contract_id.clone(), link.link_name.clone());
    let after = after.as_ref().map(key);
    let mut reply = LinksReply::default();
    let (most, mut bytes) = (PAGE_BYTES.min(control.inventory.most_told() / 2), 0);
    for link in links.by_ref() {
        let id = identity(&link);
        if after.as_ref().is_some_and(|after| key(&id) <= *after) {
            continue;
        }
        bytes += json_len(link.as_ref()) + 1;
        if bytes > most
            && let Some(last) = reply.links.last()
        {
            reply.more = Some(identity(last));
            break;
        }
        reply.links.push(link.as_ref().clone());
    }
    encode(&reply)
}

fn identity(link: &Link) -> DeleteLink {
    let Link { actor_id, contract_id, link_name, .. } = link.clone();
    DeleteLink { actor_id, contract_id, link_name }
}

/// Records a link.
pub async fn put(control: &Control, body: &Bytes) -> Ack {
    let link = match decode::<Link>(body) {
        Ok(link) => link,
        Err(error) => return Ack::refused(error),
    };
    // The bytes as received are what the lattice stores (protocol section 3.5).
    let standing = control.standing(&link.actor_id.into());
    let ack = answer(control, control.store.put_link(standing, link.id(), body.clone()).await);
    if ack.accepted {
        warn_if_not_granted(control, &link);
    }
    ack
}

/// Known are the claims of what runs here, and of what the lattice has seen. An actor of which nothing is known yet may be
/// linked before it starts; then every call checks (`calls/permission`).
fn warn_if_not_granted(control: &Control, link: &Link) {
    let (actor, contract) = (link.actor_id, link.contract_id.as_str());
    if control.calls.permission.check_grant(&actor, contract).is_ok() {
        return;
    }
    let reason = format!(
        "not_granted: the signed claims of `{actor}` do not grant `{contract}`, so every call over this link is refused; \
         sign it again with `--cap {contract}`"
    );
    tracing::warn!(%actor, %contract, provider = %link.provider_id, error = %reason, "a link was put that has no effect");
    control.failures.link_refused(link, &reason);
    control.events.emit(EventData::LinkdefFailed(LinkFailed::new(control.identity.host_id, link, reason)));
}

/// Forgets a link; an unknown one is fine.
pub async fn delete(control: &Control, body: &Bytes) -> Ack {
    match decode::<DeleteLink>(body) {
        Ok(link) => {
            let standing = control.standing(&link.actor_id.into());
            let id = LinkId::new(&link.actor_id, &link.contract_id, &link.link_name);
            answer(control, control.store.delete_link(standing, id).await)
        }
        Err(error) => Ack::refused(error),
    }
}

fn answer(control: &Control, written: Result<(), StoreError>) -> Ack {
    match written {
        Ok(()) => control.store.kept(),
        Err(error) => Ack::refused(error_chain(&error)),
    }
}
