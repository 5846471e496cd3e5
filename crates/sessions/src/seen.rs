//! Telling the other hosts that run an actor, or have a provider compiled in, which signed calls to it this one has taken, and hearing it of them.
//!
//! A call that is captured and sent again reaches any host of the queue group. What was taken is told at once, in one
//! message as much as is there; the host that gets the copy sooner carries it out all the same. Knows no tokens. Invariants:
//! no call waits for this; what is told counts only with the word of a trusted key; what waits is bounded.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_nats::HeaderMap;
use claims::HostId;
use futures_util::StreamExt;
use lattice::{
    client::{Noted, taken},
    member::{MEMBER_HEADER, Word},
    subject::RpcSubject,
};
use tokio::sync::mpsc;

use crate::{
    budget::{Budgets, Rate},
    context::Context,
    environment::{Environment, OutMessage},
    route::Route,
    serve_call::ServeCall,
};

/// Calls that wait to be told; of further ones other hosts hear nothing.
const WAITING: usize = 1 << 14;
/// Hosts that hear of a call.
const MOST_HOSTS: usize = 32;
/// Messages that are looked at, of one host and of all.
const OF_ONE: Rate = Rate { burst: 1_000, per_second: 200 };
const OF_ALL: Rate = Rate { burst: 4_000, per_second: 1_000 };

/// A call, and the hosts that are to hear of it.
type News = (Arc<Route>, Noted);

/// What waits to be told.
pub struct Told {
    calls: mpsc::Sender<News>,
    waiting: Mutex<Option<mpsc::Receiver<News>>>,
}

impl Told {
    /// Nothing waits.
    pub fn new() -> Self {
        let (calls, waiting) = mpsc::channel(WAITING);
        Self { calls, waiting: Mutex::new(Some(waiting)) }
    }

    /// Tells until it is dropped; once.
    pub async fn tell<E: Environment>(&self, context: &Context<E>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            tell(context, waiting).await;
        }
    }

    /// A call to an actor that runs on other hosts as well was taken.
    pub fn taken(&self, route: Arc<Route>, noted: Noted) {
        // Without room nobody hears of it; the memory of this host has it.
        let _ = self.calls.try_send((route, noted));
    }
}

async fn tell<E: Environment>(context: &Context<E>, mut waiting: mpsc::Receiver<News>) {
    let mut calls = Vec::new();
    while waiting.recv_many(&mut calls, taken::MOST).await > 0 {
        let mut by_host: BTreeMap<HostId, Vec<Noted>> = BTreeMap::new();
        for (route, noted) in calls.drain(..) {
            for host in route.hosts.iter().take(MOST_HOSTS) {
                by_host.entry(*host).or_default().push(noted);
            }
        }
        for (host, noted) in by_host {
            send(context, host, &noted).await;
        }
    }
}

async fn send<E: Environment>(context: &Context<E>, host: HostId, noted: &[Noted]) {
    if !context.is_connected() {
        return;
    }
    let own = &context.own;
    let message = taken::encode(&host, noted);
    let mut headers = HeaderMap::new();
    headers.insert(MEMBER_HEADER, Word::header(&own.lattice, &own.host, &message, &own.cluster));
    let subject = RpcSubject::Seen(host).render(&own.lattice);
    let message = OutMessage { headers: Some(headers), ..OutMessage::new(subject, message) };
    if let Err(error) = context.env.publish(message).await {
        tracing::debug!(%error, %host, "cannot tell which calls were taken");
    }
}

/// Takes in what other hosts tell.
pub async fn take<E: Environment>(host: &impl ServeCall, context: &Context<E>, mut messages: E::Messages) {
    let (own, mut budgets) = (&context.own, Budgets::new(OF_ONE, OF_ALL));
    while let Some(message) = messages.next().await {
        let headers = message.headers.as_ref();
        let word = headers.and_then(|headers| headers.get(MEMBER_HEADER)?.as_str().parse::<Word>().ok());
        let Some(word) = word.filter(|word| own.trusted.contains(&word.cluster)) else { continue };
        if !host.is_member(&word.host) || !budgets.take(word.host, context.env.now()) {
            continue;
        }
        if let Some(noted) = taken::decode(&own.host, &message.payload)
            && word.holds(&own.lattice, &message.payload, &own.trusted)
        {
            noted.for_each(|noted| host.heard(noted));
        }
    }
}
