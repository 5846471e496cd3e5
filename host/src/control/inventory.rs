//! `ping.hosts` and `get.{host}.inv`: snapshots of this host.

use std::time::Instant;

use lattice::{
    control::{HostInventory, HostSummary, uptime_human},
    session,
};

use crate::core::Core;

/// Version of this host, as it tells others.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The answer to `ping.hosts`.
pub fn summary(core: &Core) -> HostSummary {
    let seconds = core.identity.started.elapsed().as_secs();
    let issuers: Vec<&str> = core.identity.trusted_issuers.iter().map(|issuer| issuer.as_str()).collect();
    let url =
        |options: Option<&lattice::client::NatsOptions>| options.map(|nats| nats.shown_urls()).unwrap_or_default();
    HostSummary {
        id: core.identity.host_id,
        issuer: core.identity.cluster_id.to_string(),
        labels: core.labels(),
        friendly_name: core.identity.friendly_name.clone(),
        uptime_seconds: seconds,
        uptime_human: uptime_human(seconds),
        version: VERSION.to_owned(),
        cluster_issuers: issuers.join(","),
        js_domain: core.config.js_domain.clone(),
        ctl_host: url(core.config.ctl.as_ref()),
        rpc_host: url(core.config.rpc.as_ref().or(core.config.ctl.as_ref())),
        lattice: core.config.lattice.to_string(),
        peers: Some(core.peers.members(Instant::now())),
        sessions: if core.has_sessions() { session::VERSION } else { 0 },
    }
    .within(core.most_told())
}

/// The answer to `get.{host}.inv`, and the body of a heartbeat.
pub fn inventory(core: &Core) -> HostInventory {
    let seconds = core.identity.started.elapsed().as_secs();
    HostInventory {
        host_id: core.identity.host_id,
        issuer: core.identity.cluster_id.to_string(),
        friendly_name: core.identity.friendly_name.clone(),
        labels: core.labels(),
        version: VERSION.to_owned(),
        uptime_human: uptime_human(seconds),
        uptime_seconds: seconds,
        actors: core.actors.describe(),
        providers: core.providers.all().iter().map(|provider| provider.describe()).collect(),
        sessions: core.has_sessions().then_some(session::VERSION),
        left_out: 0,
    }
    .within(core.most_told())
}
