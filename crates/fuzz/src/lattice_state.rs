//! Lattice state that anybody may write: any entries in any order, as far as they are admitted, stay within every bound, and
//! a host that holds them, whatever labels and annotations it was given, can tell about itself in one message.

use std::collections::BTreeMap;

use claims::{AccountId, ActorId, HostId, KeyKind, KeyPair, ProviderId};
use lattice::{
    Link,
    bounds::{self, Book, Place, Usage, json_len},
    control::{
        ActorDescription, ActorInstance, HostInventory, HostSummary, Limits, PutLabel, ScaleActor, decode, encode,
    },
    stored_claims::{StoredActor, StoredClaims},
    subject::{LatticeKey, config_key},
};

/// A message of a broker with a small setting.
const MOST_TOLD: usize = 64 << 10;

/// The input as a list of changes: what, whose, which, how large.
pub fn lattice_state(data: &[u8]) {
    let mut world = World::default();
    for change in data.chunks(4) {
        if let [what, whose, which, size] = *change {
            world.change(what, whose, which, size);
        }
    }
    world.check_told();
    world.empty();
}

#[derive(Default)]
struct World {
    book: Book,
    /// What was admitted, counted the plain way.
    held: BTreeMap<(Place, String), (&'static str, usize)>,
    actors: BTreeMap<u8, ActorId>,
    labels: BTreeMap<String, String>,
    sets: Vec<BTreeMap<String, String>>,
}

impl World {
    fn change(&mut self, what: u8, whose: u8, which: u8, size: u8) {
        let actor = *self.actors.entry(whose).or_insert_with(|| actor(whose));
        // Small ones, and some around and beyond each bound.
        let text = "x".repeat(usize::from(size).pow(2));
        match what % 7 {
            0 => {
                let link = link(actor, which, text);
                self.put(Place::Lattice, LatticeKey::Link(link.id()).render(), link.to_json(), "links");
            }
            1 => {
                let key = config_key(&actor.into(), &format!("k{which}"));
                self.put(Place::Config, key, text.into_bytes(), "configuration");
            }
            2 => {
                let claims = claims_of(actor, text);
                self.put(Place::Lattice, LatticeKey::Claims(actor.into()).render(), claims, "claims");
            }
            3 => self.put(Place::Lattice, format!("REFMAP_{which}"), text.into_bytes(), "entries of other kinds"),
            4 => self.remove(Place::Lattice, LatticeKey::Link(link(actor, which, String::new()).id()).render()),
            5 => {
                let put = encode(&PutLabel { key: format!("l{whose}{which}"), value: text });
                if let Ok(label) = decode::<PutLabel>(&put) {
                    self.labels.insert(label.key, label.value);
                }
            }
            _ => {
                let annotations = [(format!("a{which}"), text)].into();
                let scale = encode(&ScaleActor { actor_ref: "a".to_owned(), annotations, ..ScaleActor::default() });
                self.sets.extend(decode::<ScaleActor>(&scale).ok().map(|scale| scale.annotations));
            }
        }
    }

    fn put(&mut self, place: Place, key: String, value: Vec<u8>, kind: &'static str) {
        if self.book.admit(place, &key, &value).is_err() {
            return;
        }
        self.book.put(place, &key, &value);
        let bytes = key.len() + value.len();
        assert!(bytes <= 64 << 10, "one entry of {bytes} bytes");
        self.held.insert((place, key), (kind, bytes));
        self.check_counted();
    }

    fn remove(&mut self, place: Place, key: String) {
        self.book.remove(place, &key);
        self.held.remove(&(place, key));
        self.check_counted();
    }

    /// The book says what the plain way of counting says.
    fn check_counted(&self) {
        for (kind, usage) in self.book.usage() {
            let of_kind = self.held.values().filter(|(of, _)| *of == kind);
            let counted = of_kind
                .fold(Usage::default(), |sum, (_, bytes)| Usage { count: sum.count + 1, bytes: sum.bytes + bytes });
            assert_eq!(usage, counted, "{kind}");
        }
    }

    /// Labels of any number and size (they were kept before there were bounds), and any annotation sets.
    fn check_told(&self) {
        let host = HostId::try_from(pair(KeyKind::Server, 0).public()).expect("a server key");
        let mut summary = HostSummary::new(host);
        summary.labels = self.labels.clone();
        let told = summary.within(MOST_TOLD);
        assert!(json_len(&told) <= MOST_TOLD && bounds::labels(&told.labels).is_ok() | (told.labels == self.labels));

        let row = |(number, annotations): (usize, &BTreeMap<String, String>)| ActorDescription {
            id: actor(u8::try_from(number % 256).expect("below 256")),
            image_ref: None,
            name: None,
            instances: vec![ActorInstance {
                annotations: annotations.clone(),
                image_ref: None,
                instance_id: String::new(),
                revision: 0,
                max_instances: 1,
            }],
            limits: Limits::new(),
            limits_exceeded: BTreeMap::new(),
        };
        let actors: Vec<_> = self.sets.iter().enumerate().map(row).collect();
        let all = actors.len();
        let inventory = HostInventory {
            host_id: host,
            issuer: String::new(),
            friendly_name: String::new(),
            labels: self.labels.clone(),
            version: String::new(),
            uptime_human: String::new(),
            uptime_seconds: 0,
            actors,
            providers: Vec::new(),
            sessions: None,
            left_out: 0,
        };
        let told = inventory.within(MOST_TOLD);
        assert!(json_len(&told) <= MOST_TOLD, "{}", json_len(&told));
        assert_eq!(told.actors.len() + told.left_out, all);
    }

    /// Nothing is left behind.
    fn empty(mut self) {
        for (place, key) in std::mem::take(&mut self.held).into_keys() {
            self.book.remove(place, &key);
        }
        self.check_counted();
    }
}

fn pair(kind: KeyKind, number: u8) -> KeyPair {
    KeyPair::from_raw_seed(kind, &[number; 32])
}

fn actor(number: u8) -> ActorId {
    pair(KeyKind::Module, number).public().try_into().expect("a module key")
}

fn link(actor: ActorId, name: u8, value: String) -> Link {
    Link {
        actor_id: actor,
        provider_id: ProviderId::well_known("a"),
        contract_id: "a:b".parse().expect("a contract id"),
        link_name: name.to_string().parse().expect("a link name"),
        values: [("v".to_owned(), value)].into(),
    }
}

fn claims_of(actor: ActorId, name: String) -> Vec<u8> {
    let issuer: AccountId = pair(KeyKind::Account, 0).public().try_into().expect("an account key");
    let claims = StoredActor {
        id: actor,
        issuer,
        name,
        capabilities: Vec::new(),
        tags: Vec::new(),
        revision: 0,
        version: String::new(),
        call_alias: None,
    };
    StoredClaims::Actor(claims).to_json()
}
