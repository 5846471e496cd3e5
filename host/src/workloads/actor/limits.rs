//! Limits that a start asks for: refused above what the host allows, put into effect for what runs already.
//!
//! Limits are part of a load, so other limits mean another load of the same bytes, in the place of the first. Invariant:
//! the limits of an annotation set are those of the last start that named some for it.

use std::sync::Arc;

use lattice::control::ScaleActor;
use runtime::{LimitError, LimitSettings};

use super::{
    error::ActorError,
    face::ActorWorkloads,
    load::{fetch_verified, load},
    update::replace,
};
use crate::{actors::RunningActor, artifacts::ArtifactRef};

/// What a command asks for; none leaves what is.
pub(super) fn asked(work: &ActorWorkloads, command: &ScaleActor) -> Result<Option<LimitSettings>, ActorError> {
    let refused = |source: LimitError| {
        let reference = command.actor_ref.trim().to_owned();
        ActorError::Limits { reference, source: Box::new(source) }
    };
    let Some(texts) = &command.limits else { return Ok(None) };
    let limits = LimitSettings::from_texts(texts).map_err(refused)?;
    limits.check_within(&work.most).map_err(refused)?;
    Ok(Some(limits))
}

/// Gives an annotation set of a running actor other limits: what it runs from then on. The caller holds the actor.
pub(super) async fn put(
    work: &Arc<ActorWorkloads>,
    old: Arc<RunningActor>,
    command: &ScaleActor,
    limits: &LimitSettings,
) -> Result<Arc<RunningActor>, ActorError> {
    if old.limits == *limits {
        return Ok(old);
    }
    let reference = ArtifactRef::parse(&old.image_ref)?;
    let verified = fetch_verified(work, &reference).await?;
    if verified.signed.id != old.id {
        let (found, expected) = (Box::new(verified.signed.id), Box::new(old.id));
        return Err(ActorError::OtherActor { reference: old.image_ref.clone(), found, expected });
    }
    let new = match work.actors.loaded(&old.id, &old.image_ref, &verified.provenance, Some(limits)) {
        Some(loaded) => loaded,
        None => load(work, &reference, verified, limits.clone()).await?,
    };
    replace(work, &old, &new, &command.annotations)?;
    tracing::info!(actor = %new.id, reference = %new.image_ref, limits = ?limits.to_texts(), "actor has other limits");
    Ok(new)
}
