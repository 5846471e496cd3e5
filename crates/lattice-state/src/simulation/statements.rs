//! Signed statements of a run: revocation lists and ownership records.
//!
//! They are signed once and kept as text, because a token has an id of its own: signed anew, a run would not be the same again.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use ::claims::{
    KeyKind, KeyPair,
    ownership::Record,
    revocation::{RevocationList, SignedRevocations},
};
use lattice::LatticeId;

use super::keys::{account, actor};
use crate::{
    owners::SignedRecord,
    revocations::{self, Trust},
};

/// One token a line.
const TOKENS: &str = include_str!("statements.txt");

/// A signed statement.
pub(super) enum Statement {
    List(Arc<SignedRevocations>),
    Owner(Arc<SignedRecord>),
}

fn cluster() -> KeyPair {
    KeyPair::from_raw_seed(KeyKind::Cluster, &[7; 32])
}

/// Whom the hosts of a run believe.
pub(super) fn trust() -> Arc<Trust> {
    static TRUST: OnceLock<Arc<Trust>> = OnceLock::new();
    let made = || {
        let clusters = BTreeSet::from([cluster().public().try_into().expect("a cluster key")]);
        Arc::new(Trust { lattice: LatticeId::default(), clusters })
    };
    TRUST.get_or_init(made).clone()
}

/// Every statement there is.
pub(super) fn all() -> &'static [Statement] {
    static ALL: OnceLock<Vec<Statement>> = OnceLock::new();
    ALL.get_or_init(|| TOKENS.lines().map(read).collect())
}

fn read(token: &str) -> Statement {
    match Record::verify(token) {
        Ok(record) => Statement::Owner(Arc::new(record)),
        Err(_) => Statement::List(Arc::new(trust().judge(token).expect("a list of ours"))),
    }
}

impl Statement {
    /// The key under which it is kept.
    pub(super) fn key(&self) -> String {
        match self {
            Self::List(list) => revocations::key_of(list),
            Self::Owner(record) => crate::owners::key_of(record),
        }
    }

    /// Itself.
    pub(super) fn token(&self) -> &str {
        match self {
            Self::List(list) => &list.token,
            Self::Owner(record) => &record.token,
        }
    }

    /// Whether another one may stand in its place: by the rules, of the two the other one counts.
    pub(super) fn yields_to(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(this), Self::List(other)) => {
                this.signer == other.signer && other.list.number > this.list.number
            }
            (Self::Owner(this), Self::Owner(other)) => {
                this.content.subject == other.content.subject && other.content.replaces(&this.content)
            }
            _ => false,
        }
    }
}

/// Lists of two signers with numbers 1 to 3, two of them equal; records of two actors, first ones and later ones.
fn signed() -> Vec<String> {
    let lattice = LatticeId::default().to_string();
    let list = |signer: &KeyPair, number| {
        let list = RevocationList { lattice: lattice.clone(), number, entries: Vec::new() };
        list.sign(signer, 1_800_000_000).expect("signs")
    };
    let record = |subject, owner, number, at| {
        let record = Record {
            lattice: lattice.clone(),
            subject: actor(subject).public_key(),
            owner: account(owner),
            number,
            at,
        };
        record.sign(&cluster()).expect("signs")
    };
    let other = KeyPair::from_raw_seed(KeyKind::Account, &[1; 32]);
    vec![
        list(&cluster(), 1),
        list(&cluster(), 2),
        list(&cluster(), 2),
        list(&cluster(), 3),
        list(&other, 1),
        list(&other, 2),
        record(1, 1, 1, 1_000),
        record(1, 2, 1, 2_000),
        record(1, 2, 2, 3_000),
        record(1, 3, 2, 4_000),
        record(2, 1, 1, 1_000),
        record(2, 2, 1, 900),
    ]
}

#[test]
#[ignore = "writes the file of signed statements anew, which changes every run: `cargo test statements_are_signed -- --ignored`"]
fn statements_are_signed() {
    if std::env::var_os("SIGN_STATEMENTS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/simulation/statements.txt");
        std::fs::write(path, signed().join("\n") + "\n").expect("writes");
    }
    assert_eq!(all().len(), signed().len());
}
