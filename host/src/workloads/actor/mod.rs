//! Starting, scaling, stopping and updating actors (protocol section 8.3).
//!
//! What takes long (fetch, compile) happens before an actor is taken hold of, so that a stop never waits for it; what
//! ran before a failed step keeps running. A stop changes what is wanted first and then acts, so that nothing starts
//! again what it did not find. Whatever takes effect is compared with the revocation lists once more afterwards: a list
//! that came in between finds it, or is found. Invariant: every accepted command ends in an event that carries the
//! reference as the client wrote it.

mod error;
mod find;
mod limits;
mod load;
mod report;
mod stop;

use std::{sync::Arc, time::Instant};

use claims::ActorId;
use lattice::control::{ScaleActor, UpdateActor};
use runtime::LimitSettings;

pub use self::{
    error::ActorError,
    stop::{revoke, stop},
};
use self::{
    find::Found,
    load::{check_not_revoked, fetch_verified, load},
};
use crate::{
    actors::{Left, RunningActor, broken_limits},
    artifacts::ArtifactRef,
    calls::queue_subscription,
    core::Core,
    meters::StartStep,
    policy,
    process::error_chain::reason,
    state::scale::{Annotations, Decision, Runs, covers, decide},
    workloads::starts::Start,
};

/// A start of an actor that is under way; a stop may be about some annotation sets only.
pub type ActorStart = Start<ActorId, Annotations>;

type Failed = (Option<ActorId>, ActorError);

