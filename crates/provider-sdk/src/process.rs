//! A provider as a process of its own, started by a host with the 0.82 launch protocol (protocol section 7).
//!
//! One line of host data on standard input, then everything over NATS: links, calls, health, shutdown. Owns the order of
//! start and end; `launch` reads the line, `serve` answers, `links` applies link changes, `actors` is the way out,
//! `traces` says where spans go, `orphan` notices that the host is gone. Invariant: the process ends with its host,
//! whatever ends the host.

mod actors;
mod launch;
mod links;
mod orphan;
mod serve;
mod traces;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use contracts::Budget;
use lattice::{
    HostData,
    client::{Delegated, NatsOptions, RpcClient, connect},
    invocation::OWN_KEY_MARK,
    subject::Role,
};
use telemetry::{Exporting, Tracer};
use tokio::signal::unix::{SignalKind, signal};

use self::{actors::LatticeActors, orphan::Parent, serve::Server};
use crate::{Builtin, Start};

/// Under this name of `env_values` a host of ours says where a provider may keep data.
pub const DATA_DIR: &str = "WASH_DATA_DIR";
/// Under this name of `env_values` a host of ours says how many bytes the bodies of all calls of a provider may have.
pub const BODY_MEMORY: &str = "WASH_BODY_MEMORY";

/// Time for the provider to release what it holds before the process ends all the same.
const SHUTDOWN_TIME: Duration = Duration::from_secs(5);
/// Time for the spans that are left at the end; hosts wait less by default.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// Timeout of calls for which nobody says one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a provider as a process: the whole `main` of its binary. Ends with success when its host asks it to or is gone,
/// and with failure and a sentence on standard error when it cannot start.
#[must_use]
pub fn run(builtin: Builtin) -> ExitCode {
    let parent = Parent::watch();
    // Refused only when there is one already, which then does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match launch::read_host_data().map_err(|error| error.to_string()).and_then(|host_data| {
        launch::log_to_stderr(&host_data);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start worker threads: {error}"))?;
        runtime.block_on(Box::pin(serve(builtin, host_data, parent)))
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{}: {reason}", builtin.descriptor.name);
            ExitCode::FAILURE
        }
    }
}

async fn serve(builtin: Builtin, host_data: HostData, parent: Parent) -> Result<(), String> {
    let cluster = launch::cluster_key(&host_data)?;
    if let Some(bytes) = host_data.env_values.get(BODY_MEMORY).and_then(|bytes| bytes.parse().ok()) {
        Budget::bodies().set_limit(bytes);
    }
    let tls = host_data.lattice_rpc_tls.clone().unwrap_or_default();
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let options = NatsOptions {
        urls: vec![host_data.rpc_url().to_owned()],
        jwt: text(&host_data.lattice_rpc_user_jwt),
        seed: text(host_data.lattice_rpc_user_seed.expose()),
        name: format!("provider {}", builtin.descriptor.name),
        inbox_prefix: Role::Provider(host_data.provider_key).inbox(),
        tls: tls.required,
        tls_ca: tls.ca,
        tls_cert: tls.cert,
        tls_key: tls.key,
        retry: true,
        ..NatsOptions::default()
    };
    let client = connect(&options).await.map_err(|error| error.to_string())?;
    let (tracer, exporting) = tracer(&builtin, &host_data);
    // Hosts look for it: whoever has it is given a key of its own.
    std::hint::black_box(&OWN_KEY_MARK);
    let delegated = Delegated::default();
    host_data.invocation_delegation.iter().for_each(|statement| delegated.set(statement));
    let actors = LatticeActors {
        rpc: RpcClient::nats(client.clone(), host_data.lattice.clone(), None).with_delegated(delegated.clone()),
        delegated: delegated.clone(),
        origin: origin(&builtin, &host_data),
        cluster,
        host: host_data.host_id,
        tracer: tracer.clone(),
    };
    let provider = (builtin.start)(Start {
        actors: Arc::new(actors),
        link_name: host_data.link_name.clone(),
        config: host_data.config_json.clone(),
        data_dir: host_data.env_values.get(DATA_DIR).map(PathBuf::from),
    })
    .map_err(|error| error.to_string())?;
    tracing::info!(provider = %host_data.provider_key, host = %host_data.host_id, lattice = %host_data.lattice, "started");

    let server = Server::new(&builtin, host_data, client, Arc::clone(&provider), tracer).with_delegated(delegated);
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let outcome = tokio::select! {
        outcome = server.run() => outcome,
        () = parent.gone() => {
            tracing::warn!("the host that started this provider is gone");
            Ok(())
        }
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if tokio::time::timeout(SHUTDOWN_TIME, provider.shutdown()).await.is_err() {
        tracing::warn!("the provider did not release everything in time");
    }
    if let Some(exporting) = exporting {
        exporting.finish(Instant::now() + LAST_SPANS).await;
    }
    outcome
}

/// Makes spans where the host does. A provider that cannot serves all the same.
fn tracer(builtin: &Builtin, host_data: &HostData) -> (Tracer, Option<Exporting>) {
    let settings = traces::settings(&host_data.otel_config).unwrap_or_else(|reason| {
        tracing::warn!(reason, "this provider exports no traces");
        None
    });
    let (tracer, exporter) = telemetry::open(settings.as_ref(), traces::resource(builtin, host_data));
    (tracer, exporter.map(Exporting::start))
}

fn origin(builtin: &Builtin, host_data: &HostData) -> lattice::invocation::Entity {
    lattice::invocation::Entity {
        public_key: host_data.provider_key.to_string(),
        link_name: host_data.link_name.to_string(),
        contract_id: builtin.descriptor.contract.to_owned(),
    }
}

/// Seconds since 1970, as tokens count time.
fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
