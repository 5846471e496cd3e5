//! Who an actor is.

use std::collections::BTreeSet;

use claims::{ActorId, KeyKind, KeyPair};

/// Who a guest is, as its signed claims say.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Public key of the actor.
    pub id: ActorId,
    /// Its name, for people.
    pub name: String,
    /// The contract ids its claims grant.
    pub grants: BTreeSet<String>,
}

impl Identity {
    /// A new key, whose seed is forgotten at once.
    pub(crate) fn of_nobody() -> Self {
        let key = KeyPair::generate(KeyKind::Module).public();
        let id = key.try_into().expect("a key of an actor");
        Self { id, name: String::new(), grants: BTreeSet::new() }
    }
}
