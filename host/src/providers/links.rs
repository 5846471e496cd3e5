//! Giving a provider its links: compare what the lattice wants with what the provider serves, and act.
//!
//! Runs on every change and, while something is refused for a reason that may pass, on a timer. The outcome of each
//! link becomes an event once, not at every attempt. Invariant: what the provider serves converges on lattice state.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use claims::ActorId;
use contracts::mask;
use lattice::{
    Link,
    control::Ack,
    event::{EventData, LinkApplied, LinkFailed},
    subject::RpcSubject,
};
use provider_sdk::LinkRefused;

use super::{Home, RunningProvider};
use crate::core::Core;

/// How long a provider process of ours may take to answer a link; others never answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

enum Outcome {
    Served,
    Refused { retry: bool, reason: String },
}

struct Seen {
    link: Arc<Link>,
    outcome: Outcome,
}

/// Keeps the links of one provider until it stops.
pub async fn serve(core: Weak<Core>, provider: Arc<RunningProvider>, retry_after: Duration) {
    let mut seen: HashMap<ActorId, Seen> = HashMap::new();
    loop {
        let Some(strong) = core.upgrade() else { return };
        reconcile(&strong, &provider, &mut seen).await;
        drop(strong);
        let retry = seen.values().any(|entry| matches!(entry.outcome, Outcome::Refused { retry: true, .. }));
        tokio::select! {
            () = provider.stop_token().cancelled() => return,
            () = provider.woken() => {}
            () = tokio::time::sleep(retry_after), if retry => {}
        }
    }
}

async fn reconcile(core: &Core, provider: &RunningProvider, seen: &mut HashMap<ActorId, Seen>) {
    let spec = &provider.spec;
    let links = core.tables().links.of_provider(&spec.id, &spec.link_name);
    let wanted: HashMap<ActorId, Arc<Link>> = links.into_iter().map(|link| (link.actor_id, link)).collect();
    let gone: Vec<ActorId> = seen.keys().filter(|actor| !wanted.contains_key(*actor)).copied().collect();
    for actor in gone {
        if let Some(entry) = seen.remove(&actor) {
            provider.served.send_modify(|served| drop(served.remove(&actor)));
            delete(core, provider, &entry.link).await;
        }
    }
    let repeated = provider.take_repeated();
    for (actor, link) in wanted {
        let before = seen.get_mut(&actor);
        let settled =
            |entry: &&mut Seen| entry.link == link && !matches!(entry.outcome, Outcome::Refused { retry: true, .. });
        if let Some(entry) = before.filter(settled) {
            // Put again, or back before it was let go after a move: whoever did wants to hear what became of it.
            if repeated.contains(&actor) || !Arc::ptr_eq(&entry.link, &link) {
                report(core, provider, &link, &entry.outcome, None);
                entry.link = link;
            }
            continue;
        }
        let before = seen.get(&actor);
        let told =
            before.filter(|entry| entry.link == link && !repeated.contains(&actor)).map(|entry| match &entry.outcome {
                Outcome::Served => None,
                Outcome::Refused { reason, .. } => Some(reason.clone()),
            });
        let outcome = put(core, provider, &link, before.map(|entry| &entry.link)).await;
        if matches!(outcome, Outcome::Served) {
            provider.served.send_modify(|served| drop(served.insert(actor, link.clone())));
        }
        report(core, provider, &link, &outcome, told);
        seen.insert(actor, Seen { link, outcome });
    }
}

async fn put(core: &Core, provider: &RunningProvider, link: &Arc<Link>, before: Option<&Arc<Link>>) -> Outcome {
    let refused = match &provider.home {
        Home::Embedded(embedded) => embedded.put_link(link).await.err(),
        Home::Process(_) => put_in_process(core, provider, link, before.filter(|before| *before != link)).await,
    };
    let (retry, reason) = match refused {
        None => return Outcome::Served,
        Some(LinkRefused::Values(error)) => (false, error.to_string()),
        Some(LinkRefused::Unavailable { reason }) => (true, reason),
    };
    // It may repeat the values that it does not like.
    Outcome::Refused { retry, reason: mask::text(&reason).into_owned() }
}

/// Gives a link to a process. `before` is what it has in its place, which providers of ours replace without a gap; those of
/// other makers ignore a put for an actor they already know and say nothing (protocol section 7.5), so it is deleted first.
async fn put_in_process(
    core: &Core,
    provider: &RunningProvider,
    link: &Link,
    before: Option<&Arc<Link>>,
) -> Option<LinkRefused> {
    let mut answer = ask(core, provider, link).await;
    if let (None, Some(before)) = (&answer, before) {
        delete(core, provider, before).await;
        answer = ask(core, provider, link).await;
    }
    let ack = answer.filter(|ack| !ack.accepted)?;
    Some(LinkRefused::Unavailable { reason: ack.error })
}

async fn ask(core: &Core, provider: &RunningProvider, link: &Link) -> Option<Ack> {
    let spec = &provider.spec;
    let subject = RpcSubject::LinkPut { id: spec.id, link_name: spec.link_name.clone() };
    let subject = subject.render(&core.config.lattice);
    let answer = core.broker.as_ref()?.ask(subject, link.to_msgpack().into(), ANSWER_WITHIN).await?;
    Ack::from_reply(&answer).ok()
}

async fn delete(core: &Core, provider: &RunningProvider, link: &Link) {
    match &provider.home {
        Home::Embedded(embedded) => embedded.delete_link(&link.actor_id).await,
        Home::Process(_) => {
            let spec = &provider.spec;
            let subject = RpcSubject::LinkDel { id: spec.id, link_name: spec.link_name.clone() };
            core.publish_rpc(&subject, link.to_msgpack().into()).await;
        }
    }
}

/// One event per new outcome; `told` is what was said of this very link before.
fn report(core: &Core, provider: &RunningProvider, link: &Link, outcome: &Outcome, told: Option<Option<String>>) {
    let spec = &provider.spec;
    match outcome {
        Outcome::Served if told != Some(None) => {
            core.emit(EventData::LinkdefApplied(LinkApplied::new(core.identity.host_id, link)));
        }
        Outcome::Refused { reason, .. } if told.as_ref().and_then(Option::as_ref) != Some(reason) => {
            tracing::warn!(actor = %link.actor_id, provider = %spec.id, error = %reason, "provider does not serve a link");
            core.emit(EventData::LinkdefFailed(LinkFailed::new(core.identity.host_id, link, reason.clone())));
        }
        _ => {}
    }
}
