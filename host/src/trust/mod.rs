//! Whom this host trusts with what, beyond what a signature says.
//!
//! `issuers`: whose actors run, and whose programs run outside the sandbox. `ownership`: which account may use the id of an
//! actor or provider. Owns no state of its own: lists and records are in lattice state. Invariant: every refusal names the
//! command that changes it.

pub mod issuers;
pub mod ownership;

use claims::{AccountId, KeyKind, PublicKey};

/// The issuer of what nobody signed, or of what is not known: its own key, as an account. No account has this key unless
/// it shares its seed.
#[must_use]
pub fn own_issuer(key: &PublicKey) -> AccountId {
    let account = PublicKey::from_raw(KeyKind::Account, key.to_raw());
    AccountId::try_from(account).expect("an account key has an account id")
}
