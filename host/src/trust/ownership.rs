//! Whose an id is: the account that signed it first, until that account or an operator gives it away.
//!
//! Asked before anything of an account starts, updates or is taken up again. The rules are in `state::owners`, what is
//! kept in `store`. Builtin providers own their ids themselves. Invariants: what is refused leaves no trace in lattice
//! state; an account owns an id before what it signed is announced.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use claims::{
    AccountId, KeyKind, ProviderId, PublicKey,
    ownership::{OwnershipError, Record},
};

use lattice_state::{
    owners::{MAX_OWNED, Present, SignedRecord},
    revocations::Trust,
    store::{Store, StoreError, Tables},
};

use super::own_issuer;
use crate::{identity::Identity, process::clock::unix_now_ms};

/// Why an account may not use an id.
#[derive(Debug, thiserror::Error)]
pub enum NotTheOwner {
    /// It is another's.
    #[error(
        "`{subject}` belongs to account `{owner}`, and this is signed by `{issuer}`; its owner gives it away with `wash claims transfer {} {subject} --to {issuer}`, an operator takes it away with `--force`",
        word(subject)
    )]
    Other {
        /// The actor or provider.
        subject: PublicKey,
        /// Whose it is.
        owner: AccountId,
        /// Who signed what is refused.
        issuer: AccountId,
    },
    /// It is the id of a provider that is compiled into hosts.
    #[error("`{subject}` is the id of `builtin://{name}`; sign the provider with a key of its own")]
    Builtin {
        /// The id.
        subject: PublicKey,
        /// The provider.
        name: &'static str,
    },
    /// Who owns it cannot be kept.
    #[error("cannot record to whom `{subject}` belongs")]
    Store {
        /// The actor or provider.
        subject: PublicKey,
        /// Why.
        source: StoreError,
    },
    /// The record cannot be made.
    #[error("cannot record to whom `{subject}` belongs")]
    Record {
        /// The actor or provider.
        subject: PublicKey,
        /// Why.
        source: OwnershipError,
    },
}

impl NotTheOwner {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Other { .. } | Self::Builtin { .. } => "other_owner",
            Self::Store { .. } => "store_failed",
            Self::Record { source, .. } => source.code(),
        }
    }
}

fn word(subject: &PublicKey) -> &'static str {
    if subject.kind() == KeyKind::Module { "actor" } else { "provider" }
}

/// Whose ids are whose, as this host knows and records it.
pub struct Owners {
    identity: Arc<Identity>,
    store: Store,
    /// Whose word counts.
    pub trust: Arc<Trust>,
    /// Names of the providers that are compiled in.
    builtins: Vec<&'static str>,
}

impl Owners {
    /// For a host with these providers compiled in.
    #[must_use]
    pub fn new(identity: Arc<Identity>, store: Store, trust: Arc<Trust>, builtins: Vec<&'static str>) -> Self {
        Self { identity, store, trust, builtins }
    }

    fn tables(&self) -> &Tables {
        self.store.tables()
    }

    /// Whether an account may use an id, as far as this host knows now. Nothing is recorded.
    ///
    /// # Errors
    /// [`NotTheOwner`].
    #[expect(clippy::result_large_err, reason = "ids are texts, and a start is rare")]
    pub fn check(&self, subject: PublicKey, issuer: AccountId) -> Result<(), NotTheOwner> {
        if let Some(name) = self.builtin(&subject).filter(|_| issuer != own_issuer(&subject)) {
            return Err(NotTheOwner::Builtin { subject, name });
        }
        match self.tables().owner(&subject) {
            Some(owner) if owner != issuer => Err(NotTheOwner::Other { subject, owner, issuer }),
            _ => Ok(()),
        }
    }

    /// The same, and makes the account the owner of an id that nobody owns. To be awaited before anybody is told of a start.
    ///
    /// # Errors
    /// [`NotTheOwner`], also when somebody was faster on another host.
    pub async fn claim(&self, subject: PublicKey, issuer: AccountId) -> Result<(), NotTheOwner> {
        self.check(subject, issuer)?;
        if self.tables().owners.get(&subject).is_some() || self.builtin(&subject).is_some() {
            return Ok(());
        }
        match self.record_first(subject, issuer).await? {
            Some(in_force) if in_force.content.owner != issuer => {
                Err(NotTheOwner::Other { subject, owner: in_force.content.owner, issuer })
            }
            _ => Ok(()),
        }
    }

