//! From a start command to a provider in the table.

use std::{sync::Arc, time::Duration};

use claims::{AccountId, ProviderId};
use lattice::{
    ContractId,
    control::StartProvider,
    event::{EventData, ProviderClaims, ProviderStartFailed},
    stored_claims::{StoredClaims, StoredProvider},
};
use lattice_state::revocations::Provenance;
use provider_sdk::{Builtin, Health, Start};
use uuid::Uuid;

use super::{
    error::StartProviderError,
    face::{ProviderStart, ProviderWorkloads},
    stop::end,
};
use crate::{
    artifacts::{ArtifactRef, FetchError, Fetched, Kind, Location, Watched},
    calls::{EmbeddedActors, serve_embedded},
    process::{clock::unix_now, error_chain::error_chain},
    providers::{
        Home, ProviderSpec, RunningProvider, archive, data_dir, health, links,
        process::{self, FIRST_ANSWER_WITHIN},
    },
    trust::own_issuer,
};

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Starts a provider and tells the lattice how that went.
///
/// # Errors
/// What the lattice was told, for whoever may try again.
pub async fn start(
    work: Arc<ProviderWorkloads>,
    command: StartProvider,
    under_way: ProviderStart,
) -> Result<(), StartProviderError> {
    let (reference, link_name) = (command.provider_ref.clone(), command.link_name.clone());
    let error = match try_start(&work, command.clone(), &under_way).await {
        Ok(provider) => {
            let spec = &provider.spec;
            work.desired.change(|workload| workload.start(spec.id, command)).await;
            work.providers.failures.started(reference.trim());
            tracing::info!(provider = %spec.id, link_name = %spec.link_name, reference = %spec.image_ref, "provider started");
            return Ok(());
        }
        Err(error) => error,
    };
    tracing::warn!(error = &error as &dyn std::error::Error, %reference, "cannot start provider");
    if matches!(error, StartProviderError::Revoked { .. }) {
        work.desired.change(|workload| workload.stop(None, Some(&reference), &link_name)).await;
    }
    // What runs already, and was asked for again, is nothing that has failed.
    if !matches!(error, StartProviderError::AlreadyRunning { .. }) {
        work.providers.failures.not_started(reference.trim(), None, error.code(), &error_chain(&error));
    }
    work.providers.events.emit(EventData::ProviderStartFailed(ProviderStartFailed {
        provider_ref: reference,
        link_name,
        error: error_chain(&error),
        code: Some(error.code().to_owned()),
    }));
    Err(error)
}

async fn try_start(
    work: &Arc<ProviderWorkloads>,
    command: StartProvider,
    under_way: &ProviderStart,
) -> Result<Arc<RunningProvider>, StartProviderError> {
    let reference = ArtifactRef::parse(&command.provider_ref)?;
    match reference.location() {
        Location::Builtin(name) => {
            let builtin = find_builtin(work, name)?;
            start_embedded(work, builtin, command, under_way).await
        }
        _ => start_process(work, &reference, command, under_way).await,
    }
}

/// The compiled-in provider of a name.
///
/// # Errors
/// [`FetchError::UnknownBuiltin`] with what there is.
pub fn find_builtin(work: &ProviderWorkloads, name: &str) -> Result<Builtin, FetchError> {
    work.builtins.iter().find(|builtin| builtin.descriptor.name == name).copied().ok_or_else(|| {
        let known = work.builtins.iter().map(|builtin| format!("builtin://{}", builtin.descriptor.name)).collect();
        FetchError::UnknownBuiltin { name: name.to_owned(), known }
    })
}

