//! Revocation: a signed, numbered list of what a lattice no longer trusts.
//!
//! Knows the token, its bounds and what its signer may take back. Refuses to know where lists are kept, which signers a
//! host trusts and what it does about a name: that is for the host. Numbers count per signer and lattice: a list replaces
//! every list of that signer with a lower number; two lists with one number (made while a network was divided) are both
//! in force until a higher one comes. Invariant: a [`SignedRevocations`] was signed by the key it names, is within
//! bounds, and names nothing twice.
//!
//! ```
//! use claims::revocation::{Entry, Facts, RevocationList, Revoked, verify};
//! use claims::{AccountId, KeyKind, KeyPair};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = KeyPair::generate(KeyKind::Cluster);
//! let stolen = KeyPair::generate(KeyKind::Account).public();
//! let entry = Entry {
//!     revoked: Revoked::Issuer(AccountId::try_from(stolen)?),
//!     reason: Some("the laptop was stolen".to_owned()),
//!     since: 1_700_000_000,
//! };
//! let list = RevocationList { lattice: "default".to_owned(), number: 1, entries: vec![entry] };
//! let token = list.sign(&cluster, 1_700_000_060)?;
//!
//! let signed = verify(&token)?;
//! let actor = KeyPair::generate(KeyKind::Module).public();
//! let facts = Facts { issuer: stolen.try_into()?, subject: &actor, digests: &[] };
//! assert_eq!(signed.names(&facts).and_then(|entry| entry.reason.as_deref()), Some("the laptop was stolen"));
//! # Ok(())
//! # }
//! ```

mod entry;
mod error;
mod signer;
mod wire;

pub use entry::{Entry, Facts, MAX_ENTRIES, MAX_REASON, Revoked, Sha256};
pub use error::RevocationError;
pub use signer::Signer;

use std::collections::HashSet;

use crate::jwt::{self, Envelope};
use crate::key::KeyPair;
use crate::token::{Claims, REVISION, TokenError, new_token_id};

/// Bytes of the name of a lattice.
pub const MAX_LATTICE: usize = 256;
/// Bytes of a signed list: with its envelope it fits one value of the lattice state (1 MiB). A list of
/// [`MAX_ENTRIES`] without reasons fits.
pub const MAX_TOKEN: usize = 1024 * 1024 - 16 * 1024;

/// A list, as it is before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// The lattice it is for.
    pub lattice: String,
    /// Its number, at least 1; see [`crate::revocation`].
    pub number: u64,
    /// What is revoked, nothing twice. May be empty: then everything is trusted again.
    pub entries: Vec<Entry>,
}

/// A list with a signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRevocations {
    /// Who signed it. Whether this signer is trusted is for the host.
    pub signer: Signer,
    /// Seconds since 1970 at which it was signed.
    pub issued_at: u64,
    /// What was signed.
    pub list: RevocationList,
    /// The token as it came.
    pub token: String,
}

impl RevocationList {
    /// Signs the list. `signer` is a cluster key, or an account that takes back what it issued itself.
    ///
    /// # Errors
    /// When the list is out of bounds or names something twice, or `signer` is a key of another kind.
    pub fn sign(&self, signer: &KeyPair, now: u64) -> Result<String, RevocationError> {
        self.sign_with_id(signer, now, new_token_id())
    }

    fn sign_with_id(&self, signer: &KeyPair, now: u64, id: String) -> Result<String, RevocationError> {
        Signer::try_from(signer.public())?;
        self.check()?;
        let claims = Claims {
            expires_at: None,
            id,
            issued_at: now,
            issuer: signer.public(),
            subject: self.lattice.clone(),
            not_before: None,
            metadata: Some(wire::Written { number: self.number, revocations: &self.entries }),
            wascap_revision: Some(REVISION),
        };
        let json = serde_json::to_vec(&claims).map_err(|source| TokenError::Json { part: "claims", source })?;
        Ok(jwt::sign_within(&json, signer, MAX_TOKEN)?)
    }

