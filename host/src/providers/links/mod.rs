//! Giving a provider its links: compare what the lattice wants with what the provider has, and act.
//!
//! Runs on every change and, while something is refused for a reason that may pass, on a timer. Links are given side by
//! side, each link's changes in order, and no deletion waits behind another link's put. A provider in this host gets a
//! link when its actor exists: signed claims of it are known, so that whoever invents actors opens no socket. The outcome
//! of each link becomes an event once, and again when the link is put again. Invariant: what the provider has converges
//! on lattice state.

mod give;
mod slots;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use claims::ActorId;
use contracts::mask;
use futures_util::{StreamExt, stream::FuturesUnordered};
use lattice::{
    Link,
    event::{EventData, LinkApplied, LinkFailed},
};
use tokio::time::timeout;

use self::{
    give::{Done, carry_out},
    slots::{Outcome, Slots, Told},
};
use super::{
    running::{Given, Home, RunningProvider},
    table::Providers,
};

/// Links that a provider in this host is given at once.
const EMBEDDED_AT_ONCE: usize = 16;
/// Links that a process is sent at once.
const PROCESS_AT_ONCE: usize = 1024;
/// How long the start of an actor waits for its links to be given.
const GIVEN_WITHIN: Duration = Duration::from_secs(1);
/// Longest reason of a provider that is told, in bytes.
const MOST_REASON: usize = 2048;

/// Keeps the links of one provider until it stops.
pub async fn serve(providers: Weak<Providers>, provider: Arc<RunningProvider>, retry_after: Duration) {
    let most = match provider.home {
        Home::Embedded(_) => EMBEDDED_AT_ONCE,
        Home::Process(_) => PROCESS_AT_ONCE,
    };
    let mut slots = Slots::default();
    let mut working = FuturesUnordered::new();
    let mut retry = None;
    let Some(strong) = providers.upgrade() else { return };
    look(&strong, &provider, &mut slots);
    drop(strong);
    loop {
        while working.len() < most {
            let Some(strong) = providers.upgrade() else { return };
            let may_have = |link: &Link| may_have(&strong, &provider, link);
            match slots.next(may_have) {
                Some(slots::Next::Do(step)) => {
                    if let slots::Step::Delete { link } = &step {
                        provider.given.send_modify(|given| drop(given.remove(&link.actor_id)));
                    }
                    working.push(carry_out(strong, provider.clone(), step, slots.speaks()));
                }
                Some(slots::Next::Tell(link, told)) => tell(&strong, &provider, &link, told),
                None => break,
            }
        }
        if retry.is_none() && slots.retry() {
            retry = Some(Box::pin(tokio::time::sleep(retry_after)));
        }
        tokio::select! {
            () = provider.stop_token().cancelled() => return,
            () = provider.woken() => {
                let Some(strong) = providers.upgrade() else { return };
                look(&strong, &provider, &mut slots);
            }
            Some(done) = working.next(), if !working.is_empty() => settle(&provider, &mut slots, done),
            () = next_retry(&mut retry) => {
                retry = None;
                slots.try_again();
            }
        }
    }
}

async fn next_retry(retry: &mut Option<std::pin::Pin<Box<tokio::time::Sleep>>>) {
    match retry {
        Some(retry) => retry.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Takes in what is wanted now, and which links were put again.
fn look(providers: &Providers, provider: &RunningProvider, slots: &mut Slots) {
    let repeated = provider.take_repeated();
    let spec = &provider.spec;
    let is_process = matches!(provider.home, Home::Process(_));
    slots.want(providers.tables().links.of_provider(&spec.id, &spec.link_name), &repeated, is_process);
}

fn settle(provider: &RunningProvider, slots: &mut Slots, done: Done) {
    if let Some((link, outcome)) = &done.given {
        let served = matches!(outcome, Outcome::Served | Outcome::Sent);
        let given = Given { link: link.clone(), served };
        provider.given.send_modify(|all| drop(all.insert(link.actor_id, given)));
    }
    slots.settle(done.actor, done.given, done.answered);
}

/// Whether a provider may have a link now. A process gets every link, as the protocol says (section 3.5).
fn may_have(providers: &Providers, provider: &RunningProvider, link: &Link) -> bool {
    matches!(provider.home, Home::Process(_))
        || providers.exists(&link.actor_id) && providers.check_grant(&link.actor_id, link.contract_id.as_str()).is_ok()
}

/// Waits, but not for long, until the providers of this host were given the links of an actor that is about to run: its
/// first call must not come before its link.
pub async fn given(providers: &Providers, actor: &ActorId) {
    let of_actor = providers.tables().links.of(actor);
    // What is not granted is not given.
    let granted = of_actor.iter().filter(|link| providers.check_grant(actor, link.contract_id.as_str()).is_ok());
    let running = granted.filter_map(|link| providers.get(&link.provider_id, &link.link_name));
    let waiting = running.map(|provider| async move { provider.answered(actor).await });
    timeout(GIVEN_WITHIN, futures_util::future::join_all(waiting)).await.ok();
}

fn tell(providers: &Providers, provider: &RunningProvider, link: &Link, told: Told) {
    let applied = || LinkApplied::new(providers.identity.host_id, link);
    match told {
        Told::Served => {
            providers.failures.link_over(link);
            providers.events.emit(EventData::LinkdefApplied(applied()));
        }
        Told::Sent => providers.events.emit(EventData::LinkdefSent(applied())),
        Told::Waiting => providers.events.emit(EventData::LinkdefWaiting(applied())),
        Told::Refused(reason) => {
            let reason = shown(&reason);
            tracing::warn!(actor = %link.actor_id, provider = %provider.spec.id, error = %reason, "provider does not serve a link");
            providers.failures.link_refused(link, &reason);
            let failed = LinkFailed::new(providers.identity.host_id, link, reason);
            providers.events.emit(EventData::LinkdefFailed(failed));
        }
    }
}

/// A reason as everybody may hear it: without secrets of the values it speaks of, and not longer than a message.
fn shown(reason: &str) -> String {
    let mut shown = mask::text(reason).into_owned();
    shown.truncate(shown.floor_char_boundary(MOST_REASON));
    shown
}
