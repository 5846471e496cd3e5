//! Heartbeats with a clock that stands still, and what is learned from what others tell.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use claims::{HostId, KeyKind};
use lattice::{
    control::HostInventory,
    event::{ActorClaims, ActorScaled, ActorsStarted, ActorsStopped, EventData, HostStopped},
};
use lattice_state::buckets::StoreState;
use tokio::sync::watch;

use super::{Presence, announce, ask_wanted, beat, note};
use crate::{
    peers::Standing,
    testing::{World, actor, key},
};

fn host(byte: u8) -> HostId {
    key(KeyKind::Server, byte).try_into().expect("a server key")
}

fn beating() -> (World, Arc<Presence>) {
    let world = World::with(|settings| settings.timings.heartbeat = Duration::from_secs(30));
    let presence = world.upper().presence;
    (world, presence)
}

#[tokio::test(start_paused = true)]
async fn the_first_heartbeat_comes_after_one_interval_and_then_one_at_each() {
    let (world, presence) = beating();
    let task = tokio::spawn(beat(presence));
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(world.names_told(), Vec::<String>::new());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.names_told(), ["host_heartbeat"]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.names_told(), ["host_heartbeat", "host_heartbeat"]);
    world.life.stop.cancel();
    task.await.expect("it ends with the host");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_the_inventory() {
    let (world, presence) = beating();
    let task = tokio::spawn(beat(presence));
    tokio::time::sleep(Duration::from_secs(31)).await;
    let told = world.told();
    let (_, data) = told.first().expect("one heartbeat");
    assert_eq!(data["host_id"].as_str(), Some(world.identity.host_id.as_str()));
    assert_eq!(data["friendly_name"].as_str(), Some(world.identity.friendly_name.as_str()));
    task.abort();
}

#[tokio::test]
async fn a_host_is_announced_once_its_state_is_the_lattices() {
    let (world, presence) = beating();
    let (synced_in, synced) = watch::channel(false);
    let (_state, state) = watch::channel(StoreState::default());
    let task = tokio::spawn(announce(presence, synced, state));
    tokio::task::yield_now().await;
    assert!(world.names_told().is_empty());
    synced_in.send_replace(true);
    task.await.expect("it ends");
    assert_eq!(world.names_told(), ["host_started"]);
}

#[tokio::test]
async fn a_host_that_stops_before_it_is_synced_is_not_announced() {
    let (world, presence) = beating();
    let (_synced, synced) = watch::channel(false);
    let (_state, state) = watch::channel(StoreState::default());
    let task = tokio::spawn(announce(presence, synced, state));
    world.life.stop.cancel();
    task.await.expect("it ends");
    assert!(world.names_told().is_empty());
}

#[tokio::test]
async fn who_looks_for_hosts_wakes_who_asks_them() {
    let (world, presence) = beating();
    world.peers.heard(host(7), Standing::Stranger, Instant::now());
    let task = tokio::spawn(ask_wanted(presence));
    world.peers.want_known();
    while !world.peers.take_unknown(Instant::now()).is_empty() {
        tokio::task::yield_now().await;
    }
    world.life.stop.cancel();
    task.await.expect("it ends with the host");
}

#[tokio::test]
async fn nobody_is_asked_while_everything_is_known() {
    use futures_util::FutureExt as _;
    let world = World::new();
    world.peers.want_known();
    assert!(world.peers.wanted().now_or_never().is_none());
    world.peers.heard(host(7), Standing::Stranger, Instant::now());
    world.peers.want_known();
    assert!(world.peers.wanted().now_or_never().is_some());
}

fn started(of: HostId) -> EventData {
    EventData::ActorsStarted(ActorsStarted {
        public_key: actor(1),
        image_ref: "r".to_owned(),
        annotations: lattice::control::Annotations::default(),
        host_id: of,
        claims: ActorClaims::default(),
        count: 1,
    })
}

fn runs(world: &World) -> bool {
    world.peers.route(&actor(1)).is_some()
}

#[tokio::test]
async fn an_actor_that_starts_elsewhere_has_a_route_until_it_stops() {
    let (world, presence) = beating();
    let now = Instant::now();
    note(&presence, host(7), Standing::Member, &started(host(7)), now);
    assert!(runs(&world));
    let stopped = |remaining| {
        EventData::ActorsStopped(ActorsStopped {
            public_key: actor(1),
            image_ref: "r".to_owned(),
            annotations: lattice::control::Annotations::default(),
            host_id: host(7),
            count: 1,
            remaining,
        })
    };
    note(&presence, host(7), Standing::Member, &stopped(3), now);
    assert!(runs(&world), "some of it still runs");
    note(&presence, host(7), Standing::Member, &stopped(0), now);
    assert!(!runs(&world));
}

#[tokio::test]
async fn a_scale_to_something_is_a_start_and_to_nothing_is_none() {
    let (world, presence) = beating();
    let scaled = |max_instances| {
        EventData::ActorScaled(ActorScaled {
            public_key: actor(1),
            claims: ActorClaims::default(),
            annotations: lattice::control::Annotations::default(),
            host_id: host(7),
            image_ref: "r".to_owned(),
            max_instances,
        })
    };
    note(&presence, host(7), Standing::Member, &scaled(0), Instant::now());
    assert!(!runs(&world));
    note(&presence, host(7), Standing::Member, &scaled(1), Instant::now());
    assert!(runs(&world));
}

#[tokio::test]
async fn a_host_that_says_goodbye_runs_nothing() {
    let (world, presence) = beating();
    let now = Instant::now();
    note(&presence, host(7), Standing::Member, &started(host(7)), now);
    let goodbye = EventData::HostStopped(HostStopped { labels: std::collections::BTreeMap::new() });
    note(&presence, host(7), Standing::Stranger, &goodbye, now);
    assert!(runs(&world), "a stranger does not speak for a member");
    note(&presence, host(7), Standing::Member, &goodbye, now);
    assert!(!runs(&world) && world.peers.current(now).is_empty());
}

#[tokio::test]
async fn a_heartbeat_about_another_host_is_a_sign_of_life_and_no_more() {
    let (world, presence) = beating();
    let upper = world.upper();
    let inventory: HostInventory = upper.inventory.everything(); // of this host, told by another
    note(&presence, host(7), Standing::Member, &EventData::HostHeartbeat(inventory), Instant::now());
    assert_eq!(world.peers.current(Instant::now()), [host(7)]);
    assert_eq!(world.peers.take_unknown(Instant::now()), [host(7)], "what it runs is not known");
}