    fn check(&self) -> Result<(), RevocationError> {
        if self.lattice.is_empty() || self.lattice.len() > MAX_LATTICE || self.lattice.chars().any(char::is_control) {
            return Err(RevocationError::NotALattice { found: jwt::excerpt(&self.lattice) });
        }
        if self.number == 0 {
            return Err(RevocationError::NumberZero);
        }
        if self.entries.len() > MAX_ENTRIES {
            return Err(RevocationError::TooManyEntries { found: self.entries.len(), limit: MAX_ENTRIES });
        }
        let mut seen = HashSet::with_capacity(self.entries.len());
        for entry in &self.entries {
            entry.check()?;
            if !seen.insert(&entry.revoked) {
                return Err(RevocationError::Duplicate { revoked: entry.revoked });
            }
        }
        Ok(())
    }
}

/// Takes a signed list out of its token.
///
/// # Errors
/// When the text is no revocation list, is forged, is out of bounds, or names something twice.
pub fn verify(token: &str) -> Result<SignedRevocations, RevocationError> {
    let envelope = Envelope::open_within(token, MAX_TOKEN)?;
    let claims = Claims::<wire::Read>::parse_unkinded(&envelope.claims)?;
    if !envelope.is_signed_by(&claims.issuer)? {
        return Err(TokenError::SignatureInvalid { issuer: claims.issuer }.into());
    }
    let signer = Signer::try_from(claims.issuer)?;
    if claims.expires_at.is_some() || claims.not_before.is_some() {
        return Err(RevocationError::Timed);
    }
    let read = claims.metadata.ok_or(TokenError::NoMetadata)?;
    let list = RevocationList { lattice: claims.subject, number: read.number, entries: read.entries()? };
    list.check()?;
    Ok(SignedRevocations { signer, issued_at: claims.issued_at, list, token: token.to_owned() })
}

impl SignedRevocations {
    /// The entry by which an artifact is revoked, if there is one.
    ///
    /// A cluster key revokes anything. An account revokes only itself and what it issued; about the work of others its
    /// word counts nothing.
    pub fn names(&self, facts: &Facts<'_>) -> Option<&Entry> {
        if matches!(self.signer, Signer::Account(account) if account != facts.issuer) {
            return None;
        }
        self.list.entries.iter().find(|entry| entry.revoked.matches(facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyKind;

    #[test]
    fn the_golden_list_is_signed_byte_for_byte() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/revocations.json")).expect("vectors are JSON");
        for vector in golden.as_array().expect("a list of vectors") {
            let token = vector["jwt"].as_str().expect("a token");
            let signed = verify(token).expect("the golden token holds");
            let seed = vector["signer_seed"].as_str().expect("a seed");
            let signer = KeyPair::from_seed(seed).expect("the seed of the vector");
            let id = vector["claims"]["jti"].as_str().expect("an id").to_owned();
            assert_eq!(signed.list.sign_with_id(&signer, signed.issued_at, id).expect("signs"), token);
        }
    }

    #[test]
    fn the_largest_list_without_reasons_fits_and_reasons_may_be_too_much() {
        let cluster = KeyPair::from_raw_seed(KeyKind::Cluster, &[1; 32]);
        let entry = |number: usize, reason: &Option<String>| Entry {
            revoked: Revoked::Digest(Sha256::of(&number.to_le_bytes())),
            reason: reason.clone(),
            since: u64::MAX,
        };
        let list = |reason: Option<String>| RevocationList {
            lattice: "l".repeat(MAX_LATTICE),
            number: u64::MAX,
            entries: (0..MAX_ENTRIES).map(|number| entry(number, &reason)).collect(),
        };
        let token = list(None).sign(&cluster, u64::MAX).expect("fits");
        assert_eq!(verify(&token).expect("holds").list, list(None));
        let error = list(Some("r".repeat(MAX_REASON))).sign(&cluster, 1).expect_err("does not fit");
        assert!(matches!(error, RevocationError::TooLarge { limit: MAX_TOKEN, .. }), "{error}");
    }
}
