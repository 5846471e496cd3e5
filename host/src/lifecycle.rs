//! Starting, scaling, stopping and updating actors (protocol section 8.3).
//!
//! What takes long (fetch, compile) happens before an actor is taken hold of, so that a stop never waits for it; what
//! ran before a failed step keeps running. Whatever takes effect is compared with the revocation lists once more
//! afterwards: a list that came in between finds it, or is found. Invariant: every accepted command ends in an event
//! that carries the reference as the client wrote it.

mod error;
mod limits;
mod load;
mod report;

use std::{sync::Arc, time::Instant};

use claims::ActorId;
use lattice::{
    control::{ScaleActor, StopActor, UpdateActor},
    event::ActorClaims,
};
use runtime::LimitSettings;

pub use self::error::ActorError;
use self::load::{Verified, check_not_revoked, fetch_verified, load, shown_claims};
use crate::{
    actors::RunningActor,
    artifacts::{ArtifactRef, Kind, Location},
    breaches,
    core::Core,
    metrics::StartStep,
    policy,
    reason::reason,
    rpc,
    state::{
        revocations::{Named, Provenance},
        scale::{Annotations, Decision, covers, decide},
    },
};

/// Applies a scale command and tells the lattice how it went.
///
/// # Errors
/// What the lattice was told, for whoever may try again.
pub async fn scale(core: Arc<Core>, command: ScaleActor) -> Result<(), ActorError> {
    let (id, error) = match try_scale(&core, &command).await {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    tracing::warn!(error = &error as &dyn std::error::Error, code = error.code(), reference = %command.actor_ref, "cannot scale actor");
    if matches!(error, ActorError::Revoked { .. }) {
        core.wanted.change(|wanted| wanted.forget_actor(command.actor_ref.trim())).await;
    }
    core.failures.not_started(command.actor_ref.trim(), id.or(error.actor()), error.code(), &reason(&error));
    report::failed(&core, id, &command, &reason(&error));
    Err(error)
}

async fn try_scale(core: &Arc<Core>, command: &ScaleActor) -> Result<(), (Option<ActorId>, ActorError)> {
    let began = Instant::now();
    let reference = ArtifactRef::parse(&command.actor_ref).map_err(|error| (None, error.into()))?;
    let limits = limits::asked(core, command).map_err(|error| (None, error))?;
    let mut verified = None;
    let id = match core.actors.by_reference(reference.as_str()) {
        Some(running) => {
            let raised = running.max_of(&command.annotations).unwrap_or(0) <= command.max_instances;
            if raised && command.max_instances > 0 {
                check_unchanged(core, &reference, &running).await.map_err(|error| (Some(running.id), error))?;
                permit(core, running.id, &running.provenance).await?;
            }
            running.id
        }
        None => {
            let fetched = fetch_verified(core, &reference).await.map_err(|error| (None, error))?;
            let id = fetched.signed.id;
            if command.max_instances > 0 {
                permit(core, id, &fetched.provenance).await?;
            }
            verified = Some(fetched);
            id
        }
    };
    let _guard = core.actors.change(&id).await;
    if let Some(limits) = &limits
        && command.max_instances > 0
    {
        limits::put(core, &reference, id, limits).await.map_err(|error| (Some(id), error))?;
    }
    let starts = verified.is_some() && command.max_instances > 0;
    apply_scale(core, command, &reference, id, verified, limits.unwrap_or_default())
        .await
        .map_err(|error| (Some(id), error))?;
    if starts {
        core.metrics.started(StartStep::Total, began);
    }
    Ok(())
}

async fn permit(core: &Core, id: ActorId, artifact: &Provenance) -> Result<(), (Option<ActorId>, ActorError)> {
    policy::may_start_actor(core, &id, artifact.issuer).await.map_err(|error| (Some(id), error.into()))
}

/// Whoever starts a file that was built again since must not get the old one without a word.
async fn check_unchanged(core: &Core, reference: &ArtifactRef, running: &RunningActor) -> Result<(), ActorError> {
    if !matches!(reference.location(), Location::File(_)) {
        return Ok(());
    }
    // A file that is gone, or may no longer be read, does not keep what runs from running.
    let Ok(now) = core.artifacts.fetch(reference, Kind::Actor).await else { return Ok(()) };
    if now.digests == running.provenance.digests {
        return Ok(());
    }
    Err(ActorError::FileChanged { reference: reference.as_str().to_owned(), actor: running.id })
}

async fn apply_scale(
    core: &Arc<Core>,
    command: &ScaleActor,
    reference: &ArtifactRef,
    id: ActorId,
    verified: Option<Verified>,
    limits: LimitSettings,
) -> Result<(), ActorError> {
    let running = core.actors.get(&id);
    let current = running.as_ref().and_then(|actor| actor.max_of(&command.annotations));
    let running_ref = running.as_ref().map(|actor| actor.image_ref.as_str());
    match decide(running_ref, current, reference.as_str(), command.max_instances) {
        Decision::OtherReference => {
            Err(ActorError::OtherReference { running: running_ref.unwrap_or_default().to_owned() })
        }
        Decision::Unchanged => {
            let shown = match (&running, &verified) {
                (Some(actor), _) => actor.shown.clone(),
                (None, Some(verified)) => shown_claims(&verified.signed),
                (None, None) => ActorClaims::default(),
            };
            report::obeyed(core, id, shown, command);
            Ok(())
        }
        Decision::Raise { added } => {
            let actor = match (running, verified) {
                (Some(actor), _) => actor,
                (None, Some(verified)) => load(core, reference, verified, limits).await?,
                // It ran when the command came and was stopped since: fetch it again.
                (None, None) => load(core, reference, fetch_verified(core, reference).await?, limits).await?,
            };
            raise(core, actor, command, added).await
        }
        Decision::Lower { removed, remaining } => {
            if let Some(actor) = running {
                core.wanted
                    .change(|wanted| wanted.scale(&actor.image_ref, &command.annotations, remaining, &actor.limits))
                    .await;
                lower(core, &actor, &command.annotations, removed, remaining);
            }
            Ok(())
        }
    }
}

async fn raise(core: &Arc<Core>, actor: Arc<RunningActor>, command: &ScaleActor, added: u32) -> Result<(), ActorError> {
    let is_new = core.actors.get(&actor.id).is_none();
    actor.set(&command.annotations, command.max_instances);
    if is_new {
        core.actors.insert(actor.clone());
        if let Err(revoked) = check_not_revoked(core, &actor.image_ref, &actor.provenance) {
            core.actors.remove(&actor.id);
            return Err(revoked);
        }
        rpc::serve_actor(core, &actor);
    }
    core.wanted
        .change(|wanted| wanted.scale(&actor.image_ref, &command.annotations, command.max_instances, &actor.limits))
        .await;
    tracing::info!(actor = %actor.id, reference = %actor.image_ref, max_instances = command.max_instances, "actor scaled");
    report::started(core, &actor, &command.annotations, added);
    report::obeyed(core, actor.id, actor.shown.clone(), command);
    Ok(())
}

/// Lowers one annotation set, removing the actor with its last one.
fn lower(core: &Core, actor: &RunningActor, annotations: &Annotations, removed: u32, remaining: u32) {
    if actor.set(annotations, remaining) == 0 {
        core.actors.remove(&actor.id);
        breaches::tell(core, actor);
    }
    tracing::info!(actor = %actor.id, max_instances = remaining, "actor scaled");
    report::stopped(core, actor, annotations, removed, remaining);
    report::scaled(core, actor, annotations, remaining);
}

/// Stops the annotation sets that carry all given annotations. Events precede the answer.
///
/// # Errors
/// The sentences of the protocol (section 3.3, `sa`).
pub async fn stop(core: &Core, command: StopActor) -> Result<(), String> {
    let _guard = core.actors.change(&command.actor_id).await;
    let actor = core.actors.get(&command.actor_id).ok_or("actor is not running on this host")?;
    let matching: Vec<_> = actor.instances().into_iter().filter(|(set, _)| covers(set, &command.annotations)).collect();
    if matching.is_empty() {
        return Err("no actors with matching annotations found to stop".to_owned());
    }
    for (annotations, instance) in matching {
        core.wanted.change(|wanted| wanted.scale(&actor.image_ref, &annotations, 0, &actor.limits)).await;
        lower(core, &actor, &annotations, instance.max_instances, 0);
    }
    Ok(())
}

/// Stops an actor that a revocation list names. From the first moment its calls are refused, and calls to it. Whether
/// it was this that stopped it: somebody else may have been faster.
pub async fn revoke(core: &Core, actor: &Arc<RunningActor>, named: &Named) -> bool {
    actor.bar();
    let _guard = core.actors.change(&actor.id).await;
    if !core.actors.get(&actor.id).is_some_and(|running| Arc::ptr_eq(&running, actor)) {
        return false;
    }
    core.wanted.change(|wanted| wanted.forget_actor(&actor.image_ref)).await;
    tracing::warn!(actor = %actor.id, reference = %actor.image_ref, reason = %named, signer = %named.signer, "actor revoked");
    for (annotations, instance) in actor.instances() {
        lower(core, actor, &annotations, instance.max_instances, 0);
    }
    true
}

/// Replaces a running actor by another version of itself; the old one serves until the new one can.
///
/// # Errors
/// A sentence for the operator; the old version keeps running.
pub async fn update(core: &Arc<Core>, command: UpdateActor) -> Result<(), String> {
    try_update(core, &command).await.map_err(|error| reason(&error))
}

async fn try_update(core: &Arc<Core>, command: &UpdateActor) -> Result<(), ActorError> {
    let runs = || {
        let old = core.actors.get(&command.actor_id).ok_or(ActorError::NotRunning)?;
        let max = old.max_of(&command.annotations).ok_or(ActorError::NoSuchInstance)?;
        Ok::<_, ActorError>((old, max))
    };
    let (old, _) = runs()?; // before anything is fetched
    let new = replacement(core, command, old.limits.clone()).await?;
    let _guard = core.actors.change(&command.actor_id).await;
    let (old, max) = runs()?;
    replace(core, &old, &new)?;
    core.wanted.change(|wanted| wanted.update(&old.image_ref, &new.image_ref)).await;
    tracing::info!(actor = %new.id, from = %old.image_ref, to = %new.image_ref, "actor updated");
    report::updated(core, &old, &new, command, max);
    Ok(())
}

/// Puts one load of an actor in another's place, also in the queue group. Calls under way end where they began.
fn replace(core: &Core, old: &Arc<RunningActor>, new: &Arc<RunningActor>) -> Result<(), ActorError> {
    new.succeed(old);
    core.actors.insert(new.clone());
    if let Err(revoked) = check_not_revoked(core, &new.image_ref, &new.provenance) {
        core.actors.insert(old.clone());
        return Err(revoked);
    }
    breaches::tell(core, old);
    Ok(())
}

async fn replacement(
    core: &Arc<Core>,
    command: &UpdateActor,
    limits: LimitSettings,
) -> Result<Arc<RunningActor>, ActorError> {
    let reference = ArtifactRef::parse(&command.new_actor_ref)?;
    let verified = fetch_verified(core, &reference).await?;
    let found = verified.signed.id;
    if found != command.actor_id {
        let reference = reference.as_str().to_owned();
        let (found, expected) = (Box::new(found), Box::new(command.actor_id));
        return Err(ActorError::OtherActor { reference, found, expected });
    }
    policy::may_start_actor(core, &found, verified.provenance.issuer).await?;
    load(core, &reference, verified, limits).await
}
