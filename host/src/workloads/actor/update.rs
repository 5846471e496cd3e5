//! An update command: another version takes the place of one annotation set.

use std::sync::Arc;

use lattice::control::UpdateActor;
use lattice_state::scale::Annotations;
use runtime::LimitSettings;

use super::{
    error::ActorError,
    face::ActorWorkloads,
    load::{check_not_revoked, fetch_verified, load},
};
use crate::{actors::RunningActor, artifacts::ArtifactRef};

/// Replaces one annotation set of a running actor by another version; the old one serves until the new one can.
///
/// # Errors
/// [`ActorError`]; the old version keeps running.
pub async fn update(work: &Arc<ActorWorkloads>, command: &UpdateActor) -> Result<(), ActorError> {
    let (id, annotations) = (command.actor_id, &command.annotations);
    let runs = || {
        if work.actors.versions(&id).is_empty() {
            return Err(ActorError::NotRunning);
        }
        let old = work.actors.of_set(&id, annotations).ok_or(ActorError::NoSuchInstance)?;
        let max = old.max_of(annotations).ok_or(ActorError::NoSuchInstance)?;
        Ok((old, max))
    };
    let (old, _) = runs()?; // before anything is fetched
    let mut new = replacement(work, command, old.limits.clone()).await?;
    let _guard = work.actors.change(&id).await;
    let (old, max) = runs()?;
    if new.has_ended() && !work.actors.holds(&new) {
        new = replacement(work, command, old.limits.clone()).await?; // another set ran it, and was stopped meanwhile
    }
    if !Arc::ptr_eq(&old, &new) {
        replace(work, &old, &new, annotations)?;
    }
    work.desired.change(|wanted| wanted.scale(id, &new.image_ref, annotations, max, &new.limits)).await;
    tracing::info!(actor = %new.id, from = %old.image_ref, to = %new.image_ref, "actor updated");
    work.reports.failures.started(&new.image_ref);
    work.reports.updated(&old, &new, command, max);
    Ok(())
}

/// Lets an annotation set run from another version. Calls under way end where they began.
pub(super) fn replace(
    work: &ActorWorkloads,
    old: &Arc<RunningActor>,
    new: &Arc<RunningActor>,
    annotations: &Annotations,
) -> Result<(), ActorError> {
    let is_new = !work.actors.holds(new);
    let left = new.take_over(old, annotations);
    if is_new {
        work.actors.insert(new);
        if let Err(revoked) = check_not_revoked(work, &new.image_ref, &new.provenance) {
            new.give_back(old, annotations);
            work.actors.remove(new);
            return Err(revoked);
        }
    }
    if left == 0 {
        work.actors.remove(old);
    }
    work.broken_limits.tell(old);
    Ok(())
}

async fn replacement(
    work: &Arc<ActorWorkloads>,
    command: &UpdateActor,
    limits: LimitSettings,
) -> Result<Arc<RunningActor>, ActorError> {
    let reference = ArtifactRef::parse(&command.new_actor_ref)?;
    let verified = fetch_verified(work, &reference).await?;
    let found = verified.signed.id;
    if found != command.actor_id {
        let reference = reference.as_str().to_owned();
        let (found, expected) = (Box::new(found), Box::new(command.actor_id));
        return Err(ActorError::OtherActor { reference, found, expected });
    }
    work.may_start(&found, verified.provenance.issuer).await?;
    match work.actors.loaded(&found, reference.as_str(), &verified.provenance, Some(&limits)) {
        Some(loaded) => Ok(loaded),
        None => load(work, &reference, verified, limits).await,
    }
}
