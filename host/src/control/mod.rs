//! The control interface: one handler per operation, the same for every transport (protocol sections 3.2, 3.3).
//!
//! [`dispatch`] turns a subject and a body into a reply, or into silence where the protocol wants silence. Commands
//! are acknowledged first and end in events. Queries read snapshots and never wait for work. Invariant: the order in
//! which commands for one thing arrive is the order in which they are applied.

mod auction;
mod claims;
mod commands;
mod config;
mod labels;
mod links;
mod nats;
mod owners;
mod registries;
mod revocations;
pub mod socket;
mod why;

use std::sync::Arc;

use bytes::Bytes;
use lattice::{
    control::{Ack, UNSUPPORTED_SUBJECT, encode},
    subject::{ControlSubject, HostCommand},
};

pub use self::{
    labels::LABELS_FACT,
    nats::{serve, subscribe},
};
use crate::{
    core::Core,
    inventory::{inventory, summary},
};

/// Answers one control request; none means that the protocol wants no reply.
pub async fn dispatch(core: &Arc<Core>, subject: &str, body: &Bytes) -> Option<Vec<u8>> {
    let parsed = match ControlSubject::parse(&core.root, subject) {
        Ok(parsed) => parsed,
        Err(error) => {
            tracing::warn!(%subject, %error, "control request on a subject without handler");
            return Some(encode(&Ack::refused(UNSUPPORTED_SUBJECT)));
        }
    };
    match parsed {
        ControlSubject::PingHosts => Some(encode(&summary(core))),
        ControlSubject::GetInventory(_) => Some(encode(&inventory(core))),
        ControlSubject::AskWhy(_) => Some(why::answer(core, body).await),
        ControlSubject::GetClaims => Some(claims::list(core, body)),
        ControlSubject::GetLinks => Some(links::list(core, body)),
        ControlSubject::AuctionActor => auction::actor(core, body),
        ControlSubject::AuctionProvider => auction::provider(core, body),
        ControlSubject::Command(_, command) => Some(encode(&run_command(core, command, body).await)),
        ControlSubject::PutLabel(_) => Some(encode(&labels::put(core, body).await)),
        ControlSubject::DeleteLabel(_) => Some(encode(&labels::delete(core, body).await)),
        ControlSubject::PutRegistries => Some(encode(&registries::put(core, body))),
        ControlSubject::PutLink => Some(encode(&links::put(core, body).await)),
        ControlSubject::DeleteLink => Some(encode(&links::delete(core, body).await)),
        ControlSubject::PutConfig(key) => Some(encode(&config::put(core, &key, body).await)),
        ControlSubject::DeleteConfig(key) => Some(encode(&config::delete(core, &key).await)),
        ControlSubject::ClearConfig(entity) => Some(encode(&config::clear(core, &entity).await)),
        ControlSubject::GetConfig(key) => Some(config::get(core, &key)),
        ControlSubject::GetAllConfig(entity) => Some(config::get_all(core, &entity)),
        ControlSubject::PutRevocations => Some(encode(&revocations::put(core, body).await)),
        ControlSubject::GetRevocations => Some(revocations::get(core, body)),
        ControlSubject::PutOwner => Some(encode(&owners::put(core, body).await)),
    }
}

async fn run_command(core: &Arc<Core>, command: HostCommand, body: &Bytes) -> Ack {
    match command {
        HostCommand::ScaleActor => commands::scale_actor(core, body),
        HostCommand::StopActor => commands::stop_actor(core, body).await,
        HostCommand::UpdateActor => commands::update_actor(core, body).await,
        HostCommand::StartProvider => commands::start_provider(core, body),
        HostCommand::StopProvider => commands::stop_provider(core, body).await,
        HostCommand::StopHost => commands::stop_host(core, body),
    }
}

/// Whether a subject belongs to this host or to everybody, as opposed to another host of the lattice.
pub fn is_for_us(core: &Core, subject: &ControlSubject) -> bool {
    match subject {
        ControlSubject::Command(host, _)
        | ControlSubject::GetInventory(host)
        | ControlSubject::AskWhy(host)
        | ControlSubject::PutLabel(host)
        | ControlSubject::DeleteLabel(host) => *host == core.identity.host_id,
        _ => true,
    }
}
