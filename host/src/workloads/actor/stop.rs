//! Stopping actors: by reference, by id, or because a revocation list names them.
//!
//! What is wanted is changed first, then what runs: whatever fails on the way, nothing starts it again. Invariant: events
//! precede the answer.

use std::sync::Arc;

use claims::ActorId;
use lattice::control::{ScaleActor, StopActor};

use super::{ActorError, find, report};
use crate::{
    actors::{Grace, Left, RunningActor, broken_limits, close_later},
    artifacts::ArtifactRef,
    core::Core,
    state::{
        revocations::Named,
        scale::{Annotations, Decision, Runs, covers, decide},
    },
};

/// A scale command to zero: stops one annotation set of what runs from a reference.
pub(super) async fn by_reference(core: &Arc<Core>, command: &ScaleActor) -> Result<(), ActorError> {
    let reference = ArtifactRef::parse(&command.actor_ref)?;
    let annotations = &command.annotations;
    let given_up = core.wanted.change(|wanted| {
        wanted.give_up_actors(|entry| {
            entry.command.actor_ref.trim() == reference.as_str() && entry.command.annotations == *annotations
        })
    });
    let given_up: Vec<ActorId> = given_up.await.into_iter().filter_map(|entry| entry.id).collect();
    for (id, claims) in find::to_stop(core, command, &reference, &given_up).await? {
        let _guard = core.actors.change(&id).await;
        let running = core.actors.of_set(&id, annotations);
        let runs = running.as_ref().map(|actor| Runs {
            reference: &actor.image_ref,
            max: actor.max_of(annotations).unwrap_or(0),
            current: true,
        });
        let decision = decide(runs, reference.as_str(), 0);
        if let (Some(actor), Decision::Lower { removed, .. }) = (running, decision) {
            give_up(core, &actor, annotations).await;
            end_set(core, &actor, annotations, removed, Grace::USUAL);
            if actor.image_ref == command.actor_ref {
                continue;
            }
        }
        report::obeyed(core, id, claims, command);
    }
    core.failures.given_up(reference.as_str());
    Ok(())
}

/// Stops the annotation sets that carry all given annotations. `starting` is how many starts of it were under way when
/// the command came; those end without effect. Events precede the answer.
///
/// # Errors
/// The sentences of the protocol (section 3.3, `sa`).
pub async fn stop(core: &Arc<Core>, command: StopActor, starting: usize) -> Result<(), String> {
    let id = command.actor_id;
    let of_actor: Vec<String> = core.actors.versions(&id).iter().map(|version| version.image_ref.clone()).collect();
    let given_up = core.wanted.change(|wanted| {
        wanted.give_up_actors(|entry| {
            let is_it = entry.id.map_or_else(
                || of_actor.iter().any(|reference| reference == entry.command.actor_ref.trim()),
                |wanted| wanted == id,
            );
            is_it && covers(&entry.command.annotations, &command.annotations)
        })
    });
    let given_up = given_up.await;
    let _guard = core.actors.change(&id).await;
    let versions = core.actors.versions(&id);
    let sets = versions.iter().flat_map(|version| version.instances().into_iter().map(move |set| (version, set)));
    let matching: Vec<_> = sets.filter(|(_, (set, _))| covers(set, &command.annotations)).collect();
    for entry in &given_up {
        core.failures.given_up(entry.command.actor_ref.trim());
    }
    if matching.is_empty() && given_up.is_empty() && starting == 0 {
        return Err(match versions.is_empty() {
            true => "actor is not running on this host".to_owned(),
            false => "no actors with matching annotations found to stop".to_owned(),
        });
    }
    for (actor, (annotations, instance)) in matching {
        give_up(core, actor, &annotations).await;
        end_set(core, actor, &annotations, instance.max_instances, Grace::USUAL);
    }
    Ok(())
}

/// Stops a version that a revocation list names. From the first moment its calls are refused, and calls to it. Whether
/// it was this that stopped it: somebody else may have been faster.
pub async fn revoke(core: &Arc<Core>, actor: &Arc<RunningActor>, named: &Named) -> bool {
    actor.bar();
    let _guard = core.actors.change(&actor.id).await;
    if !core.actors.holds(actor) {
        return false;
    }
    core.wanted.change(|wanted| wanted.forget_actor(&actor.image_ref, Some(actor.id))).await;
    tracing::warn!(actor = %actor.id, reference = %actor.image_ref, reason = %named, signer = %named.signer, "actor revoked");
    for (annotations, instance) in actor.instances() {
        end_set(core, actor, &annotations, instance.max_instances, Grace::NONE);
    }
    true
}

async fn give_up(core: &Core, actor: &RunningActor, annotations: &Annotations) {
    core.wanted.change(|wanted| wanted.scale(actor.id, &actor.image_ref, annotations, 0, &actor.limits)).await;
}

/// Ends one annotation set, removing the version with its last one.
fn end_set(core: &Arc<Core>, actor: &Arc<RunningActor>, annotations: &Annotations, count: u32, grace: Grace) {
    if actor.set(annotations, 0) == 0 {
        if let Left::Vacant(vacancy) = core.actors.remove(actor) {
            core.failures.stopped(&actor.id);
            close_later(core, actor.id, vacancy, grace);
        }
        broken_limits::tell(core, actor);
    }
    tracing::info!(actor = %actor.id, reference = %actor.image_ref, "actor stopped");
    report::stopped(core, actor, annotations, count, 0);
    report::scaled(core, actor, annotations, 0);
}
