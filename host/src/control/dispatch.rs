//! From a subject and a body to a reply, or to silence where the protocol wants silence (protocol sections 3.2, 3.3).
//!
//! Every operation is named here once; there is no arm for the rest, so that a new one cannot be forgotten.

use std::sync::Arc;

use bytes::Bytes;
use lattice::{
    control::{Ack, UNSUPPORTED_SUBJECT, encode},
    subject::{ControlSubject, HostCommand},
};

use super::{auction, claims, commands, config, face::Control, labels, links, owners, registries, revocations, why};

/// Answers one control request; none means that the protocol wants no reply.
pub async fn dispatch(control: &Arc<Control>, subject: &str, body: &Bytes) -> Option<Vec<u8>> {
    let parsed = match ControlSubject::parse(&control.root, subject) {
        Ok(parsed) => parsed,
        Err(error) => {
            tracing::warn!(%subject, %error, "control request on a subject without handler");
            return Some(encode(&Ack::refused(UNSUPPORTED_SUBJECT)));
        }
    };
    match parsed {
        ControlSubject::PingHosts => Some(encode(&control.inventory.summary())),
        ControlSubject::GetInventory(_) => Some(encode(&control.inventory.everything())),
        ControlSubject::AskWhy(_) => Some(why::answer(control, body).await),
        ControlSubject::GetClaims => Some(claims::list(control, body)),
        ControlSubject::GetLinks => Some(links::list(control, body)),
        ControlSubject::AuctionActor => auction::actor(control, body),
        ControlSubject::AuctionProvider => auction::provider(control, body),
        ControlSubject::Command(_, command) => Some(encode(&run_command(control, command, body).await)),
        ControlSubject::PutLabel(_) => Some(encode(&labels::put(&control.identity.labels, body).await)),
        ControlSubject::DeleteLabel(_) => Some(encode(&labels::delete(&control.identity.labels, body).await)),
        ControlSubject::PutRegistries => Some(encode(&registries::put(control, body))),
        ControlSubject::PutLink => Some(encode(&links::put(control, body).await)),
        ControlSubject::DeleteLink => Some(encode(&links::delete(control, body).await)),
        ControlSubject::PutConfig(key) => Some(encode(&config::put(control, &key, body).await)),
        ControlSubject::DeleteConfig(key) => Some(encode(&config::delete(control, &key).await)),
        ControlSubject::ClearConfig(entity) => Some(encode(&config::clear(control, &entity).await)),
        ControlSubject::GetConfig(key) => Some(config::get(control, &key)),
        ControlSubject::GetAllConfig(entity) => Some(config::get_all(control, &entity)),
        ControlSubject::PutRevocations => Some(encode(&revocations::put(control, body).await)),
        ControlSubject::GetRevocations => Some(revocations::get(control, body)),
        ControlSubject::PutOwner => Some(encode(&owners::put(control, body).await)),
    }
}

async fn run_command(control: &Arc<Control>, command: HostCommand, body: &Bytes) -> Ack {
    match command {
        HostCommand::ScaleActor => commands::scale_actor(&control.workloads, body),
        HostCommand::StopActor => commands::stop_actor(&control.workloads, body).await,
        HostCommand::UpdateActor => commands::update_actor(&control.workloads, body).await,
        HostCommand::StartProvider => commands::start_provider(&control.workloads, body),
        HostCommand::StopProvider => commands::stop_provider(&control.workloads, body).await,
        HostCommand::StopHost => commands::stop_host(&control.life, body),
    }
}

/// Whether a subject belongs to this host or to everybody, as opposed to another host of the lattice.
pub fn is_for_us(control: &Control, subject: &ControlSubject) -> bool {
    subject.host().is_none_or(|host| *host == control.identity.host_id)
}
