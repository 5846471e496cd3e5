//! Which actor a scale command is about: what its claims say (protocol section 8.3).
//!
//! A reference that something runs from already needs no second look, except a file: that may hold another version by
//! now, or another actor. Invariant: nothing is started under an id that its own claims do not name.

use std::sync::Arc;

use claims::ActorId;
use lattice::{control::ScaleActor, event::ActorClaims};

use super::{
    error::ActorError,
    face::ActorWorkloads,
    load::{Verified, fetch_verified, shown_claims},
};
use crate::{
    actors::RunningActor,
    artifacts::{ArtifactRef, Location},
};

/// What a command is to run.
pub(super) enum Found {
    /// Something that runs from the reference, so that nothing had to be fetched.
    Running(Arc<RunningActor>),
    /// What the reference leads to.
    Fetched(Box<Verified>),
}

impl Found {
    pub(super) fn id(&self) -> ActorId {
        match self {
            Self::Running(actor) => actor.id,
            Self::Fetched(verified) => verified.signed.id,
        }
    }

    pub(super) fn issuer(&self) -> claims::AccountId {
        match self {
            Self::Running(actor) => actor.provenance.issuer,
            Self::Fetched(verified) => verified.provenance.issuer,
        }
    }

    /// Whether a version runs this very code.
    pub(super) fn is_code_of(&self, running: &RunningActor) -> bool {
        match self {
            Self::Running(_) => true,
            Self::Fetched(verified) => running.provenance.digests == verified.provenance.digests,
        }
    }
}

/// What a command is to run.
pub(super) async fn to_run(
    work: &ActorWorkloads,
    command: &ScaleActor,
    reference: &ArtifactRef,
) -> Result<Found, ActorError> {
    let running = work.actors.running_from(reference.as_str());
    let of_set = running.iter().find(|version| version.max_of(&command.annotations).is_some());
    let Some(running) = of_set.or(running.first()).cloned() else {
        return fetch_verified(work, reference).await.map(|fetched| Found::Fetched(Box::new(fetched)));
    };
    if !matches!(reference.location(), Location::File(_)) {
        return Ok(Found::Running(running));
    }
    match fetch_verified(work, reference).await {
        // A file that is gone, or may no longer be read, does not keep what runs from running.
        Err(ActorError::Fetch(_)) => Ok(Found::Running(running)),
        found => found.map(|fetched| Found::Fetched(Box::new(fetched))),
    }
}

/// The actors that a command is to stop, with their claims where they are known. What runs is known; of what does not, an
/// earlier start was remembered as `given_up`, or its artifact says who it is.
pub(super) async fn to_stop(
    work: &ActorWorkloads,
    command: &ScaleActor,
    reference: &ArtifactRef,
    given_up: &[ActorId],
) -> Result<Vec<(ActorId, ActorClaims)>, ActorError> {
    let mut running = work.actors.running_from(reference.as_str());
    running.retain(|version| version.max_of(&command.annotations).is_some());
    if !running.is_empty() {
        return Ok(running.iter().map(|version| (version.id, version.shown.clone())).collect());
    }
    if !given_up.is_empty() {
        return Ok(given_up.iter().map(|id| (*id, ActorClaims::default())).collect());
    }
    let verified = fetch_verified(work, reference).await?;
    Ok(vec![(verified.signed.id, shown_claims(&verified.signed))])
}
