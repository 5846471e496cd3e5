//! Asking providers how they feel (protocol section 7.3).
//!
//! The flag starts as *unhealthy*; an answer that differs from it is an event, an answer that repeats it is a status.
//! A provider that does not answer keeps its flag and is logged.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use lattice::{
    HealthResponse,
    event::{EventData, HealthCheck},
    subject::RpcSubject,
};
use provider_sdk::Health;

use super::{Home, RunningProvider};
use crate::core::Core;

const FIRST_AFTER: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Checks one provider until it stops.
pub async fn watch(core: Weak<Core>, provider: Arc<RunningProvider>) {
    let mut wait = match provider.home {
        Home::Embedded(_) => Duration::ZERO,
        Home::Process(_) => FIRST_AFTER,
    };
    loop {
        tokio::select! {
            () = provider.stop_token().cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let Some(core) = core.upgrade() else { return };
        match ask(&core, &provider).await {
            Some(health) => record(&core, &provider, &health),
            None => tracing::warn!(provider = %provider.spec.id, "provider did not answer its health check"),
        }
        wait = core.config.health_interval;
    }
}

/// One health check; none when there was no answer.
pub async fn ask(core: &Core, provider: &RunningProvider) -> Option<Health> {
    match &provider.home {
        Home::Embedded(embedded) => tokio::time::timeout(ANSWER_WITHIN, embedded.health()).await.ok(),
        Home::Process(_) => {
            let spec = &provider.spec;
            let subject = RpcSubject::Health { id: spec.id, link_name: spec.link_name.clone() };
            let broker = core.broker.as_ref()?;
            let answer = broker.ask(subject.render(&core.config.lattice), bytes::Bytes::new(), ANSWER_WITHIN).await?;
            let HealthResponse { healthy, message } = HealthResponse::decode(&answer).ok()?;
            Some(Health { healthy, message })
        }
    }
}

/// Turns an answer into the flag and the event.
pub fn record(core: &Core, provider: &RunningProvider, health: &Health) {
    let spec = &provider.spec;
    let check =
        HealthCheck { public_key: spec.id, link_name: spec.link_name.clone(), contract_id: spec.contract.clone() };
    core.emit(match (health.healthy, provider.set_healthy(health.healthy)) {
        (true, true) => EventData::HealthCheckPassed(check),
        (false, true) => EventData::HealthCheckFailed(check),
        (_, false) => EventData::HealthCheckStatus(check),
    });
}
