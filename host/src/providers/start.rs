//! Starting and stopping providers, embedded or as processes (protocol sections 7.4 and 8.7).
//!
//! Invariant: a start either ends in `provider_started` with the provider in the table, or in `provider_start_failed`
//! with nothing left behind.

use std::{sync::Arc, time::Duration};

use claims::{AccountId, ProviderId};
use lattice::{
    ContractId, LinkName,
    control::{StartProvider, StopProvider},
    event::{EventData, ProviderClaims, ProviderStartFailed, ProviderStarted, ProviderStopped},
    stored_claims::{StoredClaims, StoredProvider},
};
use provider_sdk::{Builtin, Health, Start};
use uuid::Uuid;

use super::{
    Home, ProviderSpec, RunningProvider, StartProviderError, actors::EmbeddedActors, archive, health, inbound, links,
    process,
};
use crate::{
    artifacts::{ArtifactRef, FetchError, Fetched, Kind, Location, Watched},
    core::{Core, unix_now},
    lifecycle::Start as UnderWay,
    policy,
    reason::reason,
    revocations::own_issuer,
    state::revocations::{Named, Provenance},
    trust::{native, ownership},
};

/// How long a new process may take until its first health answer.
pub const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A start of a provider that is under way.
pub type ProviderStart = UnderWay<ProviderId, LinkName>;

/// Starts a provider and tells the lattice how that went.
///
/// # Errors
/// What the lattice was told, for whoever may try again.
pub async fn start(
    core: Arc<Core>,
    command: StartProvider,
    under_way: ProviderStart,
) -> Result<(), StartProviderError> {
    let (reference, link_name) = (command.provider_ref.clone(), command.link_name.clone());
    let error = match try_start(&core, command.clone(), &under_way).await {
        Ok(provider) => {
            let spec = &provider.spec;
            core.wanted.change(|workload| workload.start(spec.id, command)).await;
            core.failures.started(reference.trim());
            tracing::info!(provider = %spec.id, link_name = %spec.link_name, reference = %spec.image_ref, "provider started");
            return Ok(());
        }
        Err(error) => error,
    };
    tracing::warn!(error = &error as &dyn std::error::Error, %reference, "cannot start provider");
    if matches!(error, StartProviderError::Revoked { .. }) {
        core.wanted.change(|workload| workload.stop(None, Some(&reference), &link_name)).await;
    }
    // What runs already, and was asked for again, is nothing that has failed.
    if !matches!(error, StartProviderError::AlreadyRunning { .. }) {
        core.failures.not_started(reference.trim(), None, error.code(), &reason(&error));
    }
    core.emit(EventData::ProviderStartFailed(ProviderStartFailed {
        provider_ref: reference,
        link_name,
        error: reason(&error),
        code: Some(error.code().to_owned()),
    }));
    Err(error)
}

async fn try_start(
    core: &Arc<Core>,
    command: StartProvider,
    under_way: &ProviderStart,
) -> Result<Arc<RunningProvider>, StartProviderError> {
    let reference = ArtifactRef::parse(&command.provider_ref)?;
    match reference.location() {
        Location::Builtin(name) => {
            let builtin = find_builtin(core, name)?;
            start_embedded(core, builtin, command, under_way).await
        }
        _ => start_process(core, &reference, command, under_way).await,
    }
}

/// The compiled-in provider of a name.
///
/// # Errors
/// [`FetchError::UnknownBuiltin`] with what there is.
pub fn find_builtin(core: &Core, name: &str) -> Result<Builtin, FetchError> {
    core.builtins.iter().find(|builtin| builtin.descriptor.name == name).copied().ok_or_else(|| {
        let known = core.builtins.iter().map(|builtin| format!("builtin://{}", builtin.descriptor.name)).collect();
        FetchError::UnknownBuiltin { name: name.to_owned(), known }
    })
}

async fn start_embedded(
    core: &Arc<Core>,
    builtin: Builtin,
    command: StartProvider,
    under_way: &ProviderStart,
) -> Result<Arc<RunningProvider>, StartProviderError> {
    let descriptor = builtin.descriptor;
    let id = ProviderId::well_known(descriptor.name);
    under_way.is_about(id);
    let contract = contract_id(descriptor.contract)?;
    let provenance = Provenance { issuer: own_issuer(&id.public_key()), subject: id.public_key(), digests: Vec::new() };
    check_not_revoked(core, &command.provider_ref, &provenance)?;
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
    refuse_second(core, &spec)?;
    policy::may_start_provider(core, &id, own_issuer(&id.public_key()), &spec.contract, &spec.link_name).await?;
    let actors = EmbeddedActors::new(core, id, spec.link_name.clone());
    let start = Start {
        actors,
        link_name: spec.link_name.clone(),
        config: spec.config.clone(),
        data_dir: Some(super::data_dir(core, &spec)),
    };
    let provider = (builtin.start)(start).map_err(|error| StartProviderError::Failed { reason: error.to_string() })?;
    let stored = stored_claims(&spec, descriptor.version, own_issuer(&id.public_key()));
    announce(core, RunningProvider::new(spec, Home::Embedded(provider)), stored, under_way).await
}

