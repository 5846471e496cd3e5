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

use super::Artifacts;
use crate::{
    identity::Identity,
    nats::Connection,
    process::{
        backoff::{Backoff, Schedule},
        lifetime::Lifetime,
    },
};

/// For the answer to one question.
const ANSWER: Duration = Duration::from_secs(2);
/// Asks over `connection` until there is an answer. Resolves when it was tried once.
pub fn ask(
    artifacts: Arc<Artifacts>,
    identity: Arc<Identity>,
    connection: Connection,
    pauses: Schedule,
    life: &Lifetime,
) -> oneshot::Receiver<()> {
    let (tried, outcome) = oneshot::channel();
    let stop = life.stop.clone();
    life.spawn(async move {
        stop.run_until_cancelled(until_answered(&artifacts, &identity, connection, pauses, tried)).await;
    });
    outcome
}

async fn until_answered(
    artifacts: &Artifacts,
    identity: &Identity,
    mut connection: Connection,
    pauses: Schedule,
    tried: oneshot::Sender<()>,
) {
    let (mut tried, mut backoff) = (Some(tried), Backoff::new(pauses));
    loop {
        if connection.connected.wait_for(|connected| *connected).await.is_err() {
            return;
        }
        let answer = question(identity, &connection).await;
        let told = answer.is_ok();
        match answer {
            Ok(ConfigAnswer { registry_credentials }) => {
                tracing::info!(registries = ?registry_credentials.0.keys(), "the config service has registry credentials");
                artifacts.offer_credentials(registry_credentials);
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
        tokio::time::sleep(backoff.pause()).await;
    }
}

async fn question(identity: &Identity, connection: &Connection) -> Result<ConfigAnswer, String> {
    let subject = subject::config_service(&identity.lattice);
    let payload = ConfigQuestion { labels: identity.labels.all() }.to_json();
    let answer = tokio::time::timeout(ANSWER, connection.client.request(subject, payload.into())).await;
    let answer = answer.map_err(|_| format!("silence for {} s", ANSWER.as_secs()))?;
    let answer = answer.map_err(|error| error.to_string())?;
    ConfigAnswer::from_json(&answer.payload).map_err(|error| error.to_string())
}
