//! The sessions of this host with the others: the crate of that name, with this host at its door.
//!
//! What a call may do is decided in `rpc.rs`; here is only what connects the two.

use std::{sync::Arc, time::Instant};

use ::sessions::{Failed, Member, Nats, ServeCall};
use bytes::Bytes;
use claims::HostId;
use lattice::{
    client::{Noted, RpcResponder},
    session::CallEntry,
};
use tokio_util::task::TaskTracker;

use crate::{
    broker::Broker,
    config::HostConfig,
    core::{Core, Identity, unix_now},
    rpc,
};

/// Sessions over NATS.
pub type Sessions = ::sessions::Sessions<Nats>;

/// Sessions over the RPC connection of a broker; none when the operator does not want them.
#[must_use]
pub fn open(config: &HostConfig, identity: &Identity, broker: &Broker, tasks: &TaskTracker) -> Option<Arc<Sessions>> {
    if !config.sessions {
        return None;
    }
    let client = broker.calls.client.clone();
    let large = RpcResponder::new(client.clone(), &config.lattice, config.js_domain.as_deref())
        .with_max_body(u64::from(config.limits.response_bytes));
    let nats = Nats { client, connected: broker.calls.connected.clone(), large, tasks: tasks.clone() };
    let own = Member {
        lattice: config.lattice.clone(),
        host: identity.host_id,
        cluster: identity.cluster_key.clone(),
        cluster_id: identity.cluster_id,
        trusted: identity.trusted_issuers.clone(),
    };
    Some(Sessions::new(nats, own))
}

impl ServeCall for Core {
    async fn serve(&self, call: CallEntry, deadline: Instant) -> Result<Bytes, Failed> {
        let served = rpc::serve_session_call(self, call, deadline).await;
        served.map_err(|(begun, error)| Failed { begun, error })
    }

    fn takes_sessions(&self) -> bool {
        !self.stop.is_cancelled()
    }

    fn is_member(&self, host: &HostId) -> bool {
        self.peers.is_member(host)
    }

    fn heard(&self, taken: Noted) {
        self.inbound.replays.heard(taken, unix_now());
    }
}
