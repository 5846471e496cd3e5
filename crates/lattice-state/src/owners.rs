//! To which account each actor and provider belongs, as the hosts of the lattice have decided. Pure.
//!
//! Knows signed records, not where they are kept. Invariants: per id one record is in force, the one that
//! [`Record::replaces`] prefers, so hosts that have seen the same records agree in whatever order they saw them; nothing
//! but a preferred record takes one out.

use std::{collections::BTreeMap, sync::Arc};

use claims::{
    AccountId, ClusterId, PublicKey,
    ownership::{Record, Signed, Transfer},
    revocation::Signer,
};
use dashmap::DashMap;
use lattice::{
    LatticeId,
    subject::{owned_by_key, owner_key},
};

use crate::revocations::Trust;

/// Ids that are remembered. Of what comes later the stored claims say who was first, as long as they do.
pub const MAX_OWNED: usize = 16_384;
/// How far a transfer may be ahead of this host's clock, milliseconds.
const MAX_AHEAD_MS: u64 = 10 * 60 * 1000;

/// A record whose signature holds.
pub type SignedRecord = Signed<Record, ClusterId>;

/// The records in force.
#[derive(Default)]
pub struct Owners {
    by_subject: DashMap<PublicKey, Arc<SignedRecord>>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is in force now; what was in its place.
    New(Option<Arc<SignedRecord>>),
    /// It was in force already.
    Known,
    /// This one is preferred.
    Lost(Arc<SignedRecord>),
    /// There are too many, and this would be one more.
    Full,
}

impl Owners {
    /// The record of an actor or provider.
    #[must_use]
    pub fn get(&self, subject: &PublicKey) -> Option<Arc<SignedRecord>> {
        self.by_subject.get(subject).map(|record| record.clone())
    }

    /// The record in force that is kept under a key.
    #[must_use]
    pub fn by_kept_key(&self, key: &str) -> Option<Arc<SignedRecord>> {
        self.get(&owned_by_key(key)?)
    }

    /// Whether one more id would be too many.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.by_subject.len() >= MAX_OWNED
    }

    /// Takes a record that is believed.
    pub fn take(&self, record: Arc<SignedRecord>) -> Taken {
        let before = self.get(&record.content.subject);
        match before {
            Some(before) if before.token == record.token => Taken::Known,
            Some(before) if !record.content.replaces(&before.content) => Taken::Lost(before),
            None if self.is_full() => Taken::Full,
            before => {
                self.by_subject.insert(record.content.subject, record);
                Taken::New(before)
            }
        }
    }

    /// Every record in force with the key under which it is kept, in the order of the keys.
    #[must_use]
    pub fn by_key(&self) -> BTreeMap<String, Arc<SignedRecord>> {
        self.by_subject.iter().map(|entry| (key_of(entry.value()), entry.value().clone())).collect()
    }
}

/// The key under which a record is kept: one per id and signer, so that hosts which do not trust each other never write
/// over each other's.
#[must_use]
pub fn key_of(record: &SignedRecord) -> String {
    owner_key(&record.content.subject, &record.signer.public_key())
}

/// What a host makes of a record that it found.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart where it is made")]
pub enum Judged {
    /// It is believed.
    Believed(SignedRecord),
    /// It holds, but is not for this host to believe: of another cluster key or another lattice.
    NotOurs,
    /// It does not hold.
    Damaged,
}

/// Reads a record that was kept under a key.
#[must_use]
pub fn judge(trust: &Trust, key: &str, token: &[u8]) -> Judged {
    let Some(record) = std::str::from_utf8(token).ok().and_then(|token| Record::verify(token).ok()) else {
        return Judged::Damaged;
    };
    if key_of(&record) != key {
        return Judged::Damaged;
    }
    match trust.clusters.contains(&record.signer) && record.content.lattice == trust.lattice.as_str() {
        true => Judged::Believed(record),
        false => Judged::NotOurs,
    }
}

/// Who owns an id now, as far as a transfer is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// The account.
    pub owner: AccountId,
    /// Number of the record; 1 where there is none but stored claims.
    pub number: u64,
    /// When that was decided, milliseconds since 1970; 0 where there is no record.
    pub at: u64,
}

