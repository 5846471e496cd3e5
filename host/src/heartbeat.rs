//! Telling the lattice that this host lives, and hearing who else does (protocol section 8.4).
//!
//! What is read of it, `intake` decides. Invariant: a member is spoken for by its cluster key alone.

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
    control::HostInventory,
    event::{Event, EventData, EventHead, EventKind, HostStarted},
    subject::{ControlSubject, events},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval_at},
};

pub use self::intake::Intake;
use self::intake::Teller;
use crate::{
    broker::Broker,
    control::{VERSION, inventory},
    core::Core,
    peers::Standing,
    twins::{self, OwnAnswers},
};

/// Hosts that are asked at once what they run.
const ASK_AT_ONCE: usize = 16;
/// Longest wait for such an answer.
const ASK_WITHIN: Duration = Duration::from_secs(2);

/// Emits a heartbeat at every interval until the host stops; the first one after one interval.
pub async fn beat(core: Arc<Core>) {
    let every = core.config.heartbeat_interval;
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => {
                core.peers.forget_silent(Instant::now());
                core.emit(EventData::HostHeartbeat(inventory(&core)));
            }
        }
    }
}

/// Follows the events of other hosts to know who is there.
pub async fn follow_peers(core: Arc<Core>, broker: &Broker) {
    let mut messages = match broker.ctl.client.subscribe(events(&core.config.lattice)).await {
        Ok(messages) => messages,
        Err(error) => {
            tracing::warn!(%error, "cannot follow the events of other hosts");
            return;
        }
    };
    loop {
        let message = tokio::select! {
            () = core.stop.cancelled() => return,
            message = messages.next() => message,
        };
        let Some(message) = message else { return };
        take_in(&core, &message);
    }
}

/// Who tells a message, if it is to be read.
fn teller(core: &Core, message: &Message) -> Option<Teller> {
    let (lattice, trusted) = (&core.config.lattice, &core.identity.trusted_issuers);
    let here = (&core.identity.host_id, lattice);
    core.intake.teller(&message.payload, message.headers.as_ref(), here, trusted, Instant::now())
}

/// Most of what is told, such as `linkdef_set` by every host for every link, is nothing but a sign of life, and is not
/// read any further.
fn take_in(core: &Core, message: &Message) {
    let Some(teller) = teller(core, message) else { return };
    let Ok(head) = EventHead::from_json(&message.payload) else { return };
    let told_twice = || Event::from_json(&message.payload).is_ok_and(|event| core.events.is_of_a_twin(&event));
    if head.source == core.identity.host_id.as_str() {
        if head.kind.is_some_and(tells_of_a_peer) && told_twice() {
            twins::tell(core.identity.host_id);
        }
        return;
    }
    let (Ok(host), now) = (head.source.parse(), Instant::now()) else { return };
    let Some(standing) = teller.standing(&host) else { return };
    if !head.kind.is_some_and(tells_of_a_peer) {
        return core.peers.heard(host, standing, now);
    }
    if let Ok(event) = Event::from_json(&message.payload) {
        note(core, host, standing, &event.data, now);
    }
}

/// Whether [`note`] looks at what such an event says. Hosts of ours send the word of their key beside these.
pub fn tells_of_a_peer(kind: EventKind) -> bool {
    use EventKind::{
        ActorScaled, ActorsStarted, ActorsStopped, HostHeartbeat, HostStarted, HostStopped, ProviderStarted,
        ProviderStopped,
    };
    matches!(kind, HostStarted | HostStopped | HostHeartbeat | ActorsStarted | ActorScaled | ActorsStopped)
        || matches!(kind, ProviderStarted | ProviderStopped)
}

