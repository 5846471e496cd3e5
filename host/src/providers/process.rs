//! Supervising a provider process (protocol sections 7.1 to 7.4).
//!
//! A child that ends by itself is started again with back-off and gets all its links in its host data. While it is
//! down, calls to it fail at once. Invariant: when [`Process::stopped`] resolves, no child is left.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lattice::{
    HostData, OtelConfig, Secret, ShutdownRequest,
    event::{EventData, ProviderStopped},
    subject::RpcSubject,
};
use tokio::{io::AsyncWriteExt, process::Child, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{ProviderSpec, launcher};
use crate::core::Core;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// A child that ran this long had started well; its end is not part of a crash loop.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// Handle of a supervised child.
pub struct Process {
    up: Arc<AtomicBool>,
    ended: watch::Receiver<bool>,
}

impl Process {
    /// Whether the child runs now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Resolves when the supervisor has ended and the child is gone.
    pub async fn stopped(&self) {
        self.ended.clone().wait_for(|ended| *ended).await.ok();
    }
}

/// Starts the executable once and supervises it from then on. `stop` ends both.
///
/// # Errors
/// A sentence for the operator when the program cannot be started at all.
pub async fn start(
    core: &Arc<Core>,
    spec: ProviderSpec,
    executable: PathBuf,
    stop: CancellationToken,
) -> Result<Process, String> {
    let up = Arc::new(AtomicBool::new(false));
    let (ended_in, ended) = watch::channel(false);
    let supervisor = Supervisor { core: core.clone(), spec, executable, up: up.clone(), stop };
    let child = supervisor.launch().await?;
    core.tasks.spawn(async move {
        supervisor.run(child).await;
        ended_in.send_replace(true);
    });
    Ok(Process { up, ended })
}

struct Supervisor {
    core: Arc<Core>,
    spec: ProviderSpec,
    executable: PathBuf,
    up: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self, first: Child) {
        let mut child = Some(first);
        let mut delay = FIRST_DELAY;
        while let Some(mut running) = child.take() {
            let started = Instant::now();
            tokio::select! {
                status = running.wait() => self.report_end(status.ok()),
                () = self.stop.cancelled() => {
                    self.shut_down(running).await;
                    return;
                }
            }
            if started.elapsed() > STABLE_AFTER {
                delay = FIRST_DELAY;
            }
            child = self.relaunch(&mut delay).await;
        }
    }

    fn report_end(&self, status: Option<ExitStatus>) {
        self.up.store(false, Ordering::Relaxed);
        let how = status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string());
        tracing::warn!(provider = %self.spec.id, link_name = %self.spec.link_name, %how, "provider process ended; restarting it");
        self.core.emit(EventData::ProviderStopped(ProviderStopped {
            host_id: self.core.identity.host_id,
            public_key: self.spec.id,
            link_name: self.spec.link_name.clone(),
            contract_id: self.spec.contract.clone(),
            instance_id: self.spec.instance_id.clone(),
            annotations: self.spec.annotations.clone(),
            reason: format!("process ended: {how}"),
        }));
    }

    /// Starts the child again, however long it takes; none when told to stop.
    async fn relaunch(&self, delay: &mut Duration) -> Option<Child> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(*delay) => {}
                () = self.stop.cancelled() => return None,
            }
            *delay = (*delay * 2).min(LONGEST_DELAY);
            match self.launch().await {
                Ok(child) => {
                    self.core.emit(super::start::started(&self.core, &self.spec));
                    self.core.providers.wake(&self.spec.id, &self.spec.link_name);
                    return Some(child);
                }
                Err(error) => tracing::warn!(provider = %self.spec.id, %error, "cannot restart provider process"),
            }
        }
    }

    async fn launch(&self) -> Result<Child, String> {
        let mut command = std::process::Command::new(&self.executable);
        let otel = |name: &str| std::env::var(name).unwrap_or_default();
        command
            .env_clear()
            .env("OTEL_TRACES_EXPORTER", otel("OTEL_TRACES_EXPORTER"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", otel("OTEL_EXPORTER_OTLP_ENDPOINT"))
            .envs(std::env::var("RUST_LOG").map(|filter| ("RUST_LOG", filter)))
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        let line = self.host_data()?.to_stdin_line();
        let mut child =
            launcher::spawn(command).await.map_err(|error| format!("cannot start the provider: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A child that does not read its stdin is noticed by its exit or its health, not here.
            let written = tokio::time::timeout(Duration::from_secs(5), stdin.write_all(line.as_bytes())).await;
            if !matches!(written, Ok(Ok(()))) {
                tracing::warn!(provider = %self.spec.id, "provider process did not read its host data");
            }
        }
        self.up.store(true, Ordering::Relaxed);
        Ok(child)
    }

    fn host_data(&self) -> Result<HostData, String> {
        let core = &self.core;
        let login = core.config.provider_login(&self.spec.id)?;
        let links = core.tables().links.of_provider(&self.spec.id, &self.spec.link_name);
        Ok(HostData {
            host_id: core.identity.host_id,
            lattice: core.config.lattice.clone(),
            link_name: self.spec.link_name.clone(),
            lattice_rpc_user_jwt: login.jwt.unwrap_or_default(),
            lattice_rpc_user_seed: login.seed,
            lattice_rpc_url: login.url,
            lattice_rpc_tls: login.tls,
            provider_key: self.spec.id,
            invocation_seed: Secret::new(core.identity.cluster_key.seed().expose()),
            env_values: std::collections::BTreeMap::new(),
            instance_id: self.spec.instance_id.clone(),
            link_definitions: links.iter().map(|link| link.as_ref().clone()).collect(),
            cluster_issuers: core.identity.trusted_issuers.iter().copied().collect(),
            config_json: self.spec.config.clone(),
            default_rpc_timeout_ms: u64::try_from(core.config.rpc_timeout.as_millis()).ok(),
            structured_logging: false,
            log_level: None,
            otel_config: OtelConfig::default(),
        })
    }

    async fn shut_down(&self, mut child: Child) {
        let grace = self.core.config.provider_shutdown_delay;
        let subject = RpcSubject::Shutdown { id: self.spec.id, link_name: self.spec.link_name.clone() };
        if let Some(broker) = &self.core.broker {
            let request = ShutdownRequest::new(&self.core.identity.host_id).to_json();
            let ask = broker.ask(subject.render(&self.core.config.lattice), request.into(), grace);
            let exit = async {
                ask.await;
                child.wait().await
            };
            tokio::time::timeout(grace, exit).await.ok();
        }
        child.kill().await.ok();
        self.up.store(false, Ordering::Relaxed);
    }
}
