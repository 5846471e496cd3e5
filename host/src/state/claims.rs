//! Claims of every actor and provider the lattice has seen, and the call aliases they bring.
//!
//! Fed from lattice state and from what this host loads. Invariant: an alias names one actor, the last that claimed it.

use std::sync::Arc;

use claims::{AccountId, ActorId, PublicKey};
use dashmap::DashMap;
use lattice::stored_claims::StoredClaims;

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
    /// Records claims. Returns whether anything changed.
    pub fn put(&self, claims: StoredClaims) -> bool {
        if let StoredClaims::Actor(actor) = &claims {
            self.register_alias(actor.call_alias.as_deref().unwrap_or_default(), actor.id);
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

    fn register_alias(&self, alias: &str, actor: ActorId) {
        if alias.is_empty() {
            return;
        }
        if let Some(previous) = self.aliases.insert(alias.to_owned(), actor)
            && previous != actor
        {
            tracing::warn!(%alias, %previous, %actor, "call alias now names another actor");
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