async fn start_process(
    core: &Arc<Core>,
    reference: &ArtifactRef,
    command: StartProvider,
    under_way: &ProviderStart,
) -> Result<Arc<RunningProvider>, StartProviderError> {
    let Fetched { bytes, digests } = core.artifacts.fetch(reference, Kind::Provider).await?;
    let directory = core.config.state_dir.join("cache").join("providers");
    let (judge, beside) = (core.clone(), directory.clone());
    let verify =
        move |stream: Watched| archive::verify(stream, &beside, unix_now(), &|issuer| native::may_run(&judge, issuer));
    let verified = core.artifacts.unpack(bytes, verify).await?;
    let verified = verified.map_err(|error| StartProviderError::of_archive(core, error))?;
    let archive = verified.archive();
    under_way.is_about(archive.id);
    let (issuer, subject) = (archive.issuer, archive.id.public_key());
    let digests = digests.into_iter().chain(archive.programs()).collect();
    let provenance = Provenance { issuer, subject, digests };
    check_not_revoked(core, reference.as_str(), &provenance)?;
    ownership::check(core, subject, issuer)?;
    if core.broker.is_none() {
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
    refuse_second(core, &spec)?;
    policy::may_start_provider(core, &spec.id, archive.issuer, &spec.contract, &spec.link_name).await?;
    let stored = stored_claims(&spec, &version, archive.issuer);
    ownership::claim(core, subject, issuer).await?;
    let stop = tokio_util::sync::CancellationToken::new();
    let child = process::start(core, spec.clone(), unpacked.executable, stop.clone()).await;
    let child = child.map_err(|reason| StartProviderError::Failed { reason })?;
    let provider = RunningProvider::with_stop(spec, Home::Process(child), stop);
    let answer = match await_first_answer(core, &provider).await {
        Ok(answer) => answer,
        Err(error) => {
            end(&provider).await;
            return Err(error);
        }
    };
    let provider = announce(core, provider, stored, under_way).await?;
    // Whoever hears how it feels knows by then that it is there, and where.
    if let Some(answer) = answer {
        health::record(core, &provider, &answer);
    }
    Ok(provider)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StartProviderError> {
    let interrupted = |_| StartProviderError::Failed { reason: "unpacking was interrupted".to_owned() };
    tokio::task::spawn_blocking(work).await.map_err(interrupted)
}

/// Waits for the first health answer; a process that ends before it, or never gives one, has not started. Without a broker
/// there is nobody to answer, and the process is announced.
async fn await_first_answer(core: &Core, provider: &RunningProvider) -> Result<Option<Health>, StartProviderError> {
    let failed = |reason: String| Err(StartProviderError::Failed { reason });
    let deadline = tokio::time::Instant::now() + FIRST_ANSWER_WITHIN;
    while tokio::time::Instant::now() < deadline {
        if let Home::Process(process) = &provider.home
            && let Some(how) = process.has_ended()
        {
            return failed(format!("the provider process ended before it answered, with {how}"));
        }
        if let Some(answer) = health::ask(core, provider).await {
            return Ok(Some(answer));
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
    if core.broker.as_ref().is_some_and(|broker| *broker.calls.connected.borrow()) {
        return failed(format!("the provider process did not answer a health check within {FIRST_ANSWER_WITHIN:?}"));
    }
    tracing::warn!(provider = %provider.spec.id, "provider runs but cannot be asked without NATS");
    Ok(None)
}

/// Refuses what a revocation list names.
fn check_not_revoked(core: &Core, reference: &str, artifact: &Provenance) -> Result<(), StartProviderError> {
    match core.tables().revocations().find(artifact) {
        Some(named) => Err(StartProviderError::Revoked { reference: reference.to_owned(), named: Box::new(named) }),
        None => Ok(()),
    }
}

fn refuse_second(core: &Core, spec: &ProviderSpec) -> Result<(), StartProviderError> {
    let Some(running) = core.providers.get(&spec.id, &spec.link_name) else { return Ok(()) };
    let (id, link_name) = (spec.id, spec.link_name.to_string());
    if running.spec.provenance.digests == spec.provenance.digests {
        return Err(StartProviderError::AlreadyRunning { id, link_name });
    }
    let (running, wanted) = (running.spec.image_ref.clone(), spec.image_ref.clone());
    Err(StartProviderError::OtherRuns { id: Box::new(id), link_name, running, wanted })
}

async fn announce(
    core: &Arc<Core>,
    provider: Arc<RunningProvider>,
    claims: StoredClaims,
    under_way: &ProviderStart,
) -> Result<Arc<RunningProvider>, StartProviderError> {
    if let Err(error) = core.store.put_claims(&claims).await {
        provider.stop_token().cancel();
        return Err(StartProviderError::Failed { reason: error.to_string() });
    }
    core.providers.insert(provider.clone());
    // As below: a stop that came while it started was noted before, or finds it in the table.
    if under_way.is_stopped(&provider.spec.id, |link_name| *link_name == provider.spec.link_name) {
        core.providers.remove_this(&provider);
        end(&provider).await;
        return Err(StartProviderError::StoppedMeanwhile { reference: provider.spec.image_ref.clone() });
    }
    // A list that came while it started finds it in the table now, or is found here.
    if let Err(revoked) = check_not_revoked(core, &provider.spec.image_ref, &provider.spec.provenance) {
        core.providers.remove_this(&provider);
        end(&provider).await;
        return Err(revoked);
    }
    core.emit(started(core, &provider.spec));
    let weak = Arc::downgrade(core);
    core.tasks.spawn(links::serve(weak.clone(), provider.clone(), core.config.reconcile_interval));
    if let Home::Embedded(embedded) = &provider.home {
        core.tasks.spawn(inbound::serve(core.clone(), provider.clone(), embedded.clone()));
    }
    core.tasks.spawn(health::watch(weak, provider.clone()));
    Ok(provider)
}

/// The event of a start.
pub fn started(core: &Core, spec: &ProviderSpec) -> EventData {
    EventData::ProviderStarted(ProviderStarted {
        host_id: core.identity.host_id,
        public_key: spec.id,
        image_ref: spec.image_ref.clone(),
        link_name: spec.link_name.clone(),
        contract_id: spec.contract.clone(),
        instance_id: spec.instance_id.clone(),
        annotations: spec.annotations.clone(),
        claims: spec.claims.clone(),
    })
}

/// Stops a provider; unknown ones are fine (protocol section 3.3, `sp`).
///
/// # Errors
/// The sentence of the protocol when the provider runs under other link names only.
pub async fn stop(core: &Arc<Core>, command: StopProvider) -> Result<(), String> {
    let running = core.providers.get(&command.provider_id, &command.link_name);
    let reference = running.as_ref().map(|provider| provider.spec.image_ref.as_str());
    core.wanted.change(|workload| workload.stop(Some(&command.provider_id), reference, &command.link_name)).await;
    let Some(provider) = running.filter(|provider| core.providers.remove_this(provider)) else {
        let elsewhere = core.providers.all().iter().any(|provider| provider.spec.id == command.provider_id);
        return if elsewhere { Err("provider with that link name is not running".to_owned()) } else { Ok(()) };
    };
    end(&provider).await;
    let spec = &provider.spec;
    core.failures.provider_gone(&spec.id, &spec.link_name);
    tracing::info!(provider = %spec.id, link_name = %spec.link_name, "provider stopped");
    core.emit(stopped(core, spec, "stop"));
    Ok(())
}

/// Stops a provider that a revocation list names. It is called no more from the first moment. Whether it was this that
/// stopped it: somebody else may have been faster.
pub async fn revoke(core: &Core, provider: &Arc<RunningProvider>, named: &Named) -> bool {
    if !core.providers.remove_this(provider) {
        return false;
    }
    let spec = &provider.spec;
    core.wanted.change(|workload| workload.stop(Some(&spec.id), Some(&spec.image_ref), &spec.link_name)).await;
    core.failures.provider_gone(&spec.id, &spec.link_name);
    tracing::warn!(provider = %spec.id, link_name = %spec.link_name, reason = %named, signer = %named.signer, "provider revoked");
    end(provider).await;
    core.emit(stopped(core, spec, "revoked"));
    true
}

fn stopped(core: &Core, spec: &ProviderSpec, reason: &str) -> EventData {
    EventData::ProviderStopped(ProviderStopped {
        host_id: core.identity.host_id,
        public_key: spec.id,
        link_name: spec.link_name.clone(),
        contract_id: spec.contract.clone(),
        instance_id: spec.instance_id.clone(),
        annotations: spec.annotations.clone(),
        reason: reason.to_owned(),
    })
}

/// Ends a provider and waits until nothing of it is left.
pub async fn end(provider: &RunningProvider) {
    provider.stop_token().cancel();
    match &provider.home {
        Home::Embedded(embedded) => embedded.shutdown().await,
        Home::Process(process) => process.stopped().await,
    }
}

fn contract_id(text: &str) -> Result<ContractId, StartProviderError> {
    text.parse().map_err(|error| StartProviderError::Failed { reason: format!("contract of the provider: {error}") })
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
