//! Whose an id is: the account that signed it first, until that account or an operator gives it away.
//!
//! Asked before anything of an account starts, updates or is taken up again. The rules are in `state::owners`, what is
//! kept in `store`. Builtin providers own their ids themselves. Invariants: what is refused leaves no trace in lattice
//! state; an account owns an id before what it signed is announced.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use claims::{
    AccountId, KeyKind, ProviderId, PublicKey,
    ownership::{OwnershipError, Record},
};

use crate::{
    core::Core,
    state::owners::{MAX_OWNED, Present, SignedRecord},
    store::StoreError,
    workloads::revoke::own_issuer,
};

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

/// Whether an account may use an id, as far as this host knows now. Nothing is recorded.
///
/// # Errors
/// [`NotTheOwner`].
#[expect(clippy::result_large_err, reason = "ids are texts, and a start is rare")]
pub fn check(core: &Core, subject: PublicKey, issuer: AccountId) -> Result<(), NotTheOwner> {
    if let Some(name) = builtin(core, &subject).filter(|_| issuer != own_issuer(&subject)) {
        return Err(NotTheOwner::Builtin { subject, name });
    }
    match core.tables().owner(&subject) {
        Some(owner) if owner != issuer => Err(NotTheOwner::Other { subject, owner, issuer }),
        _ => Ok(()),
    }
}

/// The same, and makes the account the owner of an id that nobody owns. To be awaited before anybody is told of a start.
///
/// # Errors
/// [`NotTheOwner`], also when somebody was faster on another host.
pub async fn claim(core: &Core, subject: PublicKey, issuer: AccountId) -> Result<(), NotTheOwner> {
    check(core, subject, issuer)?;
    if core.tables().owners.get(&subject).is_some() || builtin(core, &subject).is_some() {
        return Ok(());
    }
    match record_first(core, subject, issuer).await? {
        Some(in_force) if in_force.content.owner != issuer => {
            Err(NotTheOwner::Other { subject, owner: in_force.content.owner, issuer })
        }
        _ => Ok(()),
    }
}

/// Somewhere in the lattice something of another account was loaded under an id that has its owner: by a host of another
/// maker, which asks nobody. What runs there is theirs; here the owner stays who it was.
pub async fn seen_elsewhere(core: &Core, subject: PublicKey, owner: AccountId, issuer: AccountId) {
    tracing::warn!(%subject, %owner, %issuer, "another host loaded something of another account under an id that belongs to its owner; hosts of ours start none of it");
    if core.tables().owners.get(&subject).is_none()
        && builtin(core, &subject).is_none()
        && let Err(error) = record_first(core, subject, owner).await
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "the owner is forgotten with the next restart");
    }
}

/// Who owns an id, for a transfer of it.
#[must_use]
pub fn present(core: &Core, subject: &PublicKey) -> Option<Present> {
    let recorded = core.tables().owners.get(subject).map(|record| Present {
        owner: record.content.owner,
        number: record.content.number,
        at: record.content.at,
    });
    recorded.or_else(|| {
        let owner = core.tables().claims.first_issuer(subject)?;
        Some(Present { owner, number: 1, at: 0 })
    })
}

/// Signs a record and puts it into force; the one in force then.
///
/// # Errors
/// [`NotTheOwner::Store`], [`NotTheOwner::Record`].
pub async fn put(core: &Core, record: &Record) -> Result<Arc<SignedRecord>, NotTheOwner> {
    let subject = record.subject;
    let not_made = |source| NotTheOwner::Record { subject, source };
    let token = record.sign(&core.identity.cluster_key).map_err(not_made)?;
    let signed = Record::verify(&token).map_err(not_made)?;
    core.store.own(Arc::new(signed)).await.map_err(|source| NotTheOwner::Store { subject, source })
}

/// None when there is no room: then the stored claims alone say who was first.
async fn record_first(
    core: &Core,
    subject: PublicKey,
    owner: AccountId,
) -> Result<Option<Arc<SignedRecord>>, NotTheOwner> {
    static COMPLAINED: AtomicBool = AtomicBool::new(false);
    if core.tables().owners.is_full() {
        if !COMPLAINED.swap(true, Ordering::Relaxed) {
            tracing::error!(
                most = MAX_OWNED,
                "this lattice remembers the owners of no more ids; of further ones the stored claims say who was first"
            );
        }
        return Ok(None);
    }
    let lattice = core.config.lattice.to_string();
    put(core, &Record { lattice, subject, owner, number: 1, at: now_ms() }).await.map(Some)
}

/// The builtin provider with this id, if there is one.
fn builtin(core: &Core, subject: &PublicKey) -> Option<&'static str> {
    let names = core.builtins.iter().map(|builtin| builtin.descriptor.name);
    names.into_iter().find(|name| ProviderId::well_known(name).public_key() == *subject)
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
