//! Which lists a host believes: a signature that holds, of a signer that may revoke, for this lattice.
//!
//! Whoever brought a list does not matter. An account needs no trust: its word counts only about what it issued itself.

use std::collections::BTreeSet;

use claims::{
    ClusterId,
    revocation::{self, RevocationError, SignedRevocations, Signer},
};
use lattice::LatticeId;

use super::key_of;

/// Whom this host believes.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Its lattice.
    pub lattice: LatticeId,
    /// Cluster keys it trusts.
    pub clusters: BTreeSet<ClusterId>,
}

/// Why a list is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Unacceptable {
    /// It is none, is forged, or is out of bounds.
    #[error("this is no valid revocation list")]
    Invalid(#[from] RevocationError),
    /// It is about another lattice.
    #[error("the list is for lattice `{found}`, and this is `{here}`")]
    OtherLattice {
        /// What it is for.
        found: String,
        /// Where it came.
        here: LatticeId,
    },
    /// Its signer is a cluster key this host does not trust.
    #[error("`{signer}` is no cluster key this host trusts; name it with `--cluster-issuers`, or sign with another")]
    UntrustedSigner {
        /// The signer.
        signer: Signer,
    },
    /// It stands under a key that is not its own.
    #[error("the list does not belong under this key")]
    OtherKey,
}

impl Unacceptable {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(source) => source.code(),
            Self::OtherLattice { .. } => "revocations_of_another_lattice",
            Self::UntrustedSigner { .. } => "untrusted_revocation_signer",
            Self::OtherKey => "misplaced_revocations",
        }
    }
}

impl Trust {
    /// Reads a list and decides whether to believe it. Takes time for a large one.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub fn judge(&self, token: &str) -> Result<SignedRevocations, Unacceptable> {
        let signed = revocation::verify(token)?;
        if signed.list.lattice != self.lattice.to_string() {
            return Err(Unacceptable::OtherLattice { found: signed.list.lattice, here: self.lattice.clone() });
        }
        match signed.signer {
            Signer::Cluster(id) if !self.clusters.contains(&id) => {
                Err(Unacceptable::UntrustedSigner { signer: signed.signer })
            }
            _ => Ok(signed),
        }
    }

    /// The same for a list that was kept under a key.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub fn judge_kept(&self, key: &str, token: &[u8]) -> Result<SignedRevocations, Unacceptable> {
        let signed = self.judge(&String::from_utf8_lossy(token))?;
        if key_of(&signed) == key { Ok(signed) } else { Err(Unacceptable::OtherKey) }
    }
}

#[cfg(test)]
mod tests {
    use claims::{KeyKind, KeyPair, revocation::RevocationList};

    use super::*;

    #[test]
    fn every_list_that_is_not_believed_has_its_reason() {
        let (trusted, stranger) = (KeyPair::generate(KeyKind::Cluster), KeyPair::generate(KeyKind::Cluster));
        let account = KeyPair::generate(KeyKind::Account);
        let clusters = BTreeSet::from([trusted.public().try_into().expect("a cluster key")]);
        let trust = Trust { lattice: LatticeId::default(), clusters };
        let list = |lattice: &str, signer: &KeyPair| {
            RevocationList { lattice: lattice.to_owned(), number: 1, entries: vec![] }.sign(signer, 1).expect("signs")
        };
        let code = |token: &str| trust.judge(token).map_err(|error| error.code());
        assert!(code(&list("default", &trusted)).is_ok());
        assert!(code(&list("default", &account)).is_ok());
        assert_eq!(code(&list("default", &stranger)).err(), Some("untrusted_revocation_signer"));
        assert_eq!(code(&list("other", &trusted)).err(), Some("revocations_of_another_lattice"));
        let mut forged = list("default", &trusted).into_bytes();
        let at = forged.len() - 86; // the first character of the signature holds no padding bits
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(code(&String::from_utf8(forged).expect("text")).err(), Some("signature_invalid"));

        let signed = trust.judge(&list("default", &trusted)).expect("believed");
        let kept = |key: &str, token: &[u8]| trust.judge_kept(key, token).map_err(|error| error.code());
        assert!(kept(&key_of(&signed), signed.token.as_bytes()).is_ok());
        assert_eq!(kept("elsewhere", signed.token.as_bytes()).err(), Some("misplaced_revocations"));
        assert!(kept(&key_of(&signed), b"\xff\xfe").is_err());
    }
}
