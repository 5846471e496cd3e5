//! What is known of other hosts, as it comes and goes.

use claims::{KeyKind, KeyPair};
use lattice::control::{ActorDescription, ActorInstance};

use super::*;

fn host() -> HostId {
    KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key")
}

fn actor() -> ActorId {
    KeyPair::generate(KeyKind::Module).public().try_into().expect("an actor key")
}

fn set(name: &str) -> Annotations {
    [("set".to_owned(), name.to_owned())].into()
}

fn inventory(host_id: HostId, sessions: Option<u8>, actors: &[ActorId]) -> HostInventory {
    let instance = || ActorInstance {
        annotations: set("a"),
        image_ref: None,
        instance_id: String::new(),
        revision: 0,
        max_instances: 1,
    };
    let describe = |id: &ActorId| ActorDescription {
        id: *id,
        image_ref: None,
        name: None,
        instances: vec![instance()],
        limits: [].into(),
        limits_exceeded: [].into(),
    };
    HostInventory {
        host_id,
        issuer: String::new(),
        friendly_name: String::new(),
        labels: [].into(),
        version: String::new(),
        uptime_human: String::new(),
        uptime_seconds: 0,
        actors: actors.iter().map(describe).collect(),
        providers: Vec::new(),
        sessions,
        left_out: 0,
    }
}

#[test]
fn the_silent_are_forgotten_and_the_departed_at_once() {
    let start = Instant::now();
    let peers = Peers::default();
    let (a, b, c, echo) = (host(), host(), host(), actor());
    peers.told(&inventory(a, Some(1), &[echo]), start);
    peers.heard(b, start + FORGET_AFTER / 2);
    peers.heard(c, start);
    peers.gone(&c);
    let mut both = vec![a, b];
    both.sort();
    assert_eq!(peers.current(start), both);
    assert!(peers.route(&echo).is_some());
    assert_eq!(peers.current(start + FORGET_AFTER), [b]);
    assert_eq!(peers.route(&echo), None);
}

#[test]
fn a_route_names_the_hosts_that_speak_sessions_and_says_whether_there_are_others() {
    let (now, peers) = (Instant::now(), Peers::default());
    let (ours, foreign, newer, echo) = (host(), host(), host(), actor());
    peers.told(&inventory(ours, Some(1), &[echo]), now);
    assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![ours], others: false }));
    for other in [inventory(foreign, None, &[echo]), inventory(newer, Some(2), &[echo])] {
        peers.told(&other, now);
        assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![ours], others: true }));
        peers.gone(&other.host_id);
        assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![ours], others: false }));
    }
}

#[test]
fn an_actor_runs_somewhere_until_its_last_set_of_annotations_is_gone() {
    let (now, peers, ours, echo) = (Instant::now(), Peers::default(), host(), actor());
    peers.told(&inventory(ours, Some(1), &[]), now);
    peers.started(ours, echo, &set("a"), now);
    peers.started(ours, echo, &set("b"), now);
    peers.stopped(ours, echo, &set("a"), now);
    assert!(peers.route(&echo).is_some());
    peers.stopped(ours, echo, &set("b"), now);
    assert!(peers.route(&echo).is_none());
}

#[test]
fn a_host_that_says_it_does_not_run_an_actor_is_believed() {
    let (now, peers, ours, echo) = (Instant::now(), Peers::default(), host(), actor());
    peers.told(&inventory(ours, Some(1), &[echo]), now);
    peers.refuted(&ours, echo);
    assert!(peers.route(&echo).is_none());
}

#[test]
fn who_has_not_said_what_it_runs_is_asked_once_in_a_while() {
    let (now, peers, ours, echo) = (Instant::now(), Peers::default(), host(), actor());
    assert!(peers.take_unknown(now).is_empty());
    peers.started(ours, echo, &set("a"), now);
    assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![], others: true }));
    assert_eq!(peers.take_unknown(now), [ours]);
    assert!(peers.take_unknown(now).is_empty(), "somebody is asking");
    peers.told(&inventory(ours, Some(1), &[echo]), now);
    peers.doubt();
    assert_eq!(peers.take_unknown(now), [ours], "after an outage");
    assert!(peers.route(&echo).is_some(), "what was known is still used");
}
