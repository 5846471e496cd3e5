//! From a reference to an actor that could serve: fetch → verify → trust → not revoked → owner → compile → claims.
//!
//! Of a precompiled artifact all but the last step see the wasm it was made from: that is what somebody signed.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use claims::{ActorMetadata, Claims, SignedActor, revocation::Sha256, wasm};
use lattice::{
    event::ActorClaims,
    stored_claims::{StoredActor, StoredClaims},
};
use lattice_state::revocations::Provenance;
use runtime::{CodeOrigin, Identity, LimitSettings, LoadError, precompiled};

use super::{error::ActorError, face::ActorWorkloads};
use crate::{
    actors::{RevokedFlag, RunningActor},
    artifacts::{ArtifactRef, Kind},
    calls::ActorOutbound,
    meters::StartStep,
    process::clock::unix_now,
    providers::links,
};

/// An actor that was fetched and may run here.
pub(super) struct Verified {
    pub(super) signed: SignedActor,
    pub(super) provenance: Provenance,
    bytes: Bytes,
}

/// Fetches an artifact and checks signature, hash, times, issuer and revocation.
pub(super) async fn fetch_verified(work: &ActorWorkloads, reference: &ArtifactRef) -> Result<Verified, ActorError> {
    let began = Instant::now();
    let fetched = work.admission.artifacts.fetch(reference, Kind::Actor).await?;
    work.admission.meters.started(StartStep::Fetch, began);
    let began = Instant::now();
    let (bytes, mut digests) = (fetched.bytes, fetched.digests);
    let original = precompiled::original_wasm(&bytes).map_err(|source| not_loaded(reference, source))?;
    let precompiled = original.len() < bytes.len();
    let verify = move || {
        let digest = precompiled.then(|| Sha256::of(&original));
        let verified = wasm::verify_actor(&original, unix_now());
        (verified.and_then(|signed| Ok((signed, wasm::programs(&original)?.all()))), digest)
    };
    let (verified, digest) = tokio::task::spawn_blocking(verify).await.map_err(|_| ActorError::Interrupted)?;
    // Whoever revoked the wasm did not know what it would be compiled to.
    digests.extend(digest);
    let refused = |source| ActorError::Artifact { reference: reference.as_str().to_owned(), source: Box::new(source) };
    let (signed, programs) = verified.map_err(refused)?;
    // However it is wrapped and whoever signed it, it is the program that was revoked.
    digests.extend(programs);
    if !work.admission.issuers.trusts(&signed.issuer) {
        return Err(ActorError::UntrustedIssuer { actor: signed.id, issuer: signed.issuer.to_string() });
    }
    let subject = signed.id.public_key();
    let provenance = Provenance { issuer: signed.issuer, subject, digests };
    check_not_revoked(work, reference.as_str(), &provenance)?;
    work.admission.check_owner(subject, signed.issuer)?;
    work.admission.meters.started(StartStep::Verify, began);
    Ok(Verified { signed, provenance, bytes })
}

/// Refuses what a revocation list names.
pub(super) fn check_not_revoked(
    work: &ActorWorkloads,
    reference: &str,
    artifact: &Provenance,
) -> Result<(), ActorError> {
    match work.admission.revoked(artifact) {
        Some(named) => Err(ActorError::Revoked { reference: reference.to_owned(), named: Box::new(named) }),
        None => Ok(()),
    }
}

/// Compiles an actor and records its claims; it does not serve yet. `limits` go over those of the host.
pub(super) async fn load(
    work: &Arc<ActorWorkloads>,
    reference: &ArtifactRef,
    verified: Verified,
    limits: LimitSettings,
) -> Result<Arc<RunningActor>, ActorError> {
    let Verified { signed, provenance, bytes } = verified;
    let shown = shown_claims(&signed);
    let identity = Identity { id: signed.id, name: shown.name.clone(), grants: shown.caps.iter().cloned().collect() };
    let mut effective = work.limits.clone();
    limits.apply(&mut effective);
    let began = Instant::now();
    let loaded = work.runtime.load(bytes, identity, effective).await;
    let guest = loaded.map_err(|source| not_loaded(reference, source))?;
    work.admission.meters.started(StartStep::Compile, began);
    match guest.code() {
        CodeOrigin::Recompiled { reason } => {
            tracing::warn!(actor = %signed.id, reason, "compiled anew: the compiled code that was there is not used");
        }
        code => tracing::debug!(actor = %signed.id, ?code, "code at hand"),
    }
    work.admission.owners.claim(signed.id.public_key(), signed.issuer).await?;
    work.admission.record(&StoredClaims::Actor(StoredActor::new(signed.id, signed.issuer, &signed.claims))).await?;
    links::given(&work.calls.providers, &signed.id).await;
    let barred = RevokedFlag::default();
    let calls = work.actors.calls_of(&signed.id, &work.calls.tracer, &work.reports.failures);
    let outbound = ActorOutbound::new(&work.calls, signed.id, shown.caps.clone().into(), barred.clone(), calls.clone());
    let image_ref = reference.as_str().to_owned();
    let mut actor = RunningActor::new(signed.id, shown, image_ref, provenance, guest, outbound, barred, calls);
    actor.limits = limits;
    Ok(Arc::new(actor))
}

fn not_loaded(reference: &ArtifactRef, source: LoadError) -> ActorError {
    ActorError::Load { reference: reference.as_str().to_owned(), source }
}

/// Claims as events show them.
pub(super) fn shown_claims(signed: &SignedActor) -> ActorClaims {
    Claims::<ActorMetadata>::inspect(&signed.token, unix_now())
        .map(|inspection| ActorClaims::from(&inspection))
        .expect("a verified token can be read again")
}
