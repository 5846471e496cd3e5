//! The sessions of this host with the others: the crate of that name, over NATS.

use std::sync::Arc;

use lattice::client::RpcResponder;
use sessions::{Member, Nats};
use tokio_util::task::TaskTracker;

use crate::{identity::Identity, nats::Broker, settings::HostConfig};

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
