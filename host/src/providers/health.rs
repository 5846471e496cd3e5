//! Asking providers how they feel (protocol section 7.3).
//!
//! The flag of the protocol starts as *unhealthy*; an answer that differs from it is an event, an answer that repeats it is
//! a status, and a provider that does not answer keeps its flag. What calls go by is separate: one that says it is unhealthy,
//! or is silent, is not called, and is asked again every second until it is well.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use contracts::mask;
use lattice::{
    HealthResponse,
    event::{EventData, HealthCheck},
    subject::RpcSubject,
};
use provider_sdk::Health;
use tokio::time::Instant;

use super::{
    running::{Home, RunningProvider},
    table::Providers,
    trouble::Trouble,
};

const FIRST_AFTER: Duration = Duration::from_secs(5);
/// While a provider is not well, so that calls find it as soon as it is.
const SOON: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// While a process is on its way to its first answer.
const AT_ONCE: Duration = Duration::from_millis(20);
/// So many checks without an answer make a provider unhealthy.
const SILENT_AFTER: u32 = 2;

/// Checks one provider until it stops.
pub async fn watch(providers: Weak<Providers>, provider: Arc<RunningProvider>) {
    let mut wait = match provider.home {
        Home::Embedded(_) => Duration::ZERO,
        Home::Process(_) => FIRST_AFTER,
    };
    let (mut missed, mut told) = (0, None);
    loop {
        tokio::select! {
            () = provider.stop_token().cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            () = provider.doubted() => {}
        }
        let Some(providers) = providers.upgrade() else { return };
        let every = providers.settings.timings.health_check;
        let asked = provider.process_number();
        let answer = ask(&providers, &provider).await;
        // Of a process that has ended since nothing is told: its successor was not asked.
        if provider.stop_token().is_cancelled() || provider.process_number() != asked {
            continue;
        }
        let young = matches!(&provider.home, Home::Process(process) if process.is_young());
        missed = if answer.is_some() || young { 0 } else { missed + 1 };
        judge(&providers, &provider, answer.as_ref(), missed);
        wait = match &answer {
            Some(Health { healthy: true, .. }) => every,
            None if young => AT_ONCE,
            _ => SOON,
        };
        // Checks that come sooner than the protocol's are told only when they change something.
        let is_news = told.is_none_or(|(when, healthy): (Instant, bool)| {
            when.elapsed() >= every.saturating_sub(SOON)
                || answer.as_ref().is_some_and(|health| health.healthy != healthy)
        });
        if let Some(health) = answer.filter(|_| is_news) {
            record(&providers, &provider, &health);
            told = Some((Instant::now(), health.healthy));
        }
    }
}

/// Decides whether the provider is to be called.
fn judge(providers: &Providers, provider: &RunningProvider, answer: Option<&Health>, missed: u32) {
    // Without a broker nobody can answer, nor be called.
    let connected = providers.nats.as_ref().is_some_and(|broker| *broker.calls.connected.borrow());
    match answer {
        Some(Health { healthy: true, .. }) => _ = provider.set_trouble(None),
        Some(Health { message, .. }) => {
            // Why is for whoever runs it; it may name servers and accounts. Callers hear that it is so.
            let message = message.as_deref().map_or("no reason given".into(), mask::text);
            let trouble = Trouble::new("it says that it is unhealthy");
            if provider.set_trouble(Some(Trouble { words: Some(message.to_string()), ..trouble })) {
                tracing::warn!(provider = %provider.spec.id, %message, "provider says that it is unhealthy");
            }
        }
        None if missed >= SILENT_AFTER && connected => {
            let reason = format!("it is unhealthy: it did not answer {missed} health checks in a row");
            provider.set_trouble(Some(Trouble::new(reason)));
        }
        None => {}
    }
    if missed == SILENT_AFTER {
        tracing::warn!(provider = %provider.spec.id, "provider does not answer health checks");
    }
}

/// One health check; none when there was no answer.
pub async fn ask(providers: &Providers, provider: &RunningProvider) -> Option<Health> {
    match &provider.home {
        Home::Embedded(embedded) => tokio::time::timeout(ANSWER_WITHIN, embedded.health()).await.ok(),
        Home::Process(process) => {
            let spec = &provider.spec;
            // The request is empty for providers of others; ours are told until when their key counts.
            let statement = process
                .key
                .statement(&providers.identity, spec, providers.settings.timings.delegation)
                .unwrap_or_default();
            let subject = RpcSubject::Health { id: spec.id, link_name: spec.link_name.clone() };
            let nats = providers.nats.as_ref()?;
            let answer = nats.ask(&subject, statement.into(), ANSWER_WITHIN).await?;
            let HealthResponse { healthy, message } = HealthResponse::decode(&answer).ok()?;
            Some(Health { healthy, message })
        }
    }
}

/// Turns an answer into the flag and the event.
pub fn record(providers: &Providers, provider: &RunningProvider, health: &Health) {
    let spec = &provider.spec;
    let check =
        HealthCheck { public_key: spec.id, link_name: spec.link_name.clone(), contract_id: spec.contract.clone() };
    let changed = provider.set_healthy(health.healthy);
    if health.healthy {
        providers.failures.provider_well(&spec.id, &spec.link_name);
    }
    providers.events.emit(match (health.healthy, changed) {
        (true, true) => EventData::HealthCheckPassed(check),
        (false, true) => EventData::HealthCheckFailed(check),
        (_, false) => EventData::HealthCheckStatus(check),
    });
}
