//! What is known of other hosts, as it comes and goes.

use claims::{KeyKind, KeyPair};
use lattice::control::{ActorDescription, ActorInstance};

use super::{
    Standing::{Member, Stranger},
    *,
};

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
    peers.told(&inventory(a, Some(1), &[echo]), Member, start);
    peers.heard(b, Member, start + FORGET_AFTER / 2);
    peers.heard(c, Member, start);
    peers.gone(&c, Member);
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
    peers.told(&inventory(ours, Some(1), &[echo]), Member, now);
    assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![ours], others: false }));
    for other in [inventory(foreign, None, &[echo]), inventory(newer, Some(2), &[echo])] {
        peers.told(&other, Member, now);
        assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![ours], others: true }));
        peers.gone(&other.host_id, Member);
        assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![ours], others: false }));
    }
}

#[test]
fn an_actor_runs_somewhere_until_its_last_set_of_annotations_is_gone() {
    let (now, peers, ours, echo) = (Instant::now(), Peers::default(), host(), actor());
    peers.told(&inventory(ours, Some(1), &[]), Member, now);
    peers.started(ours, Member, echo, &set("a"), now);
    peers.started(ours, Member, echo, &set("b"), now);
    peers.stopped(ours, Member, echo, &set("a"), now);
    assert!(peers.route(&echo).is_some());
    peers.stopped(ours, Member, echo, &set("b"), now);
    assert!(peers.route(&echo).is_none());
}

#[test]
fn a_host_that_says_it_does_not_run_an_actor_is_believed() {
    let (now, peers, ours, echo) = (Instant::now(), Peers::default(), host(), actor());
    peers.told(&inventory(ours, Some(1), &[echo]), Member, now);
    peers.refuted(&ours, echo);
    assert!(peers.route(&echo).is_none());
}

#[test]
fn who_has_not_said_what_it_runs_is_asked_once_in_a_while() {
    let (now, peers, ours, echo) = (Instant::now(), Peers::default(), host(), actor());
    assert!(peers.take_unknown(now).is_empty());
    peers.started(ours, Member, echo, &set("a"), now);
    assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![], others: true }));
    assert_eq!(peers.take_unknown(now), [ours]);
    assert!(peers.take_unknown(now).is_empty(), "somebody is asking");
    peers.told(&inventory(ours, Some(1), &[echo]), Member, now);
    peers.doubt();
    assert_eq!(peers.take_unknown(now), [ours], "after an outage");
    assert!(peers.route(&echo).is_some(), "what was known is still used");
}

#[test]
fn only_members_are_called_in_sessions_and_strangers_do_not_speak_for_them() {
    let (now, peers, ours, forged, echo) = (Instant::now(), Peers::default(), host(), host(), actor());
    peers.told(&inventory(forged, Some(1), &[echo]), Stranger, now);
    assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![], others: true }));
    peers.told(&inventory(ours, Some(1), &[echo]), Member, now);
    peers.gone(&forged, Stranger);
    let route = Some(Arc::new(Route { hosts: vec![ours], others: false }));
    assert_eq!(peers.route(&echo), route);
    peers.gone(&ours, Stranger);
    peers.told(&inventory(ours, None, &[]), Stranger, now);
    peers.stopped(ours, Stranger, echo, &set("a"), now);
    peers.began(ours, Stranger, now);
    peers.heard(ours, Stranger, now + FORGET_AFTER);
    assert_eq!(peers.route(&echo), route, "a member is heard by its own word alone");
    assert!(peers.is_member(&ours) && !peers.is_member(&forged));
    for _ in 0..2 * MOST_STRANGERS_AWAITED {
        peers.heard(host(), Stranger, now);
    }
    let awaited = peers.awaited(now);
    assert_eq!(
        (awaited[0], awaited.len()),
        (ours, 1 + MOST_STRANGERS_AWAITED),
        "members first, and few of those made up"
    );
    assert_eq!(peers.current(now + FORGET_AFTER), []);
}

#[test]
fn who_turns_out_to_be_a_member_is_one_from_then_on() {
    let (now, peers, ours, echo) = (Instant::now(), Peers::default(), host(), actor());
    peers.told(&inventory(ours, Some(1), &[echo]), Stranger, now);
    peers.told(&inventory(ours, Some(1), &[echo]), Member, now);
    assert_eq!(peers.route(&echo).as_deref(), Some(&Route { hosts: vec![ours], others: false }));
    assert_eq!(peers.current(now), [ours]);
}

/// Members and strangers with little room, and how much of it is used.
fn small() -> Peers {
    let bounds = Bounds { hosts: 3, actors_of_one: 4, actors: 6 };
    Peers::within(bounds, bounds)
}

fn many(count: usize) -> Vec<ActorId> {
    (0..count).map(|_| actor()).collect()
}

#[test]
fn what_is_kept_is_bounded_for_one_host_and_for_all() {
    let (now, peers) = (Instant::now(), small());
    for _ in 0..10 {
        let forged = host();
        peers.told(&inventory(forged, Some(1), &many(10)), Stranger, now);
        many(10).into_iter().for_each(|actor| peers.started(forged, Stranger, actor, &set("a"), now));
    }
    assert_eq!(peers.current(now).len(), 3);
    assert_eq!(peers.routes.len(), 6);

    // Members have room all the same: four actors of one, then two of another.
    let (one, other) = (host(), host());
    for (host, expected) in [(one, 10), (other, 12)] {
        peers.told(&inventory(host, Some(1), &many(10)), Member, now);
        assert_eq!(peers.routes.len(), expected);
    }
    // Who says less makes room, and who goes all of it.
    peers.told(&inventory(one, Some(1), &many(1)), Member, now);
    assert_eq!(peers.routes.len(), 9);
    peers.told(&inventory(other, Some(1), &many(10)), Member, now);
    assert_eq!(peers.routes.len(), 11);
    peers.gone(&one, Member);
    peers.gone(&other, Member);
    assert_eq!(peers.routes.len(), 6);
    let later = now + FORGET_AFTER;
    assert_eq!((peers.current(later), peers.routes.len()), (vec![], 0));
    peers.told(&inventory(host(), Some(1), &many(4)), Stranger, later);
    assert_eq!(peers.routes.len(), 4, "there is room again");
}

#[test]
fn the_sets_of_annotations_of_one_actor_are_bounded() {
    let (now, peers, ours, echo) = (Instant::now(), Peers::default(), host(), actor());
    for number in 0..10_000 {
        peers.started(ours, Member, echo, &set(&number.to_string()), now);
    }
    for number in 0..64 {
        assert!(peers.route(&echo).is_some(), "{number}");
        peers.stopped(ours, Member, echo, &set(&number.to_string()), now);
    }
    assert!(peers.route(&echo).is_none());
}
