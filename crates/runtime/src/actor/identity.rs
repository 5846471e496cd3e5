//! Who an actor is.

use std::collections::BTreeSet;

use claims::ActorId;

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
