//! What is remembered, when it is over, and its bounds.

use claims::{KeyKind, KeyPair};

use super::*;

fn actor() -> ActorId {
    KeyPair::generate(KeyKind::Module).public().try_into().expect("an actor")
}

fn link(name: &str) -> Peer {
    Peer::Link { contract: "acme:x".to_owned(), link_name: name.to_owned() }
}

fn busy() -> CallError {
    CallError::Busy { target: "M".to_owned(), limit: 1 }
}

#[test]
fn a_repetition_counts_and_the_latest_comes_first() {
    let (failures, actor) = (Failures::default(), actor());
    for _ in 0..3 {
        failures.called(&actor, link("a"), "Get", &busy());
    }
    failures.not_started("file:///x", Some(actor), "untrusted_issuer", "no");
    let found = failures.about(Some(&actor), |_| false);
    assert_eq!(found.len(), 2);
    assert!(found.iter().any(|record| record.times == 3 && record.code == "busy" && record.what.contains("acme:x")));
    assert!(failures.about(None, |peer| matches!(peer, Peer::Start(text) if text == "file:///x")).len() == 1);
    assert!(failures.about(None, |_| false).is_empty());
}

#[test]
fn a_guest_that_invents_names_forgets_its_own_failures_only() {
    let (failures, (quiet, loud)) = (Failures::default(), (actor(), actor()));
    failures.called(&quiet, link("kept"), "Get", &busy());
    for number in 0..10_000 {
        failures.called(&loud, link(&number.to_string()), "Get", &busy());
    }
    assert_eq!(failures.about(Some(&loud), |_| false).len(), MOST_OF_ACTOR);
    assert_eq!(failures.about(Some(&quiet), |_| false).len(), 1);
}

#[test]
fn actors_starts_and_texts_are_bounded() {
    let failures = Failures::default();
    let long = CallError::Reported { message: "x".repeat(1 << 20) };
    for number in 0..MOST_ACTORS + 10 {
        failures.called(&actor(), link("a"), "Get", &long);
        failures.not_started(&number.to_string(), None, "fetch_failed", "no");
    }
    let kept = failures.lock();
    assert_eq!((kept.actors.len(), kept.starts.len()), (MOST_ACTORS, MOST_STARTS));
    assert!(kept.actors.values().flat_map(|recent| &recent.failures).all(|one| one.record.message.len() <= MOST_TEXT));
}

fn open_of(failures: &Failures, actor: &ActorId) -> Vec<String> {
    let found = failures.about(Some(actor), |_| true).into_iter().filter(|record| record.over_at.is_none());
    found.map(|record| record.code).collect()
}

#[test]
fn what_works_again_is_history_and_only_that() {
    let (failures, actor) = (Failures::default(), actor());
    failures.called(&actor, link("a"), "Get", &busy());
    failures.called(&actor, link("a"), "Set", &busy());
    failures.called(&actor, link("b"), "Get", &busy());
    failures.worked(&actor, || link("a"), "Get");
    failures.worked(&actor, || Peer::caller(None), "Get");
    assert_eq!(open_of(&failures, &actor).len(), 2, "setting still fails, and so does the other link");
    assert_eq!(failures.about(Some(&actor), |_| false).len(), 3, "as history it stays");
    failures.worked(&actor, || link("a"), "Set");
    failures.worked(&actor, || link("b"), "Get");
    assert!(open_of(&failures, &actor).is_empty() && failures.open.is_none());
    failures.called(&actor, link("a"), "Get", &busy());
    let [again] = &failures.about(Some(&actor), |_| false)[..1] else { panic!("one") };
    assert_eq!((again.times, again.over_at), (1, None), "it counts anew");
}

#[test]
fn what_is_forgotten_is_not_open() {
    let (failures, actor) = (Failures::default(), actor());
    for number in 0..1_000 {
        failures.called(&actor, link(&number.to_string()), "Get", &busy());
    }
    assert_eq!(failures.open.count(), MOST_OF_ACTOR);
    failures.stopped(&actor);
    assert!(failures.open.is_none(), "it has stopped");
}

#[test]
fn a_provider_that_came_back_or_is_gone_is_no_trouble() {
    let (failures, actor) = (Failures::default(), actor());
    let id: ProviderId = KeyPair::generate(KeyKind::Service).public().try_into().expect("a provider");
    let name = LinkName::default();
    let open = || {
        let about = failures.about(None, |peer| peer.is_provider(&id, &name));
        about.iter().filter(|record| record.over_at.is_none()).count()
    };
    failures.provider_ended(&id, &name, "its process ended with exit status: 1");
    assert_eq!(open(), 1);
    failures.provider_well(&id, &name);
    assert_eq!(open(), 0);
    let peer = Peer::Provider { id, link_name: name.to_string() };
    failures.called(&actor, peer, "HttpServer.HandleRequest", &busy());
    failures.provider_gone(&id, &name);
    assert!(open_of(&failures, &actor).is_empty());
}

#[test]
fn a_start_that_succeeds_or_is_given_up_is_over() {
    let failures = Failures::default();
    let open = |reference: &str| {
        let about = failures.about(None, |peer| matches!(peer, Peer::Start(of) if of == reference));
        about.iter().filter(|record| record.over_at.is_none()).count()
    };
    failures.not_started("a", None, "fetch_failed", "no");
    failures.not_started("b", None, "fetch_failed", "no");
    failures.started("a");
    assert_eq!((open("a"), open("b")), (0, 1));
    failures.given_up("b");
    assert_eq!(open("b"), 0);
}
