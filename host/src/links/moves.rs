//! Moving a link from one provider to another, while calls come.
//!
//! The new provider gets the link first; when it says that it serves it, or after a while in any case, calls go to it; the
//! old one keeps the link a little longer, for calls under way here and on hosts that switch later. Every host does this
//! for itself. Invariant: a move ends, and then no provider but the new one has the link.

use std::{sync::Arc, time::Duration};

use lattice::{Link, control::Ack, subject::RpcSubject};
use tokio::time::{Instant, timeout};

use super::changes::Changes;

/// How long a provider of this host that does not serve the new link, for whatever reason, leaves calls with the old one.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// The same for a provider elsewhere that does not say whether it serves the link, as providers of 0.82 do.
const ELSEWHERE_WITHIN: Duration = Duration::from_secs(1);
/// How long the old provider keeps the link after that.
const LINGER: Duration = Duration::from_secs(3);

/// Conducts a move to the provider of `link` until nothing of it is left to do.
pub(super) async fn conduct(changes: &Changes, link: Arc<Link>) {
    let all = async {
        ready(changes, &link).await;
        changes.tables().links.switch(&link);
        tracing::info!(actor = %link.actor_id, provider = %link.provider_id, contract = %link.contract_id, "link moved");
        tokio::time::sleep(LINGER).await;
        changes.tables().links.release(&link);
    };
    tokio::select! {
        () = changes.life.stop.cancelled() => {}
        () = all => {}
    }
}

/// Waits until the new provider serves the link, but not for ever.
async fn ready(changes: &Changes, link: &Arc<Link>) {
    if let Some(provider) = changes.providers.get(&link.provider_id, &link.link_name) {
        if !changes.providers.exists(&link.actor_id) {
            return; // nobody calls
        }
        if timeout(READY_WITHIN, provider.serves(link)).await.is_err() {
            tracing::warn!(actor = %link.actor_id, provider = %link.provider_id, "a provider does not serve the link that moves to it");
        }
        return;
    }
    let (id, link_name) = (link.provider_id, link.link_name.clone());
    let subject = RpcSubject::LinkPut { id, link_name };
    let deadline = Instant::now() + ELSEWHERE_WITHIN;
    let answer = match &changes.nats {
        Some(nats) => nats.ask(&subject, link.to_msgpack().into(), ELSEWHERE_WITHIN).await,
        None => None,
    };
    if !answer.and_then(|answer| Ack::from_reply(&answer).ok()).is_some_and(|ack| ack.accepted) {
        tokio::time::sleep_until(deadline).await;
    }
}