    /// Somewhere in the lattice something of another account was loaded under an id that has its owner: by a host of another
    /// maker, which asks nobody. What runs there is theirs; here the owner stays who it was.
    pub async fn seen_elsewhere(&self, subject: PublicKey, owner: AccountId, issuer: AccountId) {
        tracing::warn!(%subject, %owner, %issuer, "another host loaded something of another account under an id that belongs to its owner; hosts of ours start none of it");
        if self.tables().owners.get(&subject).is_none()
            && self.builtin(&subject).is_none()
            && let Err(error) = self.record_first(subject, owner).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the owner is forgotten with the next restart");
        }
    }

    /// Who owns an id, for a transfer of it.
    #[must_use]
    pub fn present(&self, subject: &PublicKey) -> Option<Present> {
        let recorded = self.tables().owners.get(subject).map(|record| Present {
            owner: record.content.owner,
            number: record.content.number,
            at: record.content.at,
        });
        recorded.or_else(|| {
            let owner = self.tables().claims.first_issuer(subject)?;
            Some(Present { owner, number: 1, at: 0 })
        })
    }

    /// Signs a record and puts it into force; the one in force then.
    ///
    /// # Errors
    /// [`NotTheOwner::Store`], [`NotTheOwner::Record`].
    pub async fn put(&self, record: &Record) -> Result<Arc<SignedRecord>, NotTheOwner> {
        let subject = record.subject;
        let not_made = |source| NotTheOwner::Record { subject, source };
        let token = record.sign(&self.identity.cluster_key).map_err(not_made)?;
        let signed = Record::verify(&token).map_err(not_made)?;
        self.store.own(Arc::new(signed)).await.map_err(|source| NotTheOwner::Store { subject, source })
    }

    /// None when there is no room: then the stored claims alone say who was first.
    async fn record_first(
        &self,
        subject: PublicKey,
        owner: AccountId,
    ) -> Result<Option<Arc<SignedRecord>>, NotTheOwner> {
        static COMPLAINED: AtomicBool = AtomicBool::new(false);
        if self.tables().owners.is_full() {
            if !COMPLAINED.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    most = MAX_OWNED,
                    "this lattice remembers the owners of no more ids; of further ones the stored claims say who was first"
                );
            }
            return Ok(None);
        }
        let lattice = self.identity.lattice.to_string();
        self.put(&Record { lattice, subject, owner, number: 1, at: unix_now_ms() }).await.map(Some)
    }

    /// The builtin provider with this id, if there is one.
    fn builtin(&self, subject: &PublicKey) -> Option<&'static str> {
        let mut names = self.builtins.iter().copied();
        names.find(|name| ProviderId::well_known(name).public_key() == *subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, account, actor};

    #[tokio::test]
    async fn an_id_belongs_to_the_account_that_claimed_it_first() {
        let world = World::new();
        let (owners, subject) = (world.owners(Vec::new()), actor(1).public_key());
        assert!(owners.present(&subject).is_none());
        owners.claim(subject, account(1)).await.expect("nobody owns it");
        owners.claim(subject, account(1)).await.expect("its owner may again");
        let refused = owners.claim(subject, account(2)).await.expect_err("it is another's");
        assert_eq!(refused.code(), "other_owner");
        assert_eq!(owners.present(&subject).map(|present| (present.owner, present.number)), Some((account(1), 1)));
    }

    #[tokio::test]
    async fn what_was_signed_first_counts_before_there_is_a_record() {
        let world = World::new();
        let (owners, subject) = (world.owners(Vec::new()), actor(1).public_key());
        world.know_actor(actor(1), account(1), &[]).await;
        owners.check(subject, account(1)).expect("it signed first");
        assert!(owners.check(subject, account(2)).is_err());
    }

    #[tokio::test]
    async fn the_id_of_a_builtin_provider_is_its_own() {
        let world = World::new();
        let owners = world.owners(vec!["fake"]);
        let subject = ProviderId::well_known("fake").public_key();
        let refused = owners.check(subject, account(1)).expect_err("it is compiled in");
        assert!(matches!(refused, NotTheOwner::Builtin { name: "fake", .. }), "{refused}");
        owners.claim(subject, own_issuer(&subject)).await.expect("it owns itself");
        assert!(world.store.tables().owners.get(&subject).is_none(), "nothing is recorded for it");
    }

    #[tokio::test]
    async fn a_refusal_names_the_command_that_changes_it() {
        let world = World::new();
        let (owners, subject) = (world.owners(Vec::new()), actor(1).public_key());
        owners.claim(subject, account(1)).await.expect("nobody owns it");
        let refused = owners.check(subject, account(2)).expect_err("it is another's").to_string();
        assert!(refused.contains(&format!("wash claims transfer actor {subject} --to {}", account(2))), "{refused}");
    }
}
