//! Starting, scaling, stopping and updating actors (protocol section 8.3).
//!
//! The order is fetch → verify → trust → compile → claims → serve; what ran before a failed step keeps running.
//! Invariant: every accepted command ends in an event that carries the reference as the client wrote it.

use std::sync::Arc;

use bytes::Bytes;
use claims::{ActorId, ActorMetadata, ArtifactError, Claims, SignedActor, wasm};
use lattice::{
    control::{ScaleActor, StopActor, UpdateActor},
    event::{ActorClaims, ActorScaleFailed, ActorScaled, ActorsStartFailed, ActorsStarted, ActorsStopped, EventData},
    stored_claims::{StoredActor, StoredClaims},
};
use runtime::{Identity, LoadError};

use crate::{
    actors::RunningActor,
    artifacts::{self, ArtifactRef, FetchError},
    core::{Core, unix_now},
    reason::reason,
    router::ActorOutbound,
    rpc,
    state::scale::{Annotations, Decision, covers, decide},
    store::StoreError,
};

/// Why an actor does not start, scale or update.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    /// The artifact cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is unsigned, tampered with, expired, or not wasm.
    #[error("`{reference}` is refused")]
    Artifact {
        /// As the client wrote it.
        reference: String,
        /// Why.
        source: ArtifactError,
    },
    /// Its issuer is not trusted.
    #[error(
        "actor `{actor}` is signed by `{issuer}`, which this host does not trust; allow it with `--allowed-issuer`"
    )]
    UntrustedIssuer {
        /// The actor.
        actor: ActorId,
        /// Who signed it.
        issuer: String,
    },
    /// It cannot be compiled or linked.
    #[error("`{reference}` cannot be loaded")]
    Load {
        /// As the client wrote it.
        reference: String,
        /// Why.
        source: LoadError,
    },
    /// Another version runs; only an update may replace it.
    #[error("actor is already running with a different image reference `{running}`; use `wash update actor`")]
    OtherReference {
        /// The reference that runs.
        running: String,
    },
    /// Not the actor that was to be updated.
    #[error("`{reference}` holds actor `{found}`, not `{expected}`")]
    OtherActor {
        /// As the client wrote it.
        reference: String,
        /// What it holds.
        found: ActorId,
        /// What was asked for.
        expected: ActorId,
    },
    /// Claims cannot be kept.
    #[error("cannot record the claims of the actor: {0}")]
    Store(#[from] StoreError),
    /// A step was interrupted.
    #[error("verifying the actor was interrupted")]
    Interrupted,
}

