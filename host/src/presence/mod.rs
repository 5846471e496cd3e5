//! Telling the lattice that this host lives, and hearing who else does (protocol section 8.4).
//!
//! What is read of it, `intake` decides. Invariant: a member is spoken for by its cluster key alone.

pub mod duplicate_key;
mod intake;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Message;
use bytes::Bytes;
use claims::HostId;
use futures_util::StreamExt;
use lattice::{
    client::Inbox,
    control::HostInventory,
    event::{Event, EventData, EventHead, HostStarted},
    subject::{ControlRoot, ControlSubject, events},
};
use lattice_state::buckets::StoreState;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval_at},
};

pub use self::intake::Intake;
use self::{duplicate_key::OwnAnswers, intake::Teller};
use crate::{
    calls::Sessions,
    events::{Events, tells_of_a_peer},
    identity::Identity,
    inventory::{Inventory, VERSION},
    nats::Broker,
    peers::{Peers, Standing},
    process::lifetime::Lifetime,
};

/// Hosts that are asked at once what they run.
const ASK_AT_ONCE: usize = 16;
/// Longest wait for such an answer.
const ASK_WITHIN: Duration = Duration::from_secs(2);

/// What tells of this host, and hears of others.
pub struct Presence {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// What we say.
    pub inventory: Arc<Inventory>,
    /// Tells the lattice.
    pub events: Events,
    /// Other hosts.
    pub peers: Arc<Peers>,
    /// What is read of what they tell.
    pub intake: Arc<Intake>,
    /// Sessions with them.
    pub sessions: Option<Arc<Sessions>>,
    /// NATS, if this host uses it.
    pub nats: Option<Arc<Broker>>,
    /// Control subjects of the lattice.
    pub root: ControlRoot,
    /// Time between heartbeats.
    pub every: Duration,
    /// Owns the tasks.
    pub life: Lifetime,
}

/// Emits a heartbeat at every interval until the host stops; the first one after one interval.
pub async fn beat(presence: Arc<Presence>) {
    let every = presence.every;
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = presence.life.stop.cancelled() => return,
            _ = ticks.tick() => {
                presence.peers.forget_silent(Instant::now());
                presence.events.emit(EventData::HostHeartbeat(presence.inventory.everything()));
            }
        }
    }
}

/// Follows the events of other hosts to know who is there.
pub async fn follow_peers(presence: Arc<Presence>, nats: Arc<Broker>) {
    let mut messages = match nats.ctl.client.subscribe(events(&presence.identity.lattice)).await {
        Ok(messages) => Inbox::new("events", messages),
        Err(error) => {
            tracing::warn!(%error, "cannot follow the events of other hosts");
            return;
        }
    };
    loop {
        let message = tokio::select! {
            () = presence.life.stop.cancelled() => return,
            message = messages.next() => message,
        };
        let Some(message) = message else { return };
        take_in(&presence, &message);
    }
}

/// Who tells a message, if it is to be read.
fn teller(presence: &Presence, message: &Message) -> Option<Teller> {
    let (lattice, trusted) = (&presence.identity.lattice, &presence.identity.trusted_issuers);
    let here = (&presence.identity.host_id, lattice);
    presence.intake.teller(&message.payload, message.headers.as_ref(), here, trusted, Instant::now())
}

/// Most of what is told, such as `linkdef_set` by every host for every link, is nothing but a sign of life, and is not
/// read any further.
fn take_in(presence: &Presence, message: &Message) {
    let Some(teller) = teller(presence, message) else { return };
    let Ok(head) = EventHead::from_json(&message.payload) else { return };
    let told_twice = || Event::from_json(&message.payload).is_ok_and(|event| presence.events.is_of_a_twin(&event));
    if head.source == presence.identity.host_id.as_str() {
        if head.kind.is_some_and(tells_of_a_peer) && told_twice() {
            duplicate_key::tell(presence.identity.host_id);
        }
        return;
    }
    let (Ok(host), now) = (head.source.parse(), Instant::now()) else { return };
    let Some(standing) = teller.standing(&host) else { return };
    if !head.kind.is_some_and(tells_of_a_peer) {
        return presence.peers.heard(host, standing, now);
    }
    if let Ok(event) = Event::from_json(&message.payload) {
        note(presence, host, standing, &event.data, now);
    }
}

/// What an event says about its host. The source counts, whatever else stands in it.
fn note(presence: &Presence, host: HostId, standing: Standing, data: &EventData, now: Instant) {
    let peers = &presence.peers;
    match data {
        EventData::HostStopped(_) => peers.gone(&host, standing),
        EventData::HostStarted(_) => {
            peers.began(host, standing, now);
            if standing == Standing::Member {
                presence.sessions.iter().for_each(|sessions| sessions.renewed(&host));
            }
        }
        EventData::HostHeartbeat(inventory) if inventory.host_id == host => peers.told(inventory, standing, now),
        EventData::ActorsStarted(started) => {
            peers.started(host, standing, started.public_key, &started.annotations, now);
        }
        EventData::ActorScaled(scaled) if scaled.max_instances > 0 => {
            peers.started(host, standing, scaled.public_key, &scaled.annotations, now);
        }
        EventData::ActorsStopped(stopped) if stopped.remaining == 0 => {
            peers.stopped(host, standing, stopped.public_key, &stopped.annotations, now);
        }
        EventData::ProviderStarted(it) if standing == Standing::Member => {
            peers.provider(host, (it.public_key, &it.link_name), true, now);
        }
        EventData::ProviderStopped(it) if standing == Standing::Member => {
            peers.provider(host, (it.public_key, &it.link_name), false, now);
        }
        _ => peers.heard(host, standing, now),
    }
}