async fn start_embedded(
    work: &Arc<ProviderWorkloads>,
    builtin: Builtin,
    command: StartProvider,
    under_way: &ProviderStart,
) -> Result<Arc<RunningProvider>, StartProviderError> {
    let descriptor = builtin.descriptor;
    let id = ProviderId::well_known(descriptor.name);
    under_way.is_about(id);
    let contract = contract_id(descriptor.contract)?;
    let provenance = Provenance { issuer: own_issuer(&id.public_key()), subject: id.public_key(), digests: Vec::new() };
    check_not_revoked(work, &command.provider_ref, &provenance)?;
    let spec = ProviderSpec {
        id,
        link_name: command.link_name.clone(),
        contract: contract.clone(),
        name: descriptor.display_name.to_owned(),
        revision: descriptor.revision,
        image_ref: command.provider_ref.trim().to_owned(),
        annotations: command.annotations,
        instance_id: Uuid::new_v4().to_string(),
        claims: provider_claims(id.as_str(), descriptor.display_name, descriptor.version),
        config: command.configuration,
        provenance,
        own_key: false,
    };
    refuse_second(work, &spec)?;
    work.may_start(&spec, own_issuer(&id.public_key())).await?;
    let actors = EmbeddedActors::new(&work.calls, id, spec.link_name.clone());
    let start = Start {
        actors,
        link_name: spec.link_name.clone(),
        config: spec.config.clone(),
        data_dir: Some(data_dir(&work.providers.settings.state_dir, &spec)),
    };
    let provider = (builtin.start)(start)?;
    let stored = stored_claims(&spec, descriptor.version, own_issuer(&id.public_key()));
    announce(work, RunningProvider::new(spec, Home::Embedded(provider)), stored, under_way).await
}