impl ActorError {
    /// Stable word for logs, tests and docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.code(),
            Self::Artifact { source, .. } => source.code(),
            Self::UntrustedIssuer { .. } => "untrusted_issuer",
            Self::Load { source, .. } => source.code(),
            Self::OtherReference { .. } => "other_reference",
            Self::OtherActor { .. } => "other_actor",
            Self::Store(_) => "store_failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Applies a scale command and tells the lattice how it went.
pub async fn scale(core: Arc<Core>, command: ScaleActor) {
    if let Err((id, error)) = try_scale(&core, &command).await {
        tracing::warn!(error = &error as &dyn std::error::Error, code = error.code(), reference = %command.actor_ref, "cannot scale actor");
        report_failure(&core, id, &command, &reason(&error));
    }
}

async fn try_scale(core: &Arc<Core>, command: &ScaleActor) -> Result<(), (Option<ActorId>, ActorError)> {
    let reference = ArtifactRef::parse(&command.actor_ref).map_err(|error| (None, error.into()))?;
    let running = core.actors.by_reference(reference.as_str());
    let (id, artifact) = match running {
        Some(running) => (running.id, None),
        None => {
            let (bytes, signed) = fetch_verified(core, &reference).await.map_err(|error| (None, error))?;
            (signed.id, Some((bytes, signed)))
        }
    };
    let _guard = core.actors.change(&id).await;
    apply_scale(core, command, &reference, id, artifact).await.map_err(|error| (Some(id), error))
}

async fn apply_scale(
    core: &Arc<Core>,
    command: &ScaleActor,
    reference: &ArtifactRef,
    id: ActorId,
    artifact: Option<(Bytes, SignedActor)>,
) -> Result<(), ActorError> {
    let running = core.actors.get(&id);
    let current = running.as_ref().and_then(|actor| actor.max_of(&command.annotations));
    let running_ref = running.as_ref().map(|actor| actor.image_ref.as_str());
    match decide(running_ref, current, reference.as_str(), command.max_instances) {
        Decision::OtherReference => {
            Err(ActorError::OtherReference { running: running_ref.unwrap_or_default().to_owned() })
        }
        Decision::Unchanged => {
            let shown = match (&running, &artifact) {
                (Some(actor), _) => actor.shown.clone(),
                (None, Some((_, signed))) => shown_claims(signed),
                (None, None) => ActorClaims::default(),
            };
            report_scaled(core, id, shown, command);
            Ok(())
        }
        Decision::Raise { added } => {
            let actor = match (running, artifact) {
                (Some(actor), _) => actor,
                (None, Some((bytes, signed))) => load(core, reference, bytes, signed).await?,
                // It ran when the command came and was stopped since: fetch it again.
                (None, None) => {
                    let (bytes, signed) = fetch_verified(core, reference).await?;
                    load(core, reference, bytes, signed).await?
                }
            };
            core.wanted
                .change(|wanted| wanted.scale(&actor.image_ref, &command.annotations, command.max_instances))
                .await;
            raise(core, actor, command, added);
            Ok(())
        }
        Decision::Lower { removed, remaining } => {
            if let Some(actor) = running {
                core.wanted.change(|wanted| wanted.scale(&actor.image_ref, &command.annotations, remaining)).await;
                lower(core, &actor, &command.annotations, removed, remaining);
            }
            Ok(())
        }
    }
}

fn raise(core: &Arc<Core>, actor: Arc<RunningActor>, command: &ScaleActor, added: u32) {
    let is_new = core.actors.get(&actor.id).is_none();
    actor.set(&command.annotations, command.max_instances);
    if is_new {
        core.actors.insert(actor.clone());
        rpc::serve_actor(core, &actor);
    }
    tracing::info!(actor = %actor.id, reference = %actor.image_ref, max_instances = command.max_instances, "actor scaled");
    core.emit(EventData::ActorsStarted(ActorsStarted {
        public_key: actor.id,
        image_ref: actor.image_ref.clone(),
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        claims: actor.shown.clone(),
        count: added,
    }));
    report_scaled(core, actor.id, actor.shown.clone(), command);
}

/// Lowers one annotation set, removing the actor with its last one.
fn lower(core: &Core, actor: &RunningActor, annotations: &Annotations, removed: u32, remaining: u32) {
    if actor.set(annotations, remaining) == 0 {
        core.actors.remove(&actor.id);
    }
    tracing::info!(actor = %actor.id, max_instances = remaining, "actor scaled");
    core.emit(EventData::ActorsStopped(ActorsStopped {
        public_key: actor.id,
        image_ref: actor.image_ref.clone(),
        annotations: annotations.clone(),
        host_id: core.identity.host_id,
        count: removed,
        remaining,
    }));
    core.emit(EventData::ActorScaled(ActorScaled {
        public_key: actor.id,
        claims: actor.shown.clone(),
        annotations: annotations.clone(),
        host_id: core.identity.host_id,
        image_ref: actor.image_ref.clone(),
        max_instances: remaining,
    }));
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
        core.wanted.change(|wanted| wanted.scale(&actor.image_ref, &annotations, 0)).await;
        lower(core, &actor, &annotations, instance.max_instances, 0);
    }
    Ok(())
}

/// Replaces a running actor by another version of itself; the old one serves until the new one can.
///
/// # Errors
/// A sentence for the operator; the old version keeps running.
pub async fn update(core: &Arc<Core>, command: UpdateActor) -> Result<(), String> {
    let _guard = core.actors.change(&command.actor_id).await;
    let old = core.actors.get(&command.actor_id).ok_or("actor not found")?;
    let max = old.max_of(&command.annotations).ok_or("actor instance with matching annotations not found")?;
    let new = replacement(core, &command).await.map_err(|error| reason(&error))?;
    let instances = old.instances();
    new.inherit(instances.clone());
    core.actors.insert(new.clone());
    rpc::serve_actor(core, &new);
    old.serving().cancel();
    core.wanted.change(|wanted| wanted.update(&old.image_ref, &new.image_ref)).await;
    tracing::info!(actor = %new.id, from = %old.image_ref, to = %new.image_ref, "actor updated");
    let scaled = |actor: &RunningActor, max_instances| {
        EventData::ActorScaled(ActorScaled {
            public_key: actor.id,
            claims: actor.shown.clone(),
            annotations: command.annotations.clone(),
            host_id: core.identity.host_id,
            image_ref: actor.image_ref.clone(),
            max_instances,
        })
    };
    core.emit(EventData::ActorsStarted(ActorsStarted {
        public_key: new.id,
        image_ref: new.image_ref.clone(),
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        claims: new.shown.clone(),
        count: max,
    }));
    core.emit(scaled(&new, max));
    core.emit(EventData::ActorsStopped(ActorsStopped {
        public_key: old.id,
        image_ref: old.image_ref.clone(),
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        count: max,
        remaining: max,
    }));
    Ok(())
}

