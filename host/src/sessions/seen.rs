//! Telling the other hosts that run an actor, or have a provider compiled in, which signed calls to it this one has taken,
//! and hearing it of them.
//!
//! A call that is captured and sent again reaches any host of the queue group. What was taken is told at once, in one
//! message as much as is there; the host that gets the copy sooner carries it out all the same. Knows no tokens. Invariants:
//! no call waits for this; what is told counts only with the word of a trusted key; what waits is bounded.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use async_nats::{HeaderMap, Subscriber};
use claims::HostId;
use futures_util::StreamExt;
use lattice::{
    client::Noted,
    member::{MEMBER_HEADER, Word},
    subject::RpcSubject,
};
use tokio::sync::mpsc;

use super::way::Way;
use crate::{
    budget::{Budgets, Rate},
    core::{Core, unix_now},
    peers::Route,
};

const MAGIC: &[u8; 4] = b"LR1\n";
const RECORD: usize = 24;
/// Calls that wait to be told; of further ones other hosts hear nothing.
const WAITING: usize = 1 << 14;
/// Calls that are told together.
const TOGETHER: usize = 1024;
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
    pub(super) fn new() -> Self {
        let (calls, waiting) = mpsc::channel(WAITING);
        Self { calls, waiting: Mutex::new(Some(waiting)) }
    }

    /// Tells until it is dropped; once.
    pub(super) async fn tell(&self, way: &Way) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            tell(way, waiting).await;
        }
    }

    /// A call to somebody who is on other hosts as well was taken.
    pub(super) fn taken(&self, route: Arc<Route>, noted: Noted) {
        // Without room nobody hears of it; the memory of this host has it.
        let _ = self.calls.try_send((route, noted));
    }
}

async fn tell(way: &Way, mut waiting: mpsc::Receiver<News>) {
    let mut calls = Vec::new();
    while waiting.recv_many(&mut calls, TOGETHER).await > 0 {
        let mut by_host: HashMap<HostId, Vec<Noted>> = HashMap::new();
        for (route, noted) in calls.drain(..) {
            for host in route.hosts.iter().take(MOST_HOSTS) {
                by_host.entry(*host).or_default().push(noted);
            }
        }
        for (host, noted) in by_host {
            send(way, host, &noted).await;
        }
    }
}

async fn send(way: &Way, host: HostId, noted: &[Noted]) {
    if !*way.connected.borrow() {
        return;
    }
    let message = encode(&host, noted);
    let mut headers = HeaderMap::new();
    headers.insert(MEMBER_HEADER, Word::header(&way.lattice, &way.own, &message, &way.cluster));
    let subject = RpcSubject::Seen(host).render(&way.lattice);
    if let Err(error) = way.client.publish_with_headers(subject, headers, message.into()).await {
        tracing::debug!(%error, %host, "cannot tell which calls were taken");
    }
}

/// Takes in what other hosts tell.
pub(super) async fn take(core: &Core, way: &Way, mut messages: Subscriber) {
    let mut budgets = Budgets::new(OF_ONE, OF_ALL);
    while let Some(message) = messages.next().await {
        let headers = message.headers.as_ref();
        let word = headers.and_then(|headers| headers.get(MEMBER_HEADER)?.as_str().parse::<Word>().ok());
        let Some(word) = word.filter(|word| way.trusted.contains(&word.cluster)) else { continue };
        let is_known = core.peers.is_member(&word.host);
        if !is_known || !budgets.take(word.host, Instant::now()) {
            continue;
        }
        if let Some(noted) = decode(&way.own, &message.payload)
            && word.holds(&way.lattice, &message.payload, &way.trusted)
        {
            let now = unix_now();
            noted.for_each(|noted| core.inbound.replays.heard(noted, now));
        }
    }
}

/// The receiver is part of it: what one host is told says nothing to another.
fn encode(to: &HostId, noted: &[Noted]) -> Vec<u8> {
    let mut message = Vec::with_capacity(MAGIC.len() + to.as_str().len() + noted.len() * RECORD);
    message.extend_from_slice(MAGIC);
    message.extend_from_slice(to.as_str().as_bytes());
    for Noted { sender, issued_at, id } in noted {
        [sender, issued_at, id].into_iter().for_each(|number| message.extend_from_slice(&number.to_be_bytes()));
    }
    message
}

fn decode<'m>(own: &HostId, message: &'m [u8]) -> Option<impl Iterator<Item = Noted> + use<'m>> {
    let records = message.strip_prefix(MAGIC)?.strip_prefix(own.as_str().as_bytes())?;
    if records.len() % RECORD != 0 || records.len() > TOGETHER * RECORD {
        return None;
    }
    let number = |record: &[u8], at: usize| u64::from_be_bytes(record[at..at + 8].try_into().expect("eight bytes"));
    Some(records.chunks_exact(RECORD).map(move |record| Noted {
        sender: number(record, 0),
        issued_at: number(record, 8),
        id: number(record, 16),
    }))
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    #[test]
    fn what_is_told_is_read_by_the_host_it_is_told_to() {
        let host = || HostId::try_from(KeyPair::generate(KeyKind::Server).public()).expect("a host key");
        let (one, other) = (host(), host());
        let noted: Vec<Noted> = (0..3).map(|n| Noted { sender: n, issued_at: n + 1, id: u64::MAX - n }).collect();
        let message = encode(&one, &noted);
        assert_eq!(decode(&one, &message).expect("it is one").collect::<Vec<_>>(), noted);
        assert!(decode(&other, &message).is_none());
        for bad in [&message[..message.len() - 1], &message[..3], b"", &encode(&one, &[noted[0]; TOGETHER + 1])] {
            assert!(decode(&one, bad).is_none());
        }
    }
}
