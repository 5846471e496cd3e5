//! Claims of every actor and provider the lattice has seen, and the call aliases they bring.
//!
//! Fed from lattice state and from what this host loads. Invariant: an alias names one actor: the last of an account that
//! claimed it, and among accounts the one whose actor has its owner for longer, so that nobody is called in the place of
//! somebody else.

use std::sync::Arc;

use ::claims::{AccountId, ActorId, PublicKey};
use dashmap::DashMap;
use lattice::stored_claims::{StoredActor, StoredClaims};

use crate::owners::Owners;

/// The claims cache.
#[derive(Default)]
pub struct ClaimsCache {
    by_subject: DashMap<PublicKey, Arc<StoredClaims>>,
    /// Who signed what was seen first. Kept when claims are deleted.
    first: DashMap<PublicKey, AccountId>,
    aliases: DashMap<String, ActorId>,
}

fn alias_of(claims: &StoredClaims) -> Option<&str> {
    match claims {
        StoredClaims::Actor(actor) => actor.call_alias.as_deref(),
        StoredClaims::Provider(_) => None,
    }
}

impl ClaimsCache {
    /// Records claims. Returns whether anything changed. `owners` says whose an alias is that two accounts claim.
    pub fn put(&self, claims: StoredClaims, owners: &Owners) -> bool {
        if let StoredClaims::Actor(actor) = &claims {
            self.register_alias(actor, owners);
        }
        let subject = claims.subject();
        self.first.entry(subject).or_insert_with(|| claims.issuer());
        let claims = Arc::new(claims);
        let previous = self.by_subject.insert(subject, claims.clone());
        if let Some(StoredClaims::Actor(before)) = previous.as_deref() {
            let (old, new) = (before.call_alias.as_deref(), alias_of(&claims));
            if let Some(old) = old.filter(|old| Some(*old) != new) {
                self.aliases.remove_if(old, |_, id| *id == before.id);
            }
        }
        previous.as_ref() != Some(&claims)
    }

    fn register_alias(&self, claims: &StoredActor, owners: &Owners) {
        let (actor, Some(alias)) = (claims.id, claims.call_alias.as_deref().filter(|alias| !alias.is_empty())) else {
            return;
        };
        if let Some(previous) = self.alias(alias).filter(|previous| *previous != actor) {
            if !self.yields(&previous, claims, owners) {
                tracing::warn!(%alias, %previous, %actor, "call alias goes on naming the actor of the account that had it first");
                return;
            }
            tracing::warn!(%alias, %previous, %actor, "call alias now names another actor");
        }
        self.aliases.insert(alias.to_owned(), actor);
    }

    /// Whether the actor that has an alias has to give it to another.
    fn yields(&self, previous: &ActorId, claims: &StoredActor, owners: &Owners) -> bool {
        let previous = previous.public_key();
        if self.issuer(&previous) == Some(claims.issuer) {
            return true;
        }
        let since = |subject| owners.get(subject).map(|record| record.content.at);
        match (since(&previous), since(&claims.id.public_key())) {
            (Some(previous), Some(new)) => new < previous,
            (previous, _) => previous.is_none(),
        }
    }

    /// Forgets claims and the alias they brought.
    pub fn delete(&self, subject: &PublicKey) {
        let Some((_, claims)) = self.by_subject.remove(subject) else { return };
        if let StoredClaims::Actor(actor) = claims.as_ref() {
            let alias = actor.call_alias.as_deref().unwrap_or_default();
            self.aliases.remove_if(alias, |_, id| *id == actor.id);
        }
    }

    /// Whether there are claims of a public key.
    #[must_use]
    pub fn knows(&self, subject: &PublicKey) -> bool {
        self.by_subject.contains_key(subject)
    }

    /// Claims of a public key.
    #[must_use]
    pub fn get(&self, subject: &PublicKey) -> Option<Arc<StoredClaims>> {
        self.by_subject.get(subject).map(|claims| claims.clone())
    }

    /// The account that signed what has a public key.
    #[must_use]
    pub fn issuer(&self, subject: &PublicKey) -> Option<AccountId> {
        self.get(subject).map(|claims| claims.issuer())
    }

