//! Supervising a provider process (protocol sections 7.1 to 7.4).
//!
//! A child that ends by itself is started again with back-off and gets all its links in its host data. While it is
//! down, calls to it fail at once and say why; one that ends again and again is a crash loop, and is called so. Invariant:
//! when [`Process::stopped`] resolves, neither the child nor anything below it is left (`guard`).

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::Budget;
use lattice::{HostData, OtelConfig, Secret, ShutdownRequest, subject::RpcSubject};
use provider_sdk::{BODY_MEMORY, DATA_DIR};
use tokio::{io::AsyncWriteExt, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    child::{CRASH_LOOP, Condition, Process},
    data_dir::data_dir,
    keys::OwnKey,
    last_line::LastLine,
    launcher::{self, Launched},
    spec::ProviderSpec,
    table::Providers,
    trouble::Trouble,
};
use crate::process::backoff::Backoff;

/// A child that ran this long had started well; its end is not part of a crash loop.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// How long a child may take to read what it is told at its start.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Why a provider process cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The system does not start the program.
    #[error("cannot start the program")]
    Spawn(#[source] std::io::Error),
    /// There are no credentials for it.
    #[error("{0}")]
    Login(String),
    /// The cluster key cannot sign for its key.
    #[error("cannot sign for the key of the provider")]
    Signing,
    /// It was stopped on its way.
    #[error("it was stopped before it ran")]
    Stopped,
}

/// Starts the executable once and supervises it from then on. `stop` ends both.
///
/// # Errors
/// [`LaunchError`] when the program cannot be started at all.
pub async fn start(
    providers: &Arc<Providers>,
    spec: ProviderSpec,
    executable: PathBuf,
    stop: CancellationToken,
) -> Result<Process, LaunchError> {
    let (ended_in, ended) = watch::channel(false);
    let (condition_in, condition) = watch::channel(Condition::default());
    let key = OwnKey::default();
    let supervisor =
        Supervisor { providers: providers.clone(), spec, executable, condition: condition_in, stop, key: key.clone() };
    let child = supervisor.launch().await?;
    providers.life.spawn(async move {
        supervisor.run(child).await;
        ended_in.send_replace(true);
    });
    Ok(Process { condition, ended, key })
}

struct Supervisor {
    providers: Arc<Providers>,
    spec: ProviderSpec,
    executable: PathBuf,
    condition: watch::Sender<Condition>,
    stop: CancellationToken,
    key: OwnKey,
}

/// A child, and what it says.
struct Running {
    child: Launched,
    words: LastLine,
}

impl Supervisor {
    async fn run(self, first: Running) {
        let mut child = Some(first);
        let mut backoff = Backoff::new(self.providers.settings.timings.restart);
        while let Some(mut running) = child.take() {
            let started = Instant::now();
            let status = tokio::select! {
                status = running.child.ended() => status,
                () = self.stop.cancelled() => {
                    self.shut_down(running).await;
                    return;
                }
            };
            if started.elapsed() > STABLE_AFTER {
                backoff.reset();
            }
            self.report_end(started, status, running).await;
            child = self.relaunch(&mut backoff).await;
        }
    }

