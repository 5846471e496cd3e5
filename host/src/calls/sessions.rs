//! The sessions of this host with the others: the crate of that name, with this host at its door.
//!
//! What a call may do is decided in `arrive`; here is only what connects the two.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use claims::HostId;
use lattice::{
    client::{Noted, RpcResponder},
    session::CallEntry,
};
use sessions::{Failed, Member, Nats, ServeCall};
use tokio_util::task::TaskTracker;

use super::{arrive::serve_session_call, face::Calls};
use crate::{identity::Identity, nats::Broker, process::clock::unix_now, settings::HostConfig};

/// Sessions over NATS.
pub type Sessions = sessions::Sessions<Nats>;

/// Sessions over the RPC connection of a broker; none when the operator does not want them.
#[must_use]
pub fn open_sessions(
    settings: &HostConfig,
    identity: &Identity,
    nats: &Broker,
    tasks: &TaskTracker,
) -> Option<Arc<Sessions>> {
    if !settings.sessions {
        return None;
    }
    let client = nats.calls.client.clone();
    let large = RpcResponder::new(client.clone(), &settings.lattice, settings.js_domain.as_deref())
        .with_max_body(u64::from(settings.limits.response_bytes));
    let over = Nats { client, connected: nats.calls.connected.clone(), large, tasks: tasks.clone() };
    let own = Member {
        lattice: identity.lattice.clone(),
        host: identity.host_id,
        cluster: identity.cluster_key.clone(),
        cluster_id: identity.cluster_id,
        trusted: identity.trusted_issuers.clone(),
    };
    Some(Sessions::new(over, own))
}

impl ServeCall for Calls {
    async fn serve(&self, call: CallEntry, deadline: Instant) -> Result<Bytes, Failed> {
        let served = serve_session_call(self, call, deadline).await;
        served.map_err(|(begun, error)| Failed { begun, error })
    }

    fn takes_sessions(&self) -> bool {
        !self.life.is_stopping()
    }

    fn is_member(&self, host: &HostId) -> bool {
        self.peers.is_member(host)
    }

    fn heard(&self, taken: Noted) {
        self.inbound.replays.heard(taken, unix_now());
    }
}