/// Why a transfer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefused {
    /// It is about another lattice.
    #[error("the transfer is for lattice `{found}`, and this is `{here}`")]
    OtherLattice {
        /// What it is for.
        found: String,
        /// Where it came.
        here: LatticeId,
    },
    /// Its signer is a cluster key that is not trusted.
    #[error("`{signer}` is no cluster key this host trusts; sign with another, or name it with `--cluster-issuers`")]
    UntrustedCluster {
        /// The signer.
        signer: ClusterId,
    },
    /// Its signer does not own it.
    #[error(
        "`{subject}` belongs to account `{owner}`: `{signer}` cannot give it away; an operator with the cluster key can, with `--force`"
    )]
    NotTheOwner {
        /// What is meant.
        subject: PublicKey,
        /// Whose it is.
        owner: AccountId,
        /// Who signed.
        signer: AccountId,
    },
    /// It belongs to nobody.
    #[error("`{subject}` belongs to nobody in this lattice yet: whoever starts it first owns it")]
    NoOwner {
        /// What is meant.
        subject: PublicKey,
    },
    /// It was made before the present owner owned it.
    #[error(
        "the transfer is older than the ownership it would change; look who owns `{subject}` now, and sign it again"
    )]
    Stale {
        /// What is meant.
        subject: PublicKey,
    },
    /// It is from a future.
    #[error("the transfer was signed in the future, by this host's clock; set the clocks right and sign it again")]
    Ahead,
}

impl TransferRefused {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherLattice { .. } => "transfer_of_another_lattice",
            Self::UntrustedCluster { .. } => "untrusted_transfer_signer",
            Self::NotTheOwner { .. } => "not_the_owner",
            Self::NoOwner { .. } => "no_owner",
            Self::Stale { .. } => "stale_transfer",
            Self::Ahead => "transfer_ahead",
        }
    }
}

