//! A scale command: one annotation set of an actor is to run, with this maximum.

use std::{sync::Arc, time::Instant};

use claims::ActorId;
use lattice::control::ScaleActor;
use lattice_state::scale::{Decision, Runs, covers, decide};
use runtime::LimitSettings;

use super::{
    error::ActorError,
    face::{ActorStart, ActorWorkloads},
    find::{self, Found},
    limits,
    load::{check_not_revoked, fetch_verified, load},
    stop,
};
use crate::{
    actors::{Left, RunningActor},
    artifacts::ArtifactRef,
    calls::serve_actor,
    meters::StartStep,
    process::error_chain::error_chain,
};

type Failed = (Option<ActorId>, ActorError);

/// Applies a scale command and tells the lattice how it went. `start` is there when the command is to run something.
///
/// # Errors
/// What the lattice was told, for whoever may try again.
pub async fn scale(
    work: Arc<ActorWorkloads>,
    command: ScaleActor,
    start: Option<ActorStart>,
) -> Result<(), ActorError> {
    let outcome = match &start {
        Some(start) => try_scale(&work, &command, start).await,
        None => stop::by_reference(&work, &command).await.map_err(|error| (None, error)),
    };
    let (id, error) = match outcome {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let id = id.or(error.actor());
    tracing::warn!(error = &error as &dyn std::error::Error, code = error.code(), reference = %command.actor_ref, "cannot scale actor");
    if matches!(error, ActorError::Revoked { .. }) {
        work.desired.change(|wanted| wanted.forget_actor(command.actor_ref.trim(), id)).await;
    }
    work.reports.failures.not_started(command.actor_ref.trim(), id, error.code(), &error_chain(&error));
    work.reports.failed(id, &command, &error);
    Err(error)
}

async fn try_scale(work: &Arc<ActorWorkloads>, command: &ScaleActor, start: &ActorStart) -> Result<(), Failed> {
    let began = Instant::now();
    let reference = ArtifactRef::parse(&command.actor_ref).map_err(|error| (None, error.into()))?;
    let limits = limits::asked(work, command).map_err(|error| (None, error))?;
    let found = find::to_run(work, command, &reference).await.map_err(|error| (None, error))?;
    let id = found.id();
    start.is_about(id);
    let known = |error| (Some(id), error);
    let current = work.actors.of_set(&id, &command.annotations).and_then(|actor| actor.max_of(&command.annotations));
    if current.unwrap_or(0) <= command.max_instances {
        work.may_start(&id, found.issuer()).await.map_err(known)?;
    }
    let fetched = matches!(found, Found::Fetched(_));
    let _guard = work.actors.change(&id).await;
    if start.is_stopped(&id, |stopped| covers(&command.annotations, stopped)) {
        return Err(known(ActorError::StoppedMeanwhile { reference: reference.as_str().to_owned() }));
    }
    let started = apply(work, command, &reference, found, limits).await.map_err(known)?;
    work.reports.failures.started(reference.as_str());
    if started && fetched {
        work.admission.meters.started(StartStep::Total, began);
    }
    Ok(())
}

/// Whether the annotation set did not run before. The caller holds the actor.
async fn apply(
    work: &Arc<ActorWorkloads>,
    command: &ScaleActor,
    reference: &ArtifactRef,
    found: Found,
    limits: Option<LimitSettings>,
) -> Result<bool, ActorError> {
    let (id, annotations, max) = (found.id(), &command.annotations, command.max_instances);
    let running = work.actors.of_set(&id, annotations);
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
                Some(limits) => limits::put(work, actor, command, limits).await?,
                None => actor,
            };
            change(work, actor, command, &decision).await;
            Ok(false)
        }
        (None, _) => {
            let actor = code(work, reference, found, limits).await?;
            start_set(work, &actor, command).await?;
            Ok(true)
        }
    }
}

/// The code for an annotation set that does not run: a version that is loaded already, or another one.
async fn code(
    work: &Arc<ActorWorkloads>,
    reference: &ArtifactRef,
    found: Found,
    limits: Option<LimitSettings>,
) -> Result<Arc<RunningActor>, ActorError> {
    let loaded = |artifact| work.actors.loaded(&found.id(), reference.as_str(), artifact, limits.as_ref());
    let verified = match &found {
        Found::Running(actor) => loaded(&actor.provenance),
        Found::Fetched(verified) => loaded(&verified.provenance),
    };
    match (verified, found) {
        (Some(loaded), _) => Ok(loaded),
        (None, Found::Fetched(verified)) => load(work, reference, *verified, limits.unwrap_or_default()).await,
        // It ran when the command came and was stopped since, or is to run with other limits: fetch it again.
        (None, Found::Running(actor)) => {
            let verified = fetch_verified(work, reference).await?;
            if verified.signed.id != actor.id {
                let (found, expected) = (Box::new(verified.signed.id), Box::new(actor.id));
                return Err(ActorError::OtherActor { reference: reference.as_str().to_owned(), found, expected });
            }
            load(work, reference, verified, limits.unwrap_or_default()).await
        }
    }
}

/// Starts an annotation set of a version.
async fn start_set(
    work: &Arc<ActorWorkloads>,
    actor: &Arc<RunningActor>,
    command: &ScaleActor,
) -> Result<(), ActorError> {
    let is_new = !work.actors.holds(actor);
    actor.set(&command.annotations, command.max_instances);
    if is_new {
        let has_no_place = work.actors.insert(actor);
        if let Err(revoked) = check_not_revoked(work, &actor.image_ref, &actor.provenance) {
            if let Left::Vacant(vacancy) = work.actors.remove(actor) {
                work.actors.close(&actor.id, vacancy);
            }
            return Err(revoked);
        }
        if has_no_place {
            serve_actor(&work.calls, actor);
        }
    }
    changed(work, actor, command, command.max_instances).await;
    work.reports.started(actor, &command.annotations, command.max_instances);
    work.reports.obeyed(actor.id, actor.shown.clone(), command);
    Ok(())
}

/// Gives an annotation set that runs another maximum, if it has another one.
async fn change(work: &Arc<ActorWorkloads>, actor: Arc<RunningActor>, command: &ScaleActor, decision: &Decision) {
    actor.set(&command.annotations, command.max_instances);
    changed(work, &actor, command, command.max_instances).await;
    match *decision {
        Decision::Raise { added } => work.reports.started(&actor, &command.annotations, added),
        Decision::Lower { removed, remaining } => {
            work.reports.stopped(&actor, &command.annotations, removed, remaining);
        }
        Decision::Unchanged | Decision::OtherReference | Decision::OtherCode => {}
    }
    work.reports.obeyed(actor.id, actor.shown.clone(), command);
}

async fn changed(work: &ActorWorkloads, actor: &RunningActor, command: &ScaleActor, max: u32) {
    let (reference, annotations) = (&actor.image_ref, &command.annotations);
    work.desired.change(|wanted| wanted.scale(actor.id, reference, annotations, max, &actor.limits)).await;
    tracing::info!(actor = %actor.id, %reference, max_instances = max, "actor scaled");
}
