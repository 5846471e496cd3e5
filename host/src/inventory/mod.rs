//! What this host says it is and has: the answer to `ping.hosts`, its inventory, the body of its heartbeat.
//!
//! Reads snapshots and never waits. Invariant: what is said fits a message of the broker.

use std::{sync::Arc, time::Instant};

use lattice::{
    client::NatsOptions,
    control::{HostInventory, HostSummary, uptime_human},
    session,
};

use crate::{
    actors::Actors, identity::Identity, nats::Broker, peers::Peers, providers::Providers, settings::HostConfig,
};

/// Version of this host, as it tells others.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Largest message of a broker with default settings.
const DEFAULT_PAYLOAD: usize = 1 << 20;
/// More than this is not said at once, whatever the broker takes.
const LARGEST_PAYLOAD: usize = 8 << 20;
/// For what an event says around an inventory.
const ENVELOPE: usize = 4 << 10;

/// What a host says of itself.
pub struct Inventory {
    identity: Arc<Identity>,
    actors: Arc<Actors>,
    providers: Arc<Providers>,
    peers: Arc<Peers>,
    nats: Option<Arc<Broker>>,
    has_sessions: bool,
    servers: Servers,
}

/// The NATS servers as others may see them.
struct Servers {
    domain: Option<String>,
    control: String,
    rpc: String,
}

impl Servers {
    fn of(settings: &HostConfig) -> Self {
        let shown = |options: Option<&NatsOptions>| options.map(NatsOptions::shown_urls).unwrap_or_default();
        Self {
            domain: settings.js_domain.clone(),
            control: shown(settings.ctl.as_ref()),
            rpc: shown(settings.rpc.as_ref().or(settings.ctl.as_ref())),
        }
    }
}

impl Inventory {
    /// Of what is in these tables.
    #[must_use]
    pub fn new(
        identity: Arc<Identity>,
        (actors, providers, peers): (Arc<Actors>, Arc<Providers>, Arc<Peers>),
        (nats, has_sessions): (Option<Arc<Broker>>, bool),
        settings: &HostConfig,
    ) -> Arc<Self> {
        let servers = Servers::of(settings);
        Arc::new(Self { identity, actors, providers, peers, nats, has_sessions, servers })
    }

    /// The answer to `ping.hosts`.
    #[must_use]
    pub fn summary(&self) -> HostSummary {
        let identity = &self.identity;
        let seconds = identity.started.elapsed().as_secs();
        let issuers: Vec<&str> = identity.trusted_issuers.iter().map(|issuer| issuer.as_str()).collect();
        HostSummary {
            id: identity.host_id,
            issuer: identity.cluster_id.to_string(),
            labels: identity.labels.all(),
            friendly_name: identity.friendly_name.clone(),
            uptime_seconds: seconds,
            uptime_human: uptime_human(seconds),
            version: VERSION.to_owned(),
            cluster_issuers: issuers.join(","),
            js_domain: self.servers.domain.clone(),
            ctl_host: self.servers.control.clone(),
            rpc_host: self.servers.rpc.clone(),
            lattice: identity.lattice.to_string(),
            peers: Some(self.peers.awaited(Instant::now())),
            sessions: if self.has_sessions { session::VERSION } else { 0 },
        }
        .within(self.most_told())
    }

    /// The answer to `get.{host}.inv`, and the body of a heartbeat.
    #[must_use]
    pub fn everything(&self) -> HostInventory {
        let identity = &self.identity;
        let seconds = identity.started.elapsed().as_secs();
        HostInventory {
            host_id: identity.host_id,
            issuer: identity.cluster_id.to_string(),
            friendly_name: identity.friendly_name.clone(),
            labels: identity.labels.all(),
            version: VERSION.to_owned(),
            uptime_human: uptime_human(seconds),
            uptime_seconds: seconds,
            actors: self.actors.describe(),
            providers: self.providers.all().iter().map(|provider| provider.describe()).collect(),
            sessions: self.has_sessions.then_some(session::VERSION),
            left_out: 0,
        }
        .within(self.most_told())
    }

    /// Bytes that this host may tell about itself in one message.
    #[must_use]
    pub fn most_told(&self) -> usize {
        most_told(self.nats.as_ref().map(|nats| nats.ctl.client.max_payload()))
    }
}

fn most_told(payload: Option<usize>) -> usize {
    payload.unwrap_or(DEFAULT_PAYLOAD).min(LARGEST_PAYLOAD).saturating_sub(ENVELOPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_leaves_room_for_its_envelope() {
        assert_eq!(most_told(None), DEFAULT_PAYLOAD - ENVELOPE);
        assert_eq!(most_told(Some(64 << 10)), (64 << 10) - ENVELOPE);
    }

    #[test]
    fn what_is_told_is_bounded_whatever_the_broker_takes() {
        assert_eq!(most_told(Some(usize::MAX)), LARGEST_PAYLOAD - ENVELOPE);
        assert_eq!(most_told(Some(0)), 0);
    }
}
