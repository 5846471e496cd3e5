//! Telling the lattice that this host lives, and hearing who else does (protocol section 8.4).

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use lattice::{
    control::HostSummary,
    event::{Event, EventData},
    subject::{ControlSubject, events},
};
use tokio::time::{MissedTickBehavior, interval_at};

use crate::{broker::Broker, control::inventory, core::Core};

/// Emits a heartbeat at every interval until the host stops; the first one after one interval.
pub async fn beat(core: Arc<Core>) {
    let every = core.config.heartbeat_interval;
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => core.emit(EventData::HostHeartbeat(inventory(&core))),
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
        let Ok(event) = Event::from_json(&message.payload) else { continue };
        if event.source == core.identity.host_id.as_str() {
            continue;
        }
        match event.data {
            EventData::HostStopped(_) => core.peers.gone(&event.source),
            _ => core.peers.heard(&event.source, Instant::now()),
        }
    }
}

/// Asks who is there after every connect; the answers come as they come.
pub async fn greet_peers(core: Arc<Core>, broker: &Broker) {
    let inbox = broker.ctl.client.new_inbox();
    let Ok(mut answers) = broker.ctl.client.subscribe(inbox.clone()).await else { return };
    let mut connected = broker.ctl.connected.clone();
    let ping = ControlSubject::PingHosts.render(&core.root);
    loop {
        if *connected.borrow_and_update() {
            broker.ctl.client.publish_with_reply(ping.clone(), inbox.clone(), Bytes::new()).await.ok();
        }
        loop {
            tokio::select! {
                () = core.stop.cancelled() => return,
                changed = connected.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                answer = answers.next() => match answer {
                    Some(answer) => hear(&core, &answer.payload),
                    None => return,
                },
            }
        }
    }
}

fn hear(core: &Core, answer: &[u8]) {
    let Ok(host) = serde_json::from_slice::<HostSummary>(answer) else { return };
    if host.id != core.identity.host_id {
        core.peers.heard(host.id.as_str(), Instant::now());
    }
}
