//! Registry credentials that the config service of the lattice has for this host (protocol section 8.6).
//!
//! They take the place of those of the command line; what operators put later holds against them. Invariants: only an
//! answer that can be read counts; without one the host goes on with what it has, and asks again.

use std::{sync::Arc, time::Duration};

use lattice::{
    config_service::{ConfigAnswer, ConfigQuestion},
    subject,
};
use tokio::sync::oneshot;

use crate::{core::Core, nats::Connection};

/// For the answer to one question.
const ANSWER: Duration = Duration::from_secs(2);
/// First pause after a question without an answer; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Asks until there is an answer, if the operator wants it. Resolves when it was tried once.
pub fn ask(core: &Arc<Core>) -> oneshot::Receiver<()> {
    let (tried, outcome) = oneshot::channel();
    if let Some(broker) = core.broker.as_ref().filter(|_| core.config.config_service) {
        let (core, connection) = (core.clone(), broker.ctl.clone());
        core.tasks.clone().spawn(async move {
            let stop = core.stop.clone();
            stop.run_until_cancelled(until_answered(&core, connection, tried)).await;
        });
    }
    outcome
}

async fn until_answered(core: &Core, mut connection: Connection, tried: oneshot::Sender<()>) {
    let (mut tried, mut pause) = (Some(tried), PAUSE);
    loop {
        if connection.connected.wait_for(|connected| *connected).await.is_err() {
            return;
        }
        let answer = question(core, &connection).await;
        let told = answer.is_ok();
        match answer {
            Ok(ConfigAnswer { registry_credentials }) => {
                tracing::info!(registries = ?registry_credentials.0.keys(), "the config service has registry credentials");
                core.artifacts.offer_credentials(registry_credentials);
            }
            Err(reason) if tried.is_some() => {
                tracing::warn!(%reason, "no answer of the config service; this host goes on without and keeps asking; \
                    if there is none, leave out `--config-service-enabled`");
            }
            Err(reason) => tracing::debug!(%reason, "no answer of the config service"),
        }
        if let Some(tried) = tried.take() {
            tried.send(()).ok();
        }
        if told {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn question(core: &Core, connection: &Connection) -> Result<ConfigAnswer, String> {
    let subject = subject::config_service(&core.config.lattice);
    let payload = ConfigQuestion { labels: core.labels() }.to_json();
    let answer = tokio::time::timeout(ANSWER, connection.client.request(subject, payload.into())).await;
    let answer = answer.map_err(|_| format!("silence for {} s", ANSWER.as_secs()))?;
    let answer = answer.map_err(|error| error.to_string())?;
    ConfigAnswer::from_json(&answer.payload).map_err(|error| error.to_string())
}