async fn start_process(
    work: &Arc<ProviderWorkloads>,
    reference: &ArtifactRef,
    command: StartProvider,
    under_way: &ProviderStart,
) -> Result<Arc<RunningProvider>, StartProviderError> {
    let Fetched { bytes, digests } = work.admission.artifacts.fetch(reference, Kind::Provider).await?;
    let directory = work.providers.settings.state_dir.join("cache").join("providers");
    let (judge, beside) = (work.clone(), directory.clone());
    let verify = move |stream: Watched| {
        archive::verify(stream, &beside, unix_now(), &|issuer| judge.admission.issuers.may_run_native(issuer))
    };
    let verified = work.admission.artifacts.unpack(bytes, verify).await?;
    let verified = verified.map_err(|error| StartProviderError::of_archive(&work.admission.issuers, error))?;
    let archive = verified.archive();
    under_way.is_about(archive.id);
    let (issuer, subject) = (archive.issuer, archive.id.public_key());
    let digests = digests.into_iter().chain(archive.programs()).collect();
    let provenance = Provenance { issuer, subject, digests };
    check_not_revoked(work, reference.as_str(), &provenance)?;
    work.admission.check_owner(subject, issuer)?;
    if work.providers.nats.is_none() {
        return Err(StartProviderError::NeedsNats { reference: reference.as_str().to_owned() });
    }
    // Under its name only what may run.
    let unpacked = blocking(move || verified.store(&directory)).await??;
    let archive = unpacked.archive;
    let metadata = archive.claims.metadata.unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    let version = metadata.ver.clone().unwrap_or_default();
    let spec = ProviderSpec {
        id: archive.id,
        link_name: command.link_name.clone(),
        contract: contract_id(&metadata.capid)?,
        name: name.clone(),
        revision: metadata.rev.unwrap_or_default(),
        image_ref: command.provider_ref.trim().to_owned(),
        annotations: command.annotations,
        instance_id: Uuid::new_v4().to_string(),
        claims: provider_claims(archive.issuer.as_str(), &name, &version),
        config: command.configuration,
        provenance,
        own_key: unpacked.own_key,
    };
    refuse_second(work, &spec)?;
    work.may_start(&spec, archive.issuer).await?;
    let stored = stored_claims(&spec, &version, archive.issuer);
    work.admission.owners.claim(subject, issuer).await?;
    let stop = tokio_util::sync::CancellationToken::new();
    let child = process::start(&work.providers, spec.clone(), unpacked.executable, stop.clone()).await;
    let child = child?;
    let provider = RunningProvider::with_stop(spec, Home::Process(child), stop);
    let answer = match await_first_answer(work, &provider).await {
        Ok(answer) => answer,
        Err(error) => {
            end(&provider).await;
            return Err(error);
        }
    };
    let provider = announce(work, provider, stored, under_way).await?;
    // Whoever hears how it feels knows by then that it is there, and where.
    if let Some(answer) = answer {
        health::record(&work.providers, &provider, &answer);
    }
    Ok(provider)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StartProviderError> {
    let interrupted = |_| StartProviderError::Interrupted;
    tokio::task::spawn_blocking(work).await.map_err(interrupted)
}

/// Waits for the first health answer; a process that ends before it, or never gives one, has not started. Without a broker
/// there is nobody to answer, and the process is announced.
async fn await_first_answer(
    work: &ProviderWorkloads,
    provider: &RunningProvider,
) -> Result<Option<Health>, StartProviderError> {
    let deadline = tokio::time::Instant::now() + FIRST_ANSWER_WITHIN;
    while tokio::time::Instant::now() < deadline {
        if let Home::Process(process) = &provider.home
            && let Some(how) = process.has_ended()
        {
            return Err(StartProviderError::Ended { how });
        }
        if let Some(answer) = health::ask(&work.providers, provider).await {
            return Ok(Some(answer));
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
    if work.providers.nats.as_ref().is_some_and(|broker| *broker.calls.connected.borrow()) {
        return Err(StartProviderError::Silent { within: FIRST_ANSWER_WITHIN });
    }
    tracing::warn!(provider = %provider.spec.id, "provider runs but cannot be asked without NATS");
    Ok(None)
}

/// Refuses what a revocation list names.
fn check_not_revoked(
    work: &ProviderWorkloads,
    reference: &str,
    artifact: &Provenance,
) -> Result<(), StartProviderError> {
    match work.admission.revoked(artifact) {
        Some(named) => Err(StartProviderError::Revoked { reference: reference.to_owned(), named: Box::new(named) }),
        None => Ok(()),
    }
}

fn refuse_second(work: &ProviderWorkloads, spec: &ProviderSpec) -> Result<(), StartProviderError> {
    let Some(running) = work.providers.get(&spec.id, &spec.link_name) else { return Ok(()) };
    let (id, link_name) = (spec.id, spec.link_name.to_string());
    if running.spec.provenance.digests == spec.provenance.digests {
        return Err(StartProviderError::AlreadyRunning { id, link_name });
    }
    let (running, wanted) = (running.spec.image_ref.clone(), spec.image_ref.clone());
    Err(StartProviderError::OtherRuns { id: Box::new(id), link_name, running, wanted })
}

async fn announce(
    work: &Arc<ProviderWorkloads>,
    provider: Arc<RunningProvider>,
    claims: StoredClaims,
    under_way: &ProviderStart,
) -> Result<Arc<RunningProvider>, StartProviderError> {
    if let Err(error) = work.admission.record(&claims).await {
        provider.stop_token().cancel();
        return Err(error.into());
    }
    work.providers.insert(provider.clone());
    // As below: a stop that came while it started was noted before, or finds it in the table.
    if under_way.is_stopped(&provider.spec.id, |link_name| *link_name == provider.spec.link_name) {
        work.providers.remove_this(&provider);
        end(&provider).await;
        return Err(StartProviderError::StoppedMeanwhile { reference: provider.spec.image_ref.clone() });
    }
    // A list that came while it started finds it in the table now, or is found here.
    if let Err(revoked) = check_not_revoked(work, &provider.spec.image_ref, &provider.spec.provenance) {
        work.providers.remove_this(&provider);
        end(&provider).await;
        return Err(revoked);
    }
    work.providers.events.emit(provider.spec.started(work.providers.identity.host_id));
    let weak = Arc::downgrade(&work.providers);
    work.providers.life.spawn(links::serve(weak.clone(), provider.clone(), work.providers.settings.timings.reconcile));
    if let Home::Embedded(embedded) = &provider.home {
        work.providers.life.spawn(serve_embedded(work.calls.clone(), provider.clone(), embedded.clone()));
    }
    work.providers.life.spawn(health::watch(weak, provider.clone()));
    Ok(provider)
}

fn contract_id(text: &str) -> Result<ContractId, StartProviderError> {
    text.parse().map_err(|source| StartProviderError::Contract { contract: text.to_owned(), source })
}

fn provider_claims(issuer: &str, name: &str, version: &str) -> ProviderClaims {
    ProviderClaims {
        issuer: issuer.to_owned(),
        tags: None,
        name: name.to_owned(),
        version: version.to_owned(),
        not_before_human: "immediately".to_owned(),
        expires_human: "never".to_owned(),
    }
}

fn stored_claims(spec: &ProviderSpec, version: &str, issuer: AccountId) -> StoredClaims {
    StoredClaims::Provider(StoredProvider {
        id: spec.id,
        issuer,
        name: spec.name.clone(),
        contract_id: spec.contract.to_string(),
        revision: spec.revision.into(),
        version: version.to_owned(),
        config_schema: None,
    })
}
