//! The revocation lists in force, and how what two sides of a divided lattice hold becomes one. Pure.
//!
//! Knows signed lists, not where they are kept. Invariants: per signer only lists of its highest number are in force;
//! taking lists is commutative and idempotent (as long as the bounds on accounts are not reached), so hosts that have seen
//! the same lists agree, in whatever order they saw them; nothing but a higher number takes a list out.

mod trust;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

use claims::{
    AccountId, PublicKey,
    revocation::{Facts, Revoked, Sha256, SignedRevocations, Signer},
};
use lattice::subject::revocation_key;

use crate::rules::Rule;

pub use trust::{Trust, Unacceptable};

/// Accounts whose lists are kept. Cluster keys are trusted one by one, and not counted.
pub const MAX_ACCOUNTS: usize = 256;
/// Bytes of the lists of all accounts together. Those of a cluster key are [`MAX_EQUAL`] at most, and not counted.
pub const MAX_ACCOUNT_BYTES: usize = 32 << 20;
/// Lists of one signer with one number. Those with the smallest digests stay, the same on every host.
pub const MAX_EQUAL: usize = 8;

/// What is known of an artifact that is about to run, or runs, for as long as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The account that signed it.
    pub issuer: AccountId,
    /// The actor or provider it is.
    pub subject: PublicKey,
    /// Digests under which it is known: of its bytes, and of its manifest when it came from a registry.
    pub digests: Vec<Sha256>,
}

impl Provenance {
    fn facts(&self) -> Facts<'_> {
        Facts { issuer: self.issuer, subject: &self.subject, digests: &self.digests }
    }
}