async fn replacement(core: &Arc<Core>, command: &UpdateActor) -> Result<Arc<RunningActor>, ActorError> {
    let reference = ArtifactRef::parse(&command.new_actor_ref)?;
    let (bytes, signed) = fetch_verified(core, &reference).await?;
    if signed.id != command.actor_id {
        let reference = reference.as_str().to_owned();
        return Err(ActorError::OtherActor { reference, found: signed.id, expected: command.actor_id });
    }
    load(core, &reference, bytes, signed).await
}

/// Fetches an artifact and checks signature, hash, times and issuer.
async fn fetch_verified(core: &Core, reference: &ArtifactRef) -> Result<(Bytes, SignedActor), ActorError> {
    let bytes = artifacts::fetch(reference, core.config.allow_file_load).await?;
    let wasm_bytes = bytes.clone();
    let verified = tokio::task::spawn_blocking(move || wasm::verify_actor(&wasm_bytes, unix_now()))
        .await
        .map_err(|_| ActorError::Interrupted)?;
    let signed =
        verified.map_err(|source| ActorError::Artifact { reference: reference.as_str().to_owned(), source })?;
    if !core.trusts(&signed.issuer) {
        return Err(ActorError::UntrustedIssuer { actor: signed.id, issuer: signed.issuer.to_string() });
    }
    Ok((bytes, signed))
}

/// Compiles an actor and records its claims; it does not serve yet.
async fn load(
    core: &Arc<Core>,
    reference: &ArtifactRef,
    bytes: Bytes,
    signed: SignedActor,
) -> Result<Arc<RunningActor>, ActorError> {
    let shown = shown_claims(&signed);
    let identity = Identity { id: signed.id, name: shown.name.clone(), grants: shown.caps.iter().cloned().collect() };
    let guest = core
        .runtime
        .load(bytes, identity, core.config.limits.clone())
        .await
        .map_err(|source| ActorError::Load { reference: reference.as_str().to_owned(), source })?;
    core.store_claims(StoredClaims::Actor(StoredActor::new(signed.id, signed.issuer, &signed.claims))).await?;
    let outbound = ActorOutbound::new(core, signed.id);
    Ok(Arc::new(RunningActor::new(signed.id, shown, reference.as_str().to_owned(), guest, outbound)))
}

fn shown_claims(signed: &SignedActor) -> ActorClaims {
    Claims::<ActorMetadata>::inspect(&signed.token, unix_now())
        .map(|inspection| ActorClaims::from(&inspection))
        .expect("a verified token can be read again")
}

fn report_scaled(core: &Core, id: ActorId, claims: ActorClaims, command: &ScaleActor) {
    core.emit(EventData::ActorScaled(ActorScaled {
        public_key: id,
        claims,
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        image_ref: command.actor_ref.clone(),
        max_instances: command.max_instances,
    }));
}

fn report_failure(core: &Core, id: Option<ActorId>, command: &ScaleActor, error: &str) {
    core.emit(EventData::ActorsStartFailed(ActorsStartFailed {
        public_key: id,
        image_ref: command.actor_ref.clone(),
        actor_ref: command.actor_ref.clone(),
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        error: error.to_owned(),
    }));
    core.emit(EventData::ActorScaleFailed(ActorScaleFailed {
        public_key: id,
        annotations: command.annotations.clone(),
        host_id: core.identity.host_id,
        image_ref: command.actor_ref.clone(),
        actor_ref: command.actor_ref.clone(),
        max_instances: command.max_instances,
        error: error.to_owned(),
    }));
}