    /// The account that signed what was seen first of a public key, since this host has the state it has.
    #[must_use]
    pub fn first_issuer(&self, subject: &PublicKey) -> Option<AccountId> {
        self.first.get(subject).map(|issuer| *issuer)
    }

    /// Whether the lattice has seen anything an account signed.
    #[must_use]
    pub fn knows_issuer(&self, account: &AccountId) -> bool {
        self.by_subject.iter().any(|claims| claims.value().issuer() == *account)
    }

    /// The actor a call alias names.
    #[must_use]
    pub fn alias(&self, alias: &str) -> Option<ActorId> {
        self.aliases.get(alias).map(|id| *id)
    }

    /// Whether an actor's claims are known to lack a contract. Unknown actors are not judged here.
    #[must_use]
    pub fn lacks(&self, actor: &ActorId, contract: &str) -> bool {
        match self.get(&actor.public_key()).as_deref() {
            Some(StoredClaims::Actor(claims)) => !claims.capabilities.iter().any(|granted| granted == contract),
            _ => false,
        }
    }

    /// Every entry, sorted by the text of its subject.
    #[must_use]
    pub fn all(&self) -> Vec<(PublicKey, Arc<StoredClaims>)> {
        let mut entries: Vec<_> = self.by_subject.iter().map(|entry| (*entry.key(), entry.value().clone())).collect();
        entries.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        entries
    }
}

#[cfg(test)]
mod tests {
    use claims::{
        KeyKind, KeyPair,
        ownership::{Record, Signed},
    };

    use super::*;

    fn actor(byte: u8, issuer: u8) -> StoredActor {
        StoredActor {
            id: KeyPair::from_raw_seed(KeyKind::Module, &[byte; 32]).public().try_into().expect("an actor"),
            issuer: KeyPair::from_raw_seed(KeyKind::Account, &[issuer; 32]).public().try_into().expect("an account"),
            name: String::new(),
            capabilities: Vec::new(),
            tags: Vec::new(),
            revision: 0,
            version: String::new(),
            call_alias: Some("pay".to_owned()),
        }
    }

    fn own(owners: &Owners, actor: &StoredActor, at: u64) {
        let (subject, owner) = (actor.id.public_key(), actor.issuer);
        let signer = KeyPair::from_raw_seed(KeyKind::Cluster, &[1; 32]).public().try_into().expect("a cluster");
        let content = Record { lattice: "default".to_owned(), subject, owner, number: 1, at };
        owners.take(Arc::new(Signed { signer, content, token: at.to_string() }));
    }

    #[test]
    fn an_alias_is_its_accounts_and_nobody_takes_it_over_whatever_the_order() {
        let (first, newer, stranger) = (actor(1, 1), actor(2, 1), actor(3, 2));
        let owners = Owners::default();
        for (actor, at) in [(&first, 10), (&newer, 30), (&stranger, 20)] {
            own(&owners, actor, at);
        }
        let named = |order: &[&StoredActor]| {
            let cache = ClaimsCache::default();
            for actor in order {
                cache.put(StoredClaims::Actor((*actor).clone()), &owners);
            }
            cache.alias("pay")
        };
        assert_eq!(named(&[&first, &stranger]), Some(first.id));
        assert_eq!(named(&[&stranger, &first]), Some(first.id), "also after a restart");
        assert_eq!(named(&[&first, &newer]), Some(newer.id), "of one account the last");
        assert_eq!(named(&[&first, &actor(4, 9)]), Some(first.id), "one that nobody owns is not older");
    }

    #[test]
    fn whoever_was_seen_first_is_remembered() {
        let cache = ClaimsCache::default();
        let (alice, mallory) = (actor(1, 1), actor(1, 2));
        for actor in [&alice, &mallory] {
            cache.put(StoredClaims::Actor(actor.clone()), &Owners::default());
        }
        let subject = alice.id.public_key();
        assert_eq!((cache.first_issuer(&subject), cache.issuer(&subject)), (Some(alice.issuer), Some(mallory.issuer)));
        cache.delete(&subject);
        assert_eq!(cache.first_issuer(&subject), Some(alice.issuer));
    }
}
