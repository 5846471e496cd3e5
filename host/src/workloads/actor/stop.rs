//! Stopping actors: by reference, by id, or because a revocation list names them.
//!
//! What is wanted is changed first, then what runs: whatever fails on the way, nothing starts it again. Invariant: events
//! precede the answer.

use std::sync::Arc;

use claims::ActorId;
use lattice::control::{ScaleActor, StopActor};

use lattice_state::{
    revocations::Named,
    scale::{Annotations, Decision, Runs, covers, decide},
};

use super::{error::ActorError, face::ActorWorkloads, find};
use crate::{
    actors::{Left, RunningActor},
    artifacts::ArtifactRef,
    workloads::vacancy::{Grace, close_later},
};

/// Why nothing was stopped, in the sentences of the protocol (section 3.3, `sa`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStopped {
    /// Nothing of it runs.
    #[error("actor is not running on this host")]
    NotRunning,
    /// It runs, but not so.
    #[error("no actors with matching annotations found to stop")]
    NoneMatches,
}

/// A scale command to zero: stops one annotation set of what runs from a reference.
pub(super) async fn by_reference(work: &Arc<ActorWorkloads>, command: &ScaleActor) -> Result<(), ActorError> {
    let reference = ArtifactRef::parse(&command.actor_ref)?;
    let annotations = &command.annotations;
    let given_up = work.desired.change(|wanted| {
        wanted.give_up_actors(|entry| {
            entry.command.actor_ref.trim() == reference.as_str() && entry.command.annotations == *annotations
        })
    });
    let given_up: Vec<ActorId> = given_up.await.into_iter().filter_map(|entry| entry.id).collect();
    for (id, claims) in find::to_stop(work, command, &reference, &given_up).await? {
        let _guard = work.actors.change(&id).await;
        let running = work.actors.of_set(&id, annotations);
        let runs = running.as_ref().map(|actor| Runs {
            reference: &actor.image_ref,
            max: actor.max_of(annotations).unwrap_or(0),
            current: true,
        });
        let decision = decide(runs, reference.as_str(), 0);
        if let (Some(actor), Decision::Lower { removed, .. }) = (running, decision) {
            give_up(work, &actor, annotations).await;
            end_set(work, &actor, annotations, removed, Grace::USUAL);
            if actor.image_ref == command.actor_ref {
                continue;
            }
        }
        work.reports.obeyed(id, claims, command);
    }
    work.reports.failures.given_up(reference.as_str());
    Ok(())
}

/// Stops the annotation sets that carry all given annotations. `starting` is how many starts of it were under way when
/// the command came; those end without effect. Events precede the answer.
///
/// # Errors
/// [`NotStopped`].
pub async fn stop(work: &Arc<ActorWorkloads>, command: StopActor, starting: usize) -> Result<(), NotStopped> {
    let id = command.actor_id;
    let of_actor: Vec<String> = work.actors.versions(&id).iter().map(|version| version.image_ref.clone()).collect();
    let given_up = work.desired.change(|wanted| {
        wanted.give_up_actors(|entry| {
            let is_it = entry.id.map_or_else(
                || of_actor.iter().any(|reference| reference == entry.command.actor_ref.trim()),
                |wanted| wanted == id,
            );
            is_it && covers(&entry.command.annotations, &command.annotations)
        })
    });
    let given_up = given_up.await;
    let _guard = work.actors.change(&id).await;
    let versions = work.actors.versions(&id);
    let sets = versions.iter().flat_map(|version| version.instances().into_iter().map(move |set| (version, set)));
    let matching: Vec<_> = sets.filter(|(_, (set, _))| covers(set, &command.annotations)).collect();
    for entry in &given_up {
        work.reports.failures.given_up(entry.command.actor_ref.trim());
    }
    if matching.is_empty() && given_up.is_empty() && starting == 0 {
        return Err(match versions.is_empty() {
            true => NotStopped::NotRunning,
            false => NotStopped::NoneMatches,
        });
    }
    for (actor, (annotations, instance)) in matching {
        give_up(work, actor, &annotations).await;
        end_set(work, actor, &annotations, instance.max_instances, Grace::USUAL);
    }
    Ok(())
}

/// Stops a version that a revocation list names. From the first moment its calls are refused, and calls to it. Whether
/// it was this that stopped it: somebody else may have been faster.
pub async fn revoke(work: &Arc<ActorWorkloads>, actor: &Arc<RunningActor>, named: &Named) -> bool {
    actor.bar();
    let _guard = work.actors.change(&actor.id).await;
    if !work.actors.holds(actor) {
        return false;
    }
    work.desired.change(|wanted| wanted.forget_actor(&actor.image_ref, Some(actor.id))).await;
    tracing::warn!(actor = %actor.id, reference = %actor.image_ref, reason = %named, signer = %named.signer, "actor revoked");
    for (annotations, instance) in actor.instances() {
        end_set(work, actor, &annotations, instance.max_instances, Grace::NONE);
    }
    true
}

async fn give_up(work: &ActorWorkloads, actor: &RunningActor, annotations: &Annotations) {
    work.desired.change(|wanted| wanted.scale(actor.id, &actor.image_ref, annotations, 0, &actor.limits)).await;
}

/// Ends one annotation set, removing the version with its last one.
fn end_set(work: &Arc<ActorWorkloads>, actor: &Arc<RunningActor>, annotations: &Annotations, count: u32, grace: Grace) {
    if actor.set(annotations, 0) == 0 {
        if let Left::Vacant(vacancy) = work.actors.remove(actor) {
            work.reports.failures.stopped(&actor.id);
            close_later(work, actor.id, vacancy, grace);
        }
        work.broken_limits.tell(actor);
    }
    tracing::info!(actor = %actor.id, reference = %actor.image_ref, "actor stopped");
    work.reports.stopped(actor, annotations, count, 0);
    work.reports.scaled(actor, annotations, 0);
}
