//! Floods of links and configuration, and what is left for those that exist.

use claims::{ActorId, KeyKind, KeyPair};

use super::*;
use crate::stored_claims::StoredActor;

fn actor() -> ActorId {
    KeyPair::generate(KeyKind::Module).public().try_into().expect("a module key")
}

fn link(actor: ActorId, name: &str) -> Link {
    Link {
        actor_id: actor,
        provider_id: ProviderId::well_known("a"),
        contract_id: "wasmcloud:httpserver".parse().expect("a contract id"),
        link_name: name.parse().expect("a link name"),
        values: std::collections::BTreeMap::new(),
    }
}

fn put(book: &mut Book, place: Place, key: &str, value: &[u8]) -> Result<(), LimitExceeded> {
    book.admit(place, key, value)?;
    book.put(place, key, value);
    Ok(())
}

fn put_link(book: &mut Book, link: &Link) -> Result<(), LimitExceeded> {
    put(book, Place::Lattice, &LatticeKey::Link(link.id()).render(), &link.to_json())
}

fn make_known(book: &mut Book, actor: ActorId) {
    let issuer = KeyPair::generate(KeyKind::Account).public().try_into().expect("an account key");
    let claims = StoredClaims::Actor(StoredActor {
        id: actor,
        issuer,
        name: "a".to_owned(),
        capabilities: Vec::new(),
        tags: Vec::new(),
        revision: 0,
        version: String::new(),
        call_alias: None,
    });
    let key = LatticeKey::Claims(actor.into()).render();
    put(book, Place::Lattice, &key, &claims.to_json()).expect("there is room for claims");
}

fn usage(book: &Book, kind: Kind) -> Usage {
    book.account(kind).all
}

#[test]
fn links_of_strangers_leave_room_for_those_that_exist() {
    let mut book = Book::default();
    let refused = (0..20_000).filter(|_| put_link(&mut book, &link(actor(), "default")).is_err()).count();
    assert_eq!(20_000 - refused, LINKS.all.count / STRANGERS);
    let known = actor();
    make_known(&mut book, known);
    put_link(&mut book, &link(known, "default")).expect("it exists");
}

#[test]
fn one_actor_and_one_provider_have_a_share() {
    let mut book = Book::default();
    let known = actor();
    make_known(&mut book, known);
    for number in 0..LINKS.owner.count {
        put_link(&mut book, &link(known, &number.to_string())).expect("within its share");
    }
    let error = put_link(&mut book, &link(known, "more")).expect_err("one too many");
    assert_eq!((error.found, error.most, error.code()), (257, 256, "limit_exceeded"));
    put_link(&mut book, &link(known, "0")).expect("the same again is no more than before");
    book.remove(Place::Lattice, &LatticeKey::Link(link(known, "0").id()).render());
    put_link(&mut book, &link(known, "more")).expect("there is room again");

    let mut book = Book::default();
    for _ in 0..MAX_PROVIDER_LINKS {
        let actor = actor();
        make_known(&mut book, actor);
        put_link(&mut book, &link(actor, "default")).expect("within the provider's share");
    }
    let actor = actor();
    make_known(&mut book, actor);
    assert!(put_link(&mut book, &link(actor, "default")).is_err());
    put_link(&mut book, &link(actor, "other")).expect("another provider");
}

#[test]
fn three_hundred_large_entries_of_an_actor_that_nobody_knows_are_refused() {
    let mut book = Book::default();
    let (stranger, large) = (actor(), vec![0; 900_000]);
    for number in 0..300 {
        let error = put(&mut book, Place::Config, &format!("{stranger}_k{number}"), &large).expect_err("too large");
        assert_eq!(error.most, CONFIG.one);
    }
    let fits = vec![0; CONFIG.one - 100];
    let taken = |book: &mut Book, owner: ActorId| {
        (0..300).filter(|n| put(book, Place::Config, &format!("{owner}_k{n}"), &fits).is_ok()).count()
    };
    assert_eq!(taken(&mut book, stranger), 3, "its own share");
    for _ in 0..100 {
        taken(&mut book, actor());
    }
    assert!(usage(&book, Kind::Config).bytes <= CONFIG.all.bytes / STRANGERS);
    let known = actor();
    make_known(&mut book, known);
    assert_eq!(taken(&mut book, known), 3);
}

#[test]
fn claims_with_a_long_name_are_refused() {
    let claims = |name: usize| {
        StoredClaims::Actor(StoredActor {
            id: actor(),
            issuer: KeyPair::generate(KeyKind::Account).public().try_into().expect("an account key"),
            name: "n".repeat(name),
            capabilities: Vec::new(),
            tags: Vec::new(),
            revision: 0,
            version: String::new(),
            call_alias: None,
        })
    };
    let admit = |claims: StoredClaims| {
        let key = LatticeKey::Claims(claims.subject()).render();
        Book::default().admit(Place::Lattice, &key, &claims.to_json())
    };
    assert_eq!(admit(claims(1024)), Ok(()));
    assert_eq!(admit(claims(1025)).map_err(|error| error.most), Err(1024));
    assert_eq!(admit(claims(700_000)).map_err(|error| error.most), Err(CLAIMS.one));
}

#[test]
fn a_stranger_that_becomes_known_makes_room_for_another() {
    let mut book = Book::default();
    let first = actor();
    put_link(&mut book, &link(first, "default")).expect("there is room");
    while put_link(&mut book, &link(actor(), "default")).is_ok() {}
    make_known(&mut book, first);
    put_link(&mut book, &link(actor(), "default")).expect("the first one counts as a stranger no more");
    book.remove(Place::Lattice, &LatticeKey::Claims(first.into()).render());
    assert!(put_link(&mut book, &link(actor(), "default")).is_err());
}

#[test]
fn what_is_removed_counts_no_more() {
    let mut book = Book::default();
    let (one, two) = (link(actor(), "default"), link(actor(), "default"));
    put_link(&mut book, &one).expect("there is room");
    put_link(&mut book, &two).expect("there is room");
    for link in [one, two] {
        book.remove(Place::Lattice, &LatticeKey::Link(link.id()).render());
    }
    assert_eq!(usage(&book, Kind::Link), Usage::default());
    assert!(book.of_provider.is_empty() && book.account(Kind::Link).of.is_empty());
    assert_eq!(book.account(Kind::Link).strangers, Usage::default());
}

#[test]
fn an_entry_that_is_no_link_counts_as_something_else() {
    let mut book = Book::default();
    let key = LatticeKey::Link(link(actor(), "default").id()).render();
    put(&mut book, Place::Lattice, &key, b"junk").expect("others put what they like");
    put(&mut book, Place::Lattice, "REFMAP_x", b"{}").expect("of an older host");
    assert_eq!(usage(&book, Kind::Other).count, 2);
    assert_eq!(usage(&book, Kind::Link).count, 0);
    put_link(&mut book, &link(actor(), "default")).expect("there is room");
}
