//! What the lattice looks like, for everybody to read without waiting, and what a change of it means.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use claims::PublicKey;
use lattice::{
    Link,
    bounds::Usage,
    stored_claims::StoredClaims,
    subject::{LatticeKey, parse_config_key},
};
use tokio::sync::watch;

use crate::{
    Bucket,
    claims::ClaimsCache,
    known::Known,
    links::{LinkChange, Links},
    owners::Owners,
    revocations::Revocations,
};

/// The tables. Only the owner of the store changes them.
#[derive(Default)]
pub struct Tables {
    /// Links.
    pub links: Links,
    /// Claims.
    pub claims: ClaimsCache,
    /// Configuration by KV key.
    pub config: RwLock<BTreeMap<String, Bytes>>,
    /// To whom actors and providers belong.
    pub owners: Owners,
    pub(super) revocations: watch::Sender<Arc<Revocations>>,
    /// Counts the claims that came.
    claims_came: watch::Sender<u64>,
    usage: RwLock<Vec<(&'static str, Usage)>>,
    refused: AtomicU64,
}

/// Claims that name another account than the one that an actor or provider belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignClaims {
    /// Whose it is.
    pub owner: claims::AccountId,
    /// Who signed what was loaded somewhere.
    pub issuer: claims::AccountId,
}

/// What a change means for the rest of the host.
#[derive(Debug)]
pub enum Effect {
    /// A link came, changed or went. `replayed`: it was there before this host looked.
    Link {
        /// The change.
        change: LinkChange,
        /// Whether it is old news.
        replayed: bool,
    },
    /// The claims of somebody became known, changed or went.
    Claims {
        /// The actor or provider.
        subject: PublicKey,
        /// Set when they name another account than the one that it belongs to.
        foreign: Option<ForeignClaims>,
    },
    /// A configuration entry was set (or deleted).
    Config {
        /// Actor or provider.
        entity: String,
        /// Entry name.
        key: String,
        /// Set, or deleted.
        set: bool,
    },
}

impl Tables {
    /// The revocation lists in force.
    #[must_use]
    pub fn revocations(&self) -> Arc<Revocations> {
        self.revocations.borrow().clone()
    }

    /// The same, for whoever waits for changes.
    #[must_use]
    pub fn follow_revocations(&self) -> watch::Receiver<Arc<Revocations>> {
        self.revocations.subscribe()
    }

    /// Changes when claims come.
    #[must_use]
    pub fn follow_claims(&self) -> watch::Receiver<u64> {
        self.claims_came.subscribe()
    }

    /// How much there is of each kind of lattice state, by the name of the kind.
    #[must_use]
    pub fn usage(&self) -> Vec<(&'static str, Usage)> {
        self.usage.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many changes were not taken because there would have been more than may be.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn counted(&self, known: &Known) {
        *self.usage.write().unwrap_or_else(PoisonError::into_inner) = known.usage();
    }

    pub(super) fn refuse(&self, changes: u64) {
        self.refused.fetch_add(changes, Ordering::Relaxed);
    }

    /// What was configured for an actor or provider, by name.
    #[must_use]
    pub fn config_of(&self, entity: &str) -> Vec<(String, Bytes)> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        // Keys begin with the entity, so only its own are looked at.
        let own = config.range(entity.to_owned()..).take_while(|(key, _)| key.starts_with(entity));
        own.filter_map(|(key, value)| {
            let (owner, name) = parse_config_key(key)?;
            (owner.as_str() == entity).then(|| (name.to_owned(), value.clone()))
        })
        .collect()
    }

    /// Takes in one entry of lattice state; what that means for others. `replayed`: it is old news.
    pub(super) fn apply(&self, bucket: Bucket, key: &str, value: Option<&Bytes>, replayed: bool) -> Option<Effect> {
        match bucket {
            Bucket::Lattice => self.apply_lattice(key, value, replayed),
            Bucket::Config => self.apply_config(key, value),
            Bucket::Revocations => None, // they change as a whole
        }
    }

    fn apply_lattice(&self, key: &str, value: Option<&Bytes>, replayed: bool) -> Option<Effect> {
        let change = match (LatticeKey::parse(key), value) {
            (Some(LatticeKey::Link(id)), Some(value)) => match Link::from_json(value) {
                Ok(link) if link.id() == id => self.links.put(link),
                Ok(_) => {
                    tracing::error!(%key, "ignoring a link whose key does not match its content");
                    return None;
                }
                Err(error) => {
                    tracing::error!(%key, %error, "ignoring an undecodable link");
                    return None;
                }
            },
            (Some(LatticeKey::Link(id)), None) => self.links.delete(&id),
            (Some(LatticeKey::Claims(subject)), value) => {
                self.apply_claims(key, &subject, value);
                let foreign = self.foreign_claims(&subject);
                let foreign = foreign.filter(|_| !replayed || self.owners.get(&subject).is_none());
                return Some(Effect::Claims { subject, foreign });
            }
            (None, _) => {
                tracing::debug!(%key, "lattice state of a kind this host does not know");
                return None;
            }
        };
        (change != LinkChange::Unchanged).then_some(Effect::Link { change, replayed })
    }

    fn apply_claims(&self, key: &str, subject: &PublicKey, value: Option<&Bytes>) {
        let Some(value) = value else { return self.claims.delete(subject) };
        match StoredClaims::from_json(value) {
            Ok(claims) if claims.subject() == *subject => {
                self.claims.put(claims, &self.owners);
                self.claims_came.send_modify(|count| *count += 1);
            }
            Ok(_) => tracing::error!(%key, "ignoring claims whose key does not match their subject"),
            Err(error) => tracing::error!(%key, %error, "ignoring undecodable claims"),
        }
    }

    fn foreign_claims(&self, subject: &PublicKey) -> Option<ForeignClaims> {
        let (issuer, owner) = (self.claims.issuer(subject)?, self.owner(subject)?);
        (issuer != owner).then_some(ForeignClaims { owner, issuer })
    }

    /// The account that an actor or provider belongs to: by its record, else the first that its claims were seen to name.
    #[must_use]
    pub fn owner(&self, subject: &claims::PublicKey) -> Option<claims::AccountId> {
        let recorded = self.owners.get(subject).map(|record| record.content.owner);
        recorded.or_else(|| self.claims.first_issuer(subject))
    }

    fn apply_config(&self, key: &str, value: Option<&Bytes>) -> Option<Effect> {
        {
            let mut config = self.config.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            match value {
                Some(value) => config.insert(key.to_owned(), value.clone()),
                None => config.remove(key),
            };
        }
        let (entity, name) = parse_config_key(key)?;
        Some(Effect::Config { entity: entity.to_string(), key: name.to_owned(), set: value.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_one_is_not_that_of_another() {
        const A: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";
        const B: &str = "VBY5TST4TRICQXEJTDORJG2M62BSA7MVPF44NO7CZJSEPZL7KK7OKJ5A";
        let tables = Tables::default();
        for (key, value) in [(format!("{A}_color"), "red"), (format!("{A}_a_b"), "c"), (format!("{B}_color"), "blue")] {
            assert!(tables.apply(Bucket::Config, &key, Some(&Bytes::from(value)), false).is_some(), "{key}");
        }
        let own = [("a_b".to_owned(), Bytes::from("c")), ("color".to_owned(), Bytes::from("red"))];
        assert_eq!(tables.config_of(A), own);
        assert_eq!(tables.config_of(&A[..10]), []);
        tables.apply(Bucket::Config, &format!("{A}_a_b"), None, false);
        assert_eq!(tables.config_of(A).len(), 1);
    }
}
