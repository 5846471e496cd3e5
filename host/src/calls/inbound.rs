//! The receiving side of calls: what takes them in, and what remembers those that were taken.

use std::time::Duration;

use lattice::client::{ReplayGuard, RpcResponder};

use crate::{nats::Broker, process::clock::unix_now, settings::HostConfig};

/// The receiving side of calls.
pub struct Inbound {
    /// Takes calls from the RPC connection, and answers them.
    pub responder: Option<RpcResponder>,
    /// Signed calls that were taken lately.
    pub replays: ReplayGuard,
    /// For a call that brings no deadline.
    pub timeout: Duration,
}

impl Inbound {
    /// For a host with or without NATS.
    #[must_use]
    pub fn new(settings: &HostConfig, nats: Option<&Broker>) -> Self {
        let responder = nats.map(|nats| {
            RpcResponder::new(nats.calls.client.clone(), &settings.lattice, settings.js_domain.as_deref())
                .with_max_body(u64::from(settings.limits.payload_bytes))
                .with_delegations()
        });
        let replays = ReplayGuard::kept_in(&settings.state_dir.join("seen"), unix_now());
        Self { responder, replays, timeout: settings.timings.call }
    }
}