/// The record that a transfer leads to. `present`: who owns it now; `now`: milliseconds since 1970.
///
/// # Errors
/// [`TransferRefused`].
#[expect(clippy::result_large_err, reason = "ids are texts, and a transfer is rare")]
pub fn decide(
    signed: &Signed<Transfer, Signer>,
    present: Option<Present>,
    trust: &Trust,
    now: u64,
) -> Result<Record, TransferRefused> {
    let Transfer { lattice, subject, to, at } = &signed.content;
    let (subject, at) = (*subject, *at);
    if *lattice != trust.lattice.as_str() {
        return Err(TransferRefused::OtherLattice { found: lattice.clone(), here: trust.lattice.clone() });
    }
    match (signed.signer, present) {
        (Signer::Cluster(signer), _) if !trust.clusters.contains(&signer) => {
            return Err(TransferRefused::UntrustedCluster { signer });
        }
        (Signer::Account(_), None) => return Err(TransferRefused::NoOwner { subject }),
        (Signer::Account(signer), Some(Present { owner, .. })) if signer != owner => {
            return Err(TransferRefused::NotTheOwner { subject, owner, signer });
        }
        _ => {}
    }
    if present.is_some_and(|present| at <= present.at) {
        return Err(TransferRefused::Stale { subject });
    }
    if at > now.saturating_add(MAX_AHEAD_MS) {
        return Err(TransferRefused::Ahead);
    }
    // Not before the transfer, so that the same one does nothing a second time.
    let number = present.map_or(1, |present| present.number).saturating_add(1);
    Ok(Record { lattice: lattice.clone(), subject, owner: *to, number, at: now.max(at) })
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    fn account(byte: u8) -> KeyPair {
        KeyPair::from_raw_seed(KeyKind::Account, &[byte; 32])
    }

    fn id(byte: u8) -> AccountId {
        account(byte).public().try_into().expect("an account")
    }

    fn cluster(byte: u8) -> KeyPair {
        KeyPair::from_raw_seed(KeyKind::Cluster, &[byte; 32])
    }

    fn subject() -> PublicKey {
        KeyPair::from_raw_seed(KeyKind::Module, &[9; 32]).public()
    }

    fn trust() -> Trust {
        let clusters = [cluster(1).public().try_into().expect("a cluster")].into();
        Trust { lattice: LatticeId::default(), clusters }
    }

    fn record(owner: u8, number: u64, at: u64) -> Arc<SignedRecord> {
        let record = Record { lattice: "default".to_owned(), subject: subject(), owner: id(owner), number, at };
        Arc::new(Record::verify(&record.sign(&cluster(1)).expect("signs")).expect("holds"))
    }

    fn transfer(signer: &KeyPair, to: u8, at: u64) -> Signed<Transfer, Signer> {
        let transfer = Transfer { lattice: "default".to_owned(), subject: subject(), to: id(to), at };
        Transfer::verify(&transfer.sign(signer).expect("signs")).expect("holds")
    }

    #[test]
    fn records_end_the_same_in_every_order() {
        let all = [record(1, 1, 10), record(2, 1, 20), record(3, 2, 30), record(4, 2, 40)];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            let owners = Owners::default();
            order.iter().for_each(|at| drop(owners.take(all[*at].clone())));
            assert_eq!(owners.get(&subject()).map(|record| record.content.owner), Some(id(4)), "{order:?}");
        }
        let owners = Owners::default();
        assert_eq!(owners.take(all[1].clone()), Taken::New(None));
        assert_eq!(owners.take(all[1].clone()), Taken::Known);
        assert_eq!(owners.take(all[0].clone()), Taken::New(Some(all[1].clone())), "the first comer");
        assert_eq!(owners.take(all[1].clone()), Taken::Lost(all[0].clone()));
    }

    #[test]
    fn what_is_too_many_is_not_remembered_and_what_is_there_can_be_moved() {
        let owners = Owners::default();
        let first = record(1, 1, 10);
        owners.take(first.clone());
        for number in 1..MAX_OWNED as u64 {
            let mut raw = [0; 32];
            raw[..8].copy_from_slice(&number.to_le_bytes());
            let mut other = first.as_ref().clone();
            other.content.subject = PublicKey::from_raw(KeyKind::Module, raw);
            other.token = number.to_string();
            assert_eq!(owners.take(Arc::new(other)), Taken::New(None));
        }
        let mut more = first.as_ref().clone();
        more.content.subject = PublicKey::from_raw(KeyKind::Service, [7; 32]);
        assert_eq!(owners.take(Arc::new(more)), Taken::Full);
        assert_eq!(owners.take(record(2, 2, 20)), Taken::New(Some(first)));
    }

    #[test]
    fn only_the_owner_or_a_trusted_cluster_key_moves_an_id() {
        let present = Some(Present { owner: id(1), number: 1, at: 100 });
        let code = |signed: &Signed<Transfer, Signer>, present| {
            decide(signed, present, &trust(), 1_000).map_err(|error| error.code())
        };
        let moved = code(&transfer(&account(1), 2, 500), present).expect("its owner");
        assert_eq!((moved.owner, moved.number, moved.at), (id(2), 2, 1_000));
        assert!(code(&transfer(&cluster(1), 2, 500), present).is_ok());
        assert!(code(&transfer(&cluster(1), 2, 500), None).is_ok(), "an operator may say so beforehand");
        assert_eq!(code(&transfer(&account(2), 2, 500), present), Err("not_the_owner"));
        assert_eq!(code(&transfer(&account(2), 2, 500), None), Err("no_owner"));
        assert_eq!(code(&transfer(&cluster(2), 2, 500), present), Err("untrusted_transfer_signer"));
        assert_eq!(code(&transfer(&account(1), 2, 100), present), Err("stale_transfer"));
        assert_eq!(code(&transfer(&account(1), 2, 1_000 + MAX_AHEAD_MS + 1), present), Err("transfer_ahead"));
    }

    #[test]
    fn a_transfer_that_was_overheard_does_nothing_a_second_time() {
        let there = transfer(&account(1), 2, 5_000);
        let present = Present { owner: id(1), number: 1, at: 100 };
        let moved = decide(&there, Some(present), &trust(), 4_000).expect("its owner, whose clock is ahead");
        let back = Present { owner: id(1), number: moved.number + 1, at: moved.at };
        assert_eq!(decide(&there, Some(back), &trust(), 6_000).map_err(|error| error.code()), Err("stale_transfer"));
    }

    #[test]
    fn what_is_found_is_believed_left_alone_or_damaged() {
        let ours = record(1, 1, 10);
        let key = key_of(&ours);
        assert!(matches!(judge(&trust(), &key, ours.token.as_bytes()), Judged::Believed(_)));
        assert!(matches!(judge(&trust(), "OWNER_x", ours.token.as_bytes()), Judged::Damaged));
        assert!(matches!(judge(&trust(), &key, b"junk"), Judged::Damaged));
        let theirs = Record::verify(&ours.content.sign(&cluster(2)).expect("signs")).expect("holds");
        assert!(matches!(judge(&trust(), &key_of(&theirs), theirs.token.as_bytes()), Judged::NotOurs));
    }
}
