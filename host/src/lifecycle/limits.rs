//! Limits that a start asks for: refused above what the host allows, put into effect for what runs already.
//!
//! Limits are part of a load, so other limits mean another load of the same bytes, in the place of the first. Invariant:
//! an actor runs with one set of limits, whichever annotation set its last start was about.

use std::sync::Arc;

use claims::ActorId;
use lattice::control::ScaleActor;
use runtime::{LimitError, LimitSettings};

use super::{
    ActorError,
    load::{fetch_verified, load},
    replace,
};
use crate::{artifacts::ArtifactRef, core::Core};

/// What a command asks for; none leaves what is.
pub(super) fn asked(core: &Core, command: &ScaleActor) -> Result<Option<LimitSettings>, ActorError> {
    let refused = |source: LimitError| {
        let reference = command.actor_ref.trim().to_owned();
        ActorError::Limits { reference, source: Box::new(source) }
    };
    let Some(texts) = &command.limits else { return Ok(None) };
    let limits = LimitSettings::from_texts(texts).map_err(refused)?;
    limits.check_within(&core.config.most).map_err(refused)?;
    Ok(Some(limits))
}

/// Gives a running actor other limits. The caller holds the actor.
pub(super) async fn put(
    core: &Arc<Core>,
    reference: &ArtifactRef,
    id: ActorId,
    limits: &LimitSettings,
) -> Result<(), ActorError> {
    let Some(old) = core.actors.get(&id) else { return Ok(()) };
    if old.limits == *limits || old.image_ref != reference.as_str() {
        return Ok(());
    }
    let verified = fetch_verified(core, reference).await?;
    let new = load(core, reference, verified, limits.clone()).await?;
    if new.id != id {
        let (found, expected) = (Box::new(new.id), Box::new(id));
        return Err(ActorError::OtherActor { reference: reference.as_str().to_owned(), found, expected });
    }
    replace(core, &old, &new)?;
    core.wanted.change(|wanted| wanted.limit(&new.image_ref, limits)).await;
    tracing::info!(actor = %id, reference = %new.image_ref, limits = ?limits.to_texts(), "actor has other limits");
    Ok(())
}