/// Asks the hosts that have not said what they run, whenever a call looks for them, until the host stops.
pub async fn ask_wanted(presence: Arc<Presence>) {
    loop {
        tokio::select! {
            () = presence.life.stop.cancelled() => return,
            () = presence.peers.wanted() => ask_unknown(&presence),
        }
    }
}

/// Asks them, each once in a while; a call goes the signed way meanwhile.
fn ask_unknown(presence: &Arc<Presence>) {
    let unknown = presence.peers.take_unknown(Instant::now());
    if unknown.is_empty() {
        return;
    }
    let asking = presence.clone();
    presence.life.spawn(async move {
        let answers = futures_util::stream::iter(unknown).for_each_concurrent(ASK_AT_ONCE, |host| ask(&asking, host));
        tokio::select! {
            () = asking.life.stop.cancelled() => {}
            () = answers => {}
        }
    });
}

async fn ask(presence: &Presence, host: HostId) {
    let Some(nats) = &presence.nats else { return };
    let subject = ControlSubject::GetInventory(host).render(&presence.root);
    let answer = tokio::time::timeout(ASK_WITHIN, nats.ctl.client.request(subject, Bytes::new())).await;
    let Ok(Ok(answer)) = answer else { return };
    let Some(standing) = teller(presence, &answer).and_then(|teller| teller.standing(&host)) else { return };
    match serde_json::from_slice::<HostInventory>(&answer.payload) {
        Ok(inventory) if inventory.host_id == host => presence.peers.told(&inventory, standing, Instant::now()),
        _ => tracing::debug!(%host, "the inventory of a host cannot be read"),
    }
}

/// Asks who is there and says that this host is, after every connect; the answers come as they come.
pub async fn greet_peers(presence: Arc<Presence>, nats: Arc<Broker>) {
    let inbox = nats.ctl.client.new_inbox();
    let Ok(mut answers) = nats.ctl.client.subscribe(format!("{inbox}.*")).await else { return };
    let mut connected = nats.ctl.connected.clone();
    let ping = ControlSubject::PingHosts.render(&presence.root);
    let (mut first, mut own) = (true, OwnAnswers::default());
    loop {
        if *connected.borrow_and_update() {
            presence.peers.doubt();
            let reply = format!("{inbox}.{}", own.next_round());
            nats.ctl.client.publish_with_reply(ping.clone(), reply, Bytes::new()).await.ok();
            if !std::mem::take(&mut first) {
                // The first connect is announced by `host_started`; after an outage the heartbeat says we are back.
                presence.events.emit(EventData::HostHeartbeat(presence.inventory.everything()));
            }
        }
        loop {
            tokio::select! {
                () = presence.life.stop.cancelled() => return,
                changed = connected.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                answer = answers.next() => match answer {
                    Some(answer) => hear(&presence, &answer, &mut own),
                    None => return,
                },
            }
        }
    }
}

/// Tells the lattice that this host is there, once its state is the lattice's: before that its answers would be wrong. Where
/// the server refuses the store it never will be, and the others must know of this host all the same.
pub async fn announce(
    presence: Arc<Presence>,
    mut synced: watch::Receiver<bool>,
    mut store: watch::Receiver<StoreState>,
) {
    tokio::select! {
        () = presence.life.stop.cancelled() => return,
        synced = synced.wait_for(|synced| *synced) => if synced.is_err() { return },
        refused = store.wait_for(|state| state.refusal().is_some()) => if refused.is_err() { return },
    }
    presence.events.emit(EventData::HostStarted(HostStarted {
        friendly_name: presence.identity.friendly_name.clone(),
        labels: presence.identity.labels.all(),
        uptime_seconds: 0,
        version: VERSION.to_owned(),
    }));
}

/// Only who answers is read: in a lattice of many hosts, each names all the others.
fn hear(presence: &Presence, answer: &Message, own: &mut OwnAnswers) {
    #[derive(serde::Deserialize)]
    struct Answer {
        id: HostId,
    }
    let Some(teller) = teller(presence, answer) else { return };
    let Ok(host) = serde_json::from_slice::<Answer>(&answer.payload) else { return };
    if host.id != presence.identity.host_id {
        if let Some(standing) = teller.standing(&host.id) {
            presence.peers.heard(host.id, standing, Instant::now());
        }
        return;
    }
    let round = answer.subject.rsplit_once('.').and_then(|(_, round)| round.parse().ok());
    if round.is_some_and(|round| own.heard(round)) {
        duplicate_key::tell(host.id);
    }
}

#[cfg(test)]
mod tests;