/// What an event says about its host. The source counts, whatever else stands in it.
fn note(core: &Core, host: HostId, standing: Standing, data: &EventData, now: Instant) {
    let peers = &core.peers;
    match data {
        EventData::HostStopped(_) => peers.gone(&host, standing),
        EventData::HostStarted(_) => {
            peers.began(host, standing, now);
            if standing == Standing::Member {
                core.sessions.iter().for_each(|sessions| sessions.renewed(&host));
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

/// Asks the hosts that have not said what they run, each once in a while; a call goes the signed way meanwhile.
pub fn ask_unknown(core: &Arc<Core>) {
    let unknown = core.peers.take_unknown(Instant::now());
    if unknown.is_empty() {
        return;
    }
    let asking = core.clone();
    core.tasks.spawn(async move {
        let answers = futures_util::stream::iter(unknown).for_each_concurrent(ASK_AT_ONCE, |host| ask(&asking, host));
        tokio::select! {
            () = asking.stop.cancelled() => {}
            () = answers => {}
        }
    });
}

async fn ask(core: &Core, host: HostId) {
    let Some(broker) = &core.broker else { return };
    let subject = ControlSubject::GetInventory(host).render(&core.root);
    let answer = tokio::time::timeout(ASK_WITHIN, broker.ctl.client.request(subject, Bytes::new())).await;
    let Ok(Ok(answer)) = answer else { return };
    let Some(standing) = teller(core, &answer).and_then(|teller| teller.standing(&host)) else { return };
    match serde_json::from_slice::<HostInventory>(&answer.payload) {
        Ok(inventory) if inventory.host_id == host => core.peers.told(&inventory, standing, Instant::now()),
        _ => tracing::debug!(%host, "the inventory of a host cannot be read"),
    }
}

/// Asks who is there and says that this host is, after every connect; the answers come as they come.
pub async fn greet_peers(core: Arc<Core>, broker: &Broker) {
    let inbox = broker.ctl.client.new_inbox();
    let Ok(mut answers) = broker.ctl.client.subscribe(format!("{inbox}.*")).await else { return };
    let mut connected = broker.ctl.connected.clone();
    let ping = ControlSubject::PingHosts.render(&core.root);
    let (mut first, mut own) = (true, OwnAnswers::default());
    loop {
        if *connected.borrow_and_update() {
            core.peers.doubt();
            let reply = format!("{inbox}.{}", own.next_round());
            broker.ctl.client.publish_with_reply(ping.clone(), reply, Bytes::new()).await.ok();
            if !std::mem::take(&mut first) {
                // The first connect is announced by `host_started`; after an outage the heartbeat says we are back.
                core.emit(EventData::HostHeartbeat(inventory(&core)));
            }
        }
        loop {
            tokio::select! {
                () = core.stop.cancelled() => return,
                changed = connected.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                answer = answers.next() => match answer {
                    Some(answer) => hear(&core, &answer, &mut own),
                    None => return,
                },
            }
        }
    }
}

/// Tells the lattice that this host is there, once its state is the lattice's: before that its answers would be wrong. Where
/// the server refuses the store it never will be, and the others must know of this host all the same.
pub async fn announce(core: Arc<Core>, mut synced: watch::Receiver<bool>) {
    let mut store = core.store.state();
    tokio::select! {
        () = core.stop.cancelled() => return,
        synced = synced.wait_for(|synced| *synced) => if synced.is_err() { return },
        refused = store.wait_for(|state| state.refusal().is_some()) => if refused.is_err() { return },
    }
    core.emit(EventData::HostStarted(HostStarted {
        friendly_name: core.identity.friendly_name.clone(),
        labels: core.labels(),
        uptime_seconds: 0,
        version: VERSION.to_owned(),
    }));
}

/// Only who answers is read: in a lattice of many hosts, each names all the others.
fn hear(core: &Core, answer: &Message, own: &mut OwnAnswers) {
    #[derive(serde::Deserialize)]
    struct Answer {
        id: HostId,
    }
    let Some(teller) = teller(core, answer) else { return };
    let Ok(host) = serde_json::from_slice::<Answer>(&answer.payload) else { return };
    if host.id != core.identity.host_id {
        if let Some(standing) = teller.standing(&host.id) {
            core.peers.heard(host.id, standing, Instant::now());
        }
        return;
    }
    let round = answer.subject.rsplit_once('.').and_then(|(_, round)| round.parse().ok());
    if round.is_some_and(|round| own.heard(round)) {
        twins::tell(host.id);
    }
}
