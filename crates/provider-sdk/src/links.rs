//! Which actors a provider serves: the links it has accepted.
//!
//! Pure bookkeeping behind a lock that is held for one look. Knows no provider; whoever changes a link tells the table
//! after the provider has agreed. Invariant: one link per actor.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use claims::ActorId;
use lattice::Link;

/// What a link means for a provider that has this table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkChange {
    /// The actor is not linked yet.
    New,
    /// The actor is linked with other values.
    Changed,
    /// Nothing changes.
    Same,
}

/// The accepted links of one provider, and why others are not.
#[derive(Debug, Default)]
pub struct LinkTable(RwLock<Links>);

#[derive(Debug, Default)]
struct Links {
    accepted: HashMap<ActorId, Link>,
    refused: HashMap<ActorId, String>,
}

impl LinkTable {
    /// What accepting this link would change.
    #[must_use]
    pub fn compare(&self, link: &Link) -> LinkChange {
        match self.read().accepted.get(&link.actor_id) {
            None => LinkChange::New,
            Some(current) if current == link => LinkChange::Same,
            Some(_) => LinkChange::Changed,
        }
    }

    /// Notes a link that the provider has accepted, in place of an earlier one of the same actor.
    pub fn accept(&self, link: Link) {
        let mut links = self.write();
        links.refused.remove(&link.actor_id);
        links.accepted.insert(link.actor_id, link);
    }

    /// Notes why the link that an actor should have is not served; one that was accepted before still is.
    pub fn refuse(&self, actor: ActorId, reason: String) {
        self.write().refused.insert(actor, reason);
    }

    /// Why the link that an actor should have is not served.
    #[must_use]
    pub fn refusal(&self, actor: &ActorId) -> Option<String> {
        self.read().refused.get(actor).cloned()
    }

    /// Forgets the link of an actor; true when there was one.
    pub fn remove(&self, actor: &ActorId) -> bool {
        let mut links = self.write();
        links.refused.remove(actor);
        links.accepted.remove(actor).is_some()
    }

    /// Whether an actor is linked.
    #[must_use]
    pub fn contains(&self, actor: &ActorId) -> bool {
        self.read().accepted.contains_key(actor)
    }

    // Nothing can panic while the lock is held.
    fn read(&self) -> RwLockReadGuard<'_, Links> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Links> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use claims::{KeyKind, ProviderId, PublicKey};

    use super::*;

    fn link(actor: u8, value: &str) -> Link {
        Link {
            actor_id: PublicKey::from_raw(KeyKind::Module, [actor; 32]).try_into().unwrap(),
            provider_id: ProviderId::well_known("test"),
            contract_id: "test:links".parse().unwrap(),
            link_name: "default".parse().unwrap(),
            values: [("key".to_owned(), value.to_owned())].into(),
        }
    }

    #[test]
    fn a_link_is_new_then_the_same_then_changed() {
        let table = LinkTable::default();
        assert_eq!(table.compare(&link(1, "a")), LinkChange::New);
        table.accept(link(1, "a"));
        assert_eq!(table.compare(&link(1, "a")), LinkChange::Same);
        assert_eq!(table.compare(&link(1, "b")), LinkChange::Changed);
        assert_eq!(table.compare(&link(2, "a")), LinkChange::New);
    }

    #[test]
    fn an_actor_is_linked_until_its_link_is_removed() {
        let (table, actor) = (LinkTable::default(), link(1, "a").actor_id);
        assert!(!table.contains(&actor) && !table.remove(&actor));
        table.accept(link(1, "a"));
        assert!(table.contains(&actor));
        assert!(table.remove(&actor) && !table.contains(&actor));
    }

    #[test]
    fn a_refusal_is_remembered_until_the_link_is_accepted_or_gone() {
        let (table, actor) = (LinkTable::default(), link(1, "a").actor_id);
        table.refuse(actor, "not now".to_owned());
        assert_eq!(table.refusal(&actor).as_deref(), Some("not now"));
        table.accept(link(1, "a"));
        assert_eq!(table.refusal(&actor), None);
        table.refuse(actor, "not so".to_owned());
        assert!(table.contains(&actor), "what was accepted before is served on");
        table.remove(&actor);
        assert_eq!(table.refusal(&actor), None);
    }
}
