//! What the lattice is told about the life of an actor. Every outcome is told in the words of the command: the
//! reference as the client wrote it.

use claims::ActorId;
use lattice::{
    control::{ScaleActor, UpdateActor},
    event::{ActorClaims, ActorScaleFailed, ActorScaled, ActorsStartFailed, ActorsStarted, ActorsStopped, EventData},
};

use super::ActorError;
use crate::{actors::RunningActor, core::Core, process::error_chain::reason, state::scale::Annotations};

/// Instances were added.
pub(super) fn started(core: &Core, actor: &RunningActor, annotations: &Annotations, count: u32) {
    core.emit(EventData::ActorsStarted(ActorsStarted {
        public_key: actor.id,
        image_ref: actor.image_ref.clone(),
        annotations: annotations.clone(),
        host_id: core.identity.host_id,
        claims: actor.shown.clone(),
        count,
    }));
}

/// Instances were removed.
pub(super) fn stopped(core: &Core, actor: &RunningActor, annotations: &Annotations, count: u32, remaining: u32) {
    core.emit(EventData::ActorsStopped(ActorsStopped {
        public_key: actor.id,
        image_ref: actor.image_ref.clone(),
        annotations: annotations.clone(),
        host_id: core.identity.host_id,
        count,
        remaining,
    }));
}

/// A running actor has this maximum now.
pub(super) fn scaled(core: &Core, actor: &RunningActor, annotations: &Annotations, max_instances: u32) {
    core.emit(EventData::ActorScaled(ActorScaled {
        public_key: actor.id,
        claims: actor.shown.clone(),
        annotations: annotations.clone(),
        host_id: core.identity.host_id,
        image_ref: actor.image_ref.clone(),
        max_instances,
    }));
}

/// A scale command came to its end; `claims` are empty for an actor that was not to run and is not known.
pub(super) fn obeyed(core: &Core, id: ActorId, claims: ActorClaims, command: &ScaleActor) {
    core.emit(EventData::ActorScaled(ActorScaled {
        public_key: id,
        claims,
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        image_ref: command.actor_ref.clone(),
        max_instances: command.max_instances,
    }));
}

/// One version took another's place.
pub(super) fn updated(core: &Core, old: &RunningActor, new: &RunningActor, command: &UpdateActor, max: u32) {
    started(core, new, &command.annotations, max);
    scaled(core, new, &command.annotations, max);
    stopped(core, old, &command.annotations, max, max);
}

/// A scale command failed.
pub(super) fn failed(core: &Core, id: Option<ActorId>, command: &ScaleActor, error: &ActorError) {
    let (code, error) = (Some(error.code().to_owned()), reason(error));
    core.emit(EventData::ActorsStartFailed(ActorsStartFailed {
        public_key: id,
        image_ref: command.actor_ref.clone(),
        actor_ref: command.actor_ref.clone(),
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        error: error.clone(),
    }));
    core.emit(EventData::ActorScaleFailed(ActorScaleFailed {
        public_key: id,
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        image_ref: command.actor_ref.clone(),
        actor_ref: command.actor_ref.clone(),
        max_instances: command.max_instances,
        error,
        code,
    }));
}