    async fn report_end(&self, started: Instant, status: Option<ExitStatus>, mut running: Running) {
        self.providers.meters.provider_restarts(self.spec.id, self.spec.link_name.clone());
        let status = status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string());
        // Callers hear of it at once. What it said last may take a moment, and is not for them.
        self.condition.send_modify(|condition| {
            condition.up = false;
            condition.status = status;
            condition.words = None;
        });
        let words = running.words.take().await;
        self.condition.send_modify(|condition| {
            condition.ends = if started.elapsed() > STABLE_AFTER { 1 } else { condition.ends.saturating_add(1) };
            condition.words = words;
        });
        let condition = self.condition.borrow().clone();
        let (reason, spec) = (condition.told(), &self.spec);
        if condition.ends == CRASH_LOOP {
            tracing::error!(provider = %spec.id, link_name = %spec.link_name, %reason, "provider is in a crash loop");
        } else {
            tracing::warn!(provider = %spec.id, link_name = %spec.link_name, %reason, "provider process ended");
        }
        self.providers.failures.provider_ended(&spec.id, &spec.link_name, &reason);
        // What comes next is another process, of which nobody knows yet how it feels.
        if let Some(provider) = self.providers.get(&spec.id, &spec.link_name) {
            provider.set_healthy(false);
        }
        self.providers.events.emit(spec.stopped(self.providers.identity.host_id, reason));
    }

    /// Starts the child again, however long it takes; none when told to stop.
    async fn relaunch(&self, backoff: &mut Backoff) -> Option<Running> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                () = self.stop.cancelled() => return None,
            }
            let provider = self.providers.get(&self.spec.id, &self.spec.link_name);
            if let Some(provider) = &provider {
                provider.set_trouble(Some(Trouble::new("its process was started again and has not answered yet")));
            }
            match self.launch().await {
                Ok(child) => {
                    // Before anybody hears how it feels.
                    self.providers.events.emit(self.spec.started(self.providers.identity.host_id));
                    if let Some(provider) = &provider {
                        provider.suspect();
                    }
                    self.providers.wake(&self.spec.id, &self.spec.link_name);
                    return Some(child);
                }
                Err(LaunchError::Stopped) => return None,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(provider = %self.spec.id, error, "cannot restart provider process");
                }
            }
        }
    }

    async fn launch(&self) -> Result<Running, LaunchError> {
        let otel = self.otel_config();
        let prepare = |command: &mut std::process::Command| {
            command
                .env_clear()
                .env("OTEL_TRACES_EXPORTER", otel.traces_exporter.unwrap_or_default())
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", otel.exporter_otlp_endpoint.unwrap_or_default())
                .envs(std::env::var("RUST_LOG").map(|filter| ("RUST_LOG", filter)))
                .stdout(Stdio::inherit())
                .stderr(Stdio::piped());
        };
        let line = self.host_data()?.to_stdin_line();
        let mut child = launcher::spawn(self.executable.as_os_str(), prepare).await.map_err(LaunchError::Spawn)?;
        let (stdin, stderr) = child.take_streams();
        let words = LastLine::follow(stderr);
        if let Some(mut stdin) = stdin {
            // A child that does not read its stdin is noticed by its exit or its health, not here.
            let written = tokio::time::timeout(READ_WITHIN, stdin.write_all(line.as_bytes()));
            let Some(written) = self.stop.run_until_cancelled(written).await else {
                child.end().await;
                return Err(LaunchError::Stopped);
            };
            if !matches!(written, Ok(Ok(()))) {
                tracing::warn!(provider = %self.spec.id, "provider process did not read its host data");
            }
        }
        self.condition.send_modify(|condition| {
            condition.up = true;
            condition.since = Some(Instant::now());
            condition.launches += 1;
        });
        Ok(Running { child, words })
    }

    fn host_data(&self) -> Result<HostData, LaunchError> {
        let providers = &self.providers;
        let login = providers.settings.provider_login(&self.spec.id).map_err(LaunchError::Login)?;
        let lifetime = providers.settings.timings.delegation;
        let signing = self.key.for_start(&providers.identity, &self.spec, lifetime).ok_or(LaunchError::Signing)?;
        let links = providers.tables().links.of_provider(&self.spec.id, &self.spec.link_name);
        Ok(HostData {
            host_id: providers.identity.host_id,
            lattice: providers.identity.lattice.clone(),
            link_name: self.spec.link_name.clone(),
            lattice_rpc_user_jwt: login.jwt.unwrap_or_default(),
            lattice_rpc_user_seed: login.seed,
            lattice_rpc_url: login.url,
            lattice_rpc_tls: login.tls,
            provider_key: self.spec.id,
            invocation_seed: signing.seed,
            invocation_delegation: signing.delegation,
            env_values: [
                (DATA_DIR.to_owned(), data_dir(&providers.settings.state_dir, &self.spec).display().to_string()),
                (BODY_MEMORY.to_owned(), Budget::bodies().limit().to_string()),
            ]
            .into(),
            instance_id: self.spec.instance_id.clone(),
            link_definitions: links.iter().map(|link| link.as_ref().clone()).collect(),
            cluster_issuers: providers.identity.trusted_issuers.iter().copied().collect(),
            config_json: self.spec.config.clone(),
            default_rpc_timeout_ms: u64::try_from(providers.settings.timings.call.as_millis()).ok(),
            structured_logging: providers.settings.structured_logging,
            log_level: None,
            otel_config: self.otel_config(),
        })
    }

    /// Providers send their spans where this host does.
    fn otel_config(&self) -> OtelConfig {
        let Some(tracing) = &self.providers.settings.tracing else { return OtelConfig::default() };
        let headers = (!tracing.headers.is_empty()).then(|| Secret::new(telemetry::headers::list(&tracing.headers)));
        OtelConfig {
            traces_exporter: Some("otlp".to_owned()),
            exporter_otlp_endpoint: Some(tracing.endpoint.clone()),
            exporter_otlp_headers: headers,
            traces_sampler_arg: Some(tracing.ratio.to_string()),
        }
    }

    async fn shut_down(&self, mut running: Running) {
        let grace = self.providers.settings.timings.provider_shutdown;
        let child = &mut running.child;
        let subject = RpcSubject::Shutdown { id: self.spec.id, link_name: self.spec.link_name.clone() };
        if let Some(nats) = &self.providers.nats {
            let request = ShutdownRequest::new(&self.providers.identity.host_id).to_json();
            let ask = nats.ask(&subject, request.into(), grace);
            let exit = async {
                ask.await;
                child.ended().await
            };
            if tokio::time::timeout(grace, exit).await.is_err() {
                tracing::warn!(provider = %self.spec.id, ?grace, "provider process does not end when asked; killing it");
            }
        }
        child.end().await;
        self.condition.send_modify(|condition| (condition.up, condition.stopped) = (false, true));
    }
}