/// Applies a scale command and tells the lattice how it went. `start` is there when the command is to run something.
///
/// # Errors
/// What the lattice was told, for whoever may try again.
pub async fn scale(core: Arc<Core>, command: ScaleActor, start: Option<ActorStart>) -> Result<(), ActorError> {
    let outcome = match &start {
        Some(start) => try_scale(&core, &command, start).await,
        None => stop::by_reference(&core, &command).await.map_err(|error| (None, error)),
    };
    let (id, error) = match outcome {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let id = id.or(error.actor());
    tracing::warn!(error = &error as &dyn std::error::Error, code = error.code(), reference = %command.actor_ref, "cannot scale actor");
    if matches!(error, ActorError::Revoked { .. }) {
        core.wanted.change(|wanted| wanted.forget_actor(command.actor_ref.trim(), id)).await;
    }
    core.failures.not_started(command.actor_ref.trim(), id, error.code(), &reason(&error));
    report::failed(&core, id, &command, &error);
    Err(error)
}

async fn try_scale(core: &Arc<Core>, command: &ScaleActor, start: &ActorStart) -> Result<(), Failed> {
    let began = Instant::now();
    let reference = ArtifactRef::parse(&command.actor_ref).map_err(|error| (None, error.into()))?;
    let limits = limits::asked(core, command).map_err(|error| (None, error))?;
    let found = find::to_run(core, command, &reference).await.map_err(|error| (None, error))?;
    let id = found.id();
    start.is_about(id);
    let known = |error| (Some(id), error);
    let current = core.actors.of_set(&id, &command.annotations).and_then(|actor| actor.max_of(&command.annotations));
    if current.unwrap_or(0) <= command.max_instances {
        policy::may_start_actor(core, &id, found.issuer()).await.map_err(|error| known(error.into()))?;
    }
    let fetched = matches!(found, Found::Fetched(_));
    let _guard = core.actors.change(&id).await;
    if start.is_stopped(&id, |stopped| covers(&command.annotations, stopped)) {
        return Err(known(ActorError::StoppedMeanwhile { reference: reference.as_str().to_owned() }));
    }
    let started = apply(core, command, &reference, found, limits).await.map_err(known)?;
    core.failures.started(reference.as_str());
    if started && fetched {
        core.metrics.started(StartStep::Total, began);
    }
    Ok(())
}

/// Whether the annotation set did not run before. The caller holds the actor.
async fn apply(
    core: &Arc<Core>,
    command: &ScaleActor,
    reference: &ArtifactRef,
    found: Found,
    limits: Option<LimitSettings>,
) -> Result<bool, ActorError> {
    let (id, annotations, max) = (found.id(), &command.annotations, command.max_instances);
    let running = core.actors.of_set(&id, annotations);
    let runs = running.as_ref().map(|actor| Runs {
        reference: &actor.image_ref,
        max: actor.max_of(annotations).unwrap_or(0),
        current: found.is_code_of(actor),
    });
    let decision = decide(runs, reference.as_str(), max);
    match (running, decision) {
        (Some(actor), Decision::OtherReference) => Err(ActorError::OtherReference {
            actor: id,
            running: actor.image_ref.clone(),
            wanted: reference.as_str().to_owned(),
        }),
        (Some(_), Decision::OtherCode) => {
            Err(ActorError::FileChanged { reference: reference.as_str().to_owned(), actor: id })
        }
        (Some(actor), decision) => {
            let actor = match &limits {
                Some(limits) => limits::put(core, actor, command, limits).await?,
                None => actor,
            };
            change(core, actor, command, &decision).await;
            Ok(false)
        }
        (None, _) => {
            let actor = code(core, reference, found, limits).await?;
            start_set(core, &actor, command).await?;
            Ok(true)
        }
    }
}

/// The code for an annotation set that does not run: a version that is loaded already, or another one.
async fn code(
    core: &Arc<Core>,
    reference: &ArtifactRef,
    found: Found,
    limits: Option<LimitSettings>,
) -> Result<Arc<RunningActor>, ActorError> {
    let loaded = |artifact| core.actors.loaded(&found.id(), reference.as_str(), artifact, limits.as_ref());
    let verified = match &found {
        Found::Running(actor) => loaded(&actor.provenance),
        Found::Fetched(verified) => loaded(&verified.provenance),
    };
    match (verified, found) {
        (Some(loaded), _) => Ok(loaded),
        (None, Found::Fetched(verified)) => load(core, reference, *verified, limits.unwrap_or_default()).await,
        // It ran when the command came and was stopped since, or is to run with other limits: fetch it again.
        (None, Found::Running(actor)) => {
            let verified = fetch_verified(core, reference).await?;
            if verified.signed.id != actor.id {
                let (found, expected) = (Box::new(verified.signed.id), Box::new(actor.id));
                return Err(ActorError::OtherActor { reference: reference.as_str().to_owned(), found, expected });
            }
            load(core, reference, verified, limits.unwrap_or_default()).await
        }
    }
}

/// Starts an annotation set of a version.
async fn start_set(core: &Arc<Core>, actor: &Arc<RunningActor>, command: &ScaleActor) -> Result<(), ActorError> {
    let is_new = !core.actors.holds(actor);
    actor.set(&command.annotations, command.max_instances);
    if is_new {
        let has_no_place = core.actors.insert(actor);
        if let Err(revoked) = check_not_revoked(core, &actor.image_ref, &actor.provenance) {
            if let Left::Vacant(vacancy) = core.actors.remove(actor) {
                core.actors.close(&actor.id, vacancy);
            }
            return Err(revoked);
        }
        if has_no_place {
            queue_subscription::serve_actor(core, actor);
        }
    }
    changed(core, actor, command, command.max_instances).await;
    report::started(core, actor, &command.annotations, command.max_instances);
    report::obeyed(core, actor.id, actor.shown.clone(), command);
    Ok(())
}

/// Gives an annotation set that runs another maximum, if it has another one.
async fn change(core: &Arc<Core>, actor: Arc<RunningActor>, command: &ScaleActor, decision: &Decision) {
    actor.set(&command.annotations, command.max_instances);
    changed(core, &actor, command, command.max_instances).await;
    match *decision {
        Decision::Raise { added } => report::started(core, &actor, &command.annotations, added),
        Decision::Lower { removed, remaining } => {
            report::stopped(core, &actor, &command.annotations, removed, remaining);
        }
        Decision::Unchanged | Decision::OtherReference | Decision::OtherCode => {}
    }
    report::obeyed(core, actor.id, actor.shown.clone(), command);
}

async fn changed(core: &Core, actor: &RunningActor, command: &ScaleActor, max: u32) {
    let (reference, annotations) = (&actor.image_ref, &command.annotations);
    core.wanted.change(|wanted| wanted.scale(actor.id, reference, annotations, max, &actor.limits)).await;
    tracing::info!(actor = %actor.id, %reference, max_instances = max, "actor scaled");
}

/// Replaces one annotation set of a running actor by another version; the old one serves until the new one can.
///
/// # Errors
/// A sentence for the operator; the old version keeps running.
pub async fn update(core: &Arc<Core>, command: UpdateActor) -> Result<(), String> {
    try_update(core, &command).await.map_err(|error| reason(&error))
}

async fn try_update(core: &Arc<Core>, command: &UpdateActor) -> Result<(), ActorError> {
    let (id, annotations) = (command.actor_id, &command.annotations);
    let runs = || {
        if core.actors.versions(&id).is_empty() {
            return Err(ActorError::NotRunning);
        }
        let old = core.actors.of_set(&id, annotations).ok_or(ActorError::NoSuchInstance)?;
        let max = old.max_of(annotations).ok_or(ActorError::NoSuchInstance)?;
        Ok((old, max))
    };
    let (old, _) = runs()?; // before anything is fetched
    let mut new = replacement(core, command, old.limits.clone()).await?;
    let _guard = core.actors.change(&id).await;
    let (old, max) = runs()?;
    if new.has_ended() && !core.actors.holds(&new) {
        new = replacement(core, command, old.limits.clone()).await?; // another set ran it, and was stopped meanwhile
    }
    if !Arc::ptr_eq(&old, &new) {
        replace(core, &old, &new, annotations)?;
    }
    core.wanted.change(|wanted| wanted.scale(id, &new.image_ref, annotations, max, &new.limits)).await;
    tracing::info!(actor = %new.id, from = %old.image_ref, to = %new.image_ref, "actor updated");
    core.failures.started(&new.image_ref);
    report::updated(core, &old, &new, command, max);
    Ok(())
}

/// Lets an annotation set run from another version. Calls under way end where they began.
fn replace(
    core: &Core,
    old: &Arc<RunningActor>,
    new: &Arc<RunningActor>,
    annotations: &Annotations,
) -> Result<(), ActorError> {
    let is_new = !core.actors.holds(new);
    let left = new.take_over(old, annotations);
    if is_new {
        core.actors.insert(new);
        if let Err(revoked) = check_not_revoked(core, &new.image_ref, &new.provenance) {
            new.give_back(old, annotations);
            core.actors.remove(new);
            return Err(revoked);
        }
    }
    if left == 0 {
        core.actors.remove(old);
    }
    broken_limits::tell(core, old);
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
    match core.actors.loaded(&found, reference.as_str(), &verified.provenance, Some(&limits)) {
        Some(loaded) => Ok(loaded),
        None => load(core, &reference, verified, limits).await,
    }
}
