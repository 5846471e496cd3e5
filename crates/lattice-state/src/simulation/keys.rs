//! What is written in a run: links, claims and configuration, as real values under real keys.

use std::sync::OnceLock;

use ::claims::{AccountId, ActorId, KeyKind, KeyPair, ProviderId, PublicKey};
use bytes::Bytes;
use lattice::{
    Link, LinkName,
    stored_claims::{StoredActor, StoredClaims},
    subject::{LatticeKey, config_key},
};

use crate::Bucket;

/// Keys of each kind that hosts contend for.
const OF_A_KIND: u8 = 3;
/// Keys of configuration that are there only to be many.
const MANY: usize = 200;

/// What stands under a key.
enum Kind {
    Link(Link),
    Claims(StoredActor),
    Config,
}

/// One key of lattice state.
pub(super) struct Key {
    pub(super) bucket: Bucket,
    pub(super) text: String,
    kind: Kind,
}

impl Key {
    /// A value, of which there are as many as one likes.
    pub(super) fn value(&self, number: u64) -> Bytes {
        match &self.kind {
            Kind::Link(link) => {
                let values = [("n".to_owned(), number.to_string())].into();
                serde_json::to_vec(&Link { values, ..link.clone() }).expect("a link is JSON").into()
            }
            Kind::Claims(claims) => {
                let revision = i64::try_from(number).expect("small");
                StoredClaims::Actor(StoredActor { revision, ..claims.clone() }).to_json().into()
            }
            Kind::Config => number.to_string().into(),
        }
    }
}

fn key_of(kind: KeyKind, number: u8) -> PublicKey {
    KeyPair::from_raw_seed(kind, &[number; 32]).public()
}

pub(super) fn actor(number: u8) -> ActorId {
    key_of(KeyKind::Module, number).try_into().expect("an actor")
}

pub(super) fn account(number: u8) -> AccountId {
    key_of(KeyKind::Account, number).try_into().expect("an account")
}

fn link(number: u8) -> Key {
    let link = Link {
        actor_id: actor(number),
        provider_id: ProviderId::well_known("keyvalue"),
        contract_id: "wasmcloud:keyvalue".parse().expect("a contract"),
        link_name: LinkName::default(),
        values: [].into(),
    };
    Key { bucket: Bucket::Lattice, text: LatticeKey::Link(link.id()).render(), kind: Kind::Link(link) }
}

fn claims(number: u8) -> Key {
    let claims = StoredActor {
        id: actor(number),
        issuer: account(1),
        name: "an actor".to_owned(),
        capabilities: Vec::new(),
        tags: Vec::new(),
        revision: 0,
        version: String::new(),
        call_alias: Some(format!("alias{number}")),
    };
    let text = LatticeKey::Claims(claims.id.public_key()).render();
    Key { bucket: Bucket::Lattice, text, kind: Kind::Claims(claims) }
}

fn config(number: u8, name: &str) -> Key {
    Key { bucket: Bucket::Config, text: config_key(&actor(number).public_key(), name), kind: Kind::Config }
}

/// The keys that hosts contend for.
pub(super) fn contended() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let each = |number| [config(number, "color"), link(number), claims(number)];
        (1..=OF_A_KIND).flat_map(each).collect()
    })
}

/// Many keys.
pub(super) fn many() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| (0..MANY).map(|number| config(9, &format!("k{number}"))).collect())
}
