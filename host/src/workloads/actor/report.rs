//! What the lattice is told about the life of an actor. Every outcome is told in the words of the command: the
//! reference as the client wrote it.

use std::sync::Arc;

use claims::{ActorId, HostId};
use lattice::{
    control::{ScaleActor, UpdateActor},
    event::{ActorClaims, ActorScaleFailed, ActorScaled, ActorsStartFailed, ActorsStarted, ActorsStopped, EventData},
};

use lattice_state::scale::Annotations;

use super::error::ActorError;
use crate::{actors::RunningActor, events::Events, failures::Failures, process::error_chain::error_chain};

/// Tells the lattice, and remembers what failed.
pub struct Reports {
    host: HostId,
    events: Events,
    /// What failed lately.
    pub failures: Arc<Failures>,
}

impl Reports {
    /// Of this host.
    #[must_use]
    pub fn new(host: HostId, events: Events, failures: Arc<Failures>) -> Self {
        Self { host, events, failures }
    }

    /// Instances were added.
    pub fn started(&self, actor: &RunningActor, annotations: &Annotations, count: u32) {
        self.events.emit(EventData::ActorsStarted(ActorsStarted {
            public_key: actor.id,
            image_ref: actor.image_ref.clone(),
            annotations: annotations.clone(),
            host_id: self.host,
            claims: actor.shown.clone(),
            count,
        }));
    }

    /// Instances were removed.
    pub fn stopped(&self, actor: &RunningActor, annotations: &Annotations, count: u32, remaining: u32) {
        self.events.emit(EventData::ActorsStopped(ActorsStopped {
            public_key: actor.id,
            image_ref: actor.image_ref.clone(),
            annotations: annotations.clone(),
            host_id: self.host,
            count,
            remaining,
        }));
    }

    /// A running actor has this maximum now.
    pub fn scaled(&self, actor: &RunningActor, annotations: &Annotations, max_instances: u32) {
        self.events.emit(EventData::ActorScaled(ActorScaled {
            public_key: actor.id,
            claims: actor.shown.clone(),
            annotations: annotations.clone(),
            host_id: self.host,
            image_ref: actor.image_ref.clone(),
            max_instances,
        }));
    }

    /// A scale command came to its end; `claims` are empty for an actor that was not to run and is not known.
    pub fn obeyed(&self, id: ActorId, claims: ActorClaims, command: &ScaleActor) {
        self.events.emit(EventData::ActorScaled(ActorScaled {
            public_key: id,
            claims,
            annotations: command.annotations.clone(),
            host_id: self.host,
            image_ref: command.actor_ref.clone(),
            max_instances: command.max_instances,
        }));
    }

    /// One version took another's place.
    pub fn updated(&self, old: &RunningActor, new: &RunningActor, command: &UpdateActor, max: u32) {
        self.started(new, &command.annotations, max);
        self.scaled(new, &command.annotations, max);
        self.stopped(old, &command.annotations, max, max);
    }

    /// A scale command failed.
    pub fn failed(&self, id: Option<ActorId>, command: &ScaleActor, error: &ActorError) {
        let (code, error) = (Some(error.code().to_owned()), error_chain(error));
        self.events.emit(EventData::ActorsStartFailed(ActorsStartFailed {
            public_key: id,
            image_ref: command.actor_ref.clone(),
            actor_ref: command.actor_ref.clone(),
            annotations: command.annotations.clone(),
            host_id: self.host,
            error: error.clone(),
        }));
        self.events.emit(EventData::ActorScaleFailed(ActorScaleFailed {
            public_key: id,
            annotations: command.annotations.clone(),
            host_id: self.host,
            image_ref: command.actor_ref.clone(),
            actor_ref: command.actor_ref.clone(),
            max_instances: command.max_instances,
            error,
            code,
        }));
    }
}