/// The entry that names an artifact, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What is revoked.
    pub revoked: Revoked,
    /// Why.
    pub reason: Option<String>,
    /// Who says so.
    pub signer: Signer,
    /// In which of its lists.
    pub number: u64,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` was revoked by `{}`", self.revoked.kind(), self.revoked, self.signer)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// A list that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is in force now.
    New,
    /// It was in force already.
    Known,
}

/// Why a list was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// A later list of the same signer is in force.
    #[error("`{signer}` has signed list {in_force} since; sign this one with a higher number than that")]
    Replaced {
        /// The signer.
        signer: Signer,
        /// The number in force.
        in_force: u64,
    },
    /// Too many lists with one number.
    #[error("there are {MAX_EQUAL} lists number {number} of `{signer}` already; sign one with a higher number")]
    TooManyEqual {
        /// The signer.
        signer: Signer,
        /// The number.
        number: u64,
    },
    /// Too many accounts.
    #[error("{MAX_ACCOUNTS} accounts have lists in this lattice already; have the list signed by the cluster key")]
    TooManyAccounts,
    /// Too much of accounts together.
    #[error(
        "the lists of all accounts would have more than {} MiB; have the list signed by the cluster key",
        MAX_ACCOUNT_BYTES >> 20
    )]
    TooManyBytes,
}

impl NotTaken {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Replaced { .. } => "revocations_replaced",
            Self::TooManyEqual { .. } => "too_many_equal_revocations",
            Self::TooManyAccounts => "too_many_revoking_accounts",
            Self::TooManyBytes => "too_many_revocation_bytes",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OfSigner {
    number: u64,
    /// By the key under which each is kept; one signer's keys differ in the digests of the lists alone.
    lists: BTreeMap<String, Arc<SignedRevocations>>,
}

/// The lists in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    by_signer: BTreeMap<Signer, OfSigner>,
    /// Everything that any list in force names: what is not here needs no closer look.
    named: HashSet<Revoked>,
}

impl Revocations {
    /// Takes lists whose signatures hold and whose signers may revoke in this lattice. Those that are not to be taken are left
    /// out; why the last of them was.
    pub fn take_all(&mut self, lists: impl IntoIterator<Item = Arc<SignedRevocations>>) -> Option<NotTaken> {
        let refused = lists.into_iter().filter_map(|signed| self.insert(signed, MAX_ACCOUNT_BYTES).err()).last();
        self.name();
        refused
    }

    /// Takes a list; what all of them name is to be collected again.
    fn insert(&mut self, signed: Arc<SignedRevocations>, most_bytes: usize) -> Result<Taken, NotTaken> {
        let (signer, number) = (signed.signer, signed.list.number);
        if matches!(signer, Signer::Account(_)) && !self.has_room(&signed, most_bytes) {
            return Err(NotTaken::TooManyBytes);
        }
        let key = key_of(&signed);
        let full = matches!(signer, Signer::Account(_)) && self.accounts() >= MAX_ACCOUNTS;
        match self.by_signer.get_mut(&signer) {
            Some(present) if present.number > number && Rule::HigherNumberReplaces.holds() => {
                return Err(NotTaken::Replaced { signer, in_force: present.number });
            }
            Some(present) if present.number == number => {
                if present.lists.contains_key(&key) {
                    return Ok(Taken::Known);
                }
                present.lists.insert(key.clone(), signed);
                if present.lists.len() > MAX_EQUAL && present.lists.pop_last().is_some_and(|(last, _)| last == key) {
                    return Err(NotTaken::TooManyEqual { signer, number });
                }
            }
            None if full => return Err(NotTaken::TooManyAccounts),
            _ => {
                let lists = BTreeMap::from([(key, signed)]);
                self.by_signer.insert(signer, OfSigner { number, lists });
            }
        }
        Ok(Taken::New)
    }

    /// Collects what the lists name.
    fn name(&mut self) {
        self.named = self.all().flat_map(|signed| signed.list.entries.iter().map(|entry| entry.revoked)).collect();
    }

    /// Whether the lists of accounts have room for one more, which takes out those that it replaces. One that is there or
    /// comes too late is refused, or known, by its number.
    fn has_room(&self, signed: &SignedRevocations, most_bytes: usize) -> bool {
        let stay = self.by_signer.iter().filter(|(signer, of_signer)| match signer {
            Signer::Account(_) if **signer == signed.signer => of_signer.number == signed.list.number,
            Signer::Account(_) => true,
            Signer::Cluster(_) => false,
        });
        let lists = stay.flat_map(|(_, of_signer)| of_signer.lists.values());
        let bytes: usize = lists.filter(|list| list.token != signed.token).map(|list| list.token.len()).sum();
        bytes + signed.token.len() <= most_bytes
    }

    fn accounts(&self) -> usize {
        self.by_signer.keys().filter(|signer| matches!(signer, Signer::Account(_))).count()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Every list in force, by signer.
    pub fn all(&self) -> impl Iterator<Item = &Arc<SignedRevocations>> {
        self.by_signer.values().flat_map(|of_signer| of_signer.lists.values())
    }

    /// Every list in force by the key under which it is kept, in the order of the keys.
    #[must_use]
    pub fn by_key(&self) -> BTreeMap<String, Arc<SignedRevocations>> {
        self.by_signer.values().flat_map(|of_signer| of_signer.lists.clone()).collect()
    }

    /// The entry by which an artifact is revoked, if there is one.
    #[must_use]
    pub fn find(&self, artifact: &Provenance) -> Option<Named> {
        let facts = artifact.facts();
        let subject = artifact.subject;
        let keys = [
            Some(Revoked::Issuer(artifact.issuer)),
            subject.try_into().ok().map(Revoked::Actor),
            subject.try_into().ok().map(Revoked::Provider),
        ];
        let digests = artifact.digests.iter().map(|digest| Revoked::Digest(*digest));
        if !keys.into_iter().flatten().chain(digests).any(|candidate| self.named.contains(&candidate)) {
            return None;
        }
        self.all().find_map(|signed| {
            let entry = signed.names(&facts)?;
            let (signer, number) = (signed.signer, signed.list.number);
            Some(Named { revoked: entry.revoked, reason: entry.reason.clone(), signer, number })
        })
    }
}

/// The key under which a list is kept.
#[must_use]
pub fn key_of(signed: &SignedRevocations) -> String {
    revocation_key(&signed.signer.public_key(), &signed.token)
}

/// What to do so that a place where lists are kept holds those in force, and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// Lists that are missing there, or differ.
    pub put: Vec<(String, Arc<SignedRevocations>)>,
    /// Keys of lists that were replaced. Keys of lists that are not ours to judge are not among them.
    pub remove: Vec<String>,
}

/// Compares the lists in force with what a place holds. `judged`: keys there whose lists this host understands and
/// trusts; whatever else is there is left alone.
#[must_use]
pub fn upkeep<'a>(
    in_force: &Revocations,
    held: impl Fn(&str) -> Option<&'a [u8]>,
    judged: &BTreeSet<String>,
) -> Upkeep {
    let wanted = in_force.by_key();
    let replaced = |key: &&String| !wanted.contains_key(*key) && Rule::RemoveReplacedLists.holds();
    let remove = judged.iter().filter(replaced).cloned().collect();
    let differs = |key: &String, signed: &Arc<SignedRevocations>| {
        held(key) != Some(signed.token.as_bytes()) && Rule::PutBackStatements.holds()
    };
    Upkeep { put: wanted.into_iter().filter(|(key, signed)| differs(key, signed)).collect(), remove }
}

#[cfg(test)]
mod tests;
