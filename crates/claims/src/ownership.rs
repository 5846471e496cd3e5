//! Ownership: to which account the id of an actor or provider belongs, in signed words.
//!
//! Anybody can sign claims about any id, so who may use it is decided by who came first, and changed by a word of that
//! account or of a cluster key. Two tokens: a [`Transfer`] is what an owner or operator asks for; a [`Record`] is what a
//! host of the lattice has decided, signed by its cluster key. Knows the tokens; who came first and whom to believe is
//! for the host. Invariants: neither is ever taken for the other; of two records about one id every host prefers the
//! same, see [`Record::replaces`].

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::id::{AccountId, ClusterId};
use crate::jwt::{self, Envelope};
use crate::key::{KeyKind, KeyPair, PublicKey};
use crate::revocation::{MAX_LATTICE, Signer};
use crate::token::{Claims, REVISION, TokenError, new_token_id};

/// Bytes of either token.
pub const MAX_OWNERSHIP_TOKEN: usize = 4096;

/// What its owner, or an operator, asks for: this id shall belong to another account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The lattice it is for.
    pub lattice: String,
    /// The actor or provider.
    pub subject: PublicKey,
    /// Who shall own it.
    pub to: AccountId,
    /// Milliseconds since 1970 at which it was signed: what is older than the ownership it changes does nothing.
    pub at: u64,
}

/// What the hosts of a lattice have decided about one id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The lattice it is for.
    pub lattice: String,
    /// The actor or provider.
    pub subject: PublicKey,
    /// Who owns it.
    pub owner: AccountId,
    /// 1 for whoever came first; one more for each transfer.
    pub number: u64,
    /// Milliseconds since 1970 at which this was decided.
    pub at: u64,
}

/// A token with a signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T, S> {
    /// Who signed it.
    pub signer: S,
    /// What was signed.
    pub content: T,
    /// The token as it came.
    pub token: String,
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// Forged, damaged, of another kind.
    #[error("the statement of ownership does not hold")]
    Token(#[from] TokenError),
    /// Signed by a key that decides nothing.
    #[error("`{signer}` is a key of kind `{}`: ownership is moved by the account that owns, or by a cluster key", signer.kind())]
    WrongSigner {
        /// The key.
        signer: PublicKey,
    },
    /// Only actors and providers are owned.
    #[error("`{subject}` is a key of kind `{}`: actors and providers are owned", subject.kind())]
    WrongSubject {
        /// The key.
        subject: PublicKey,
    },
    /// Its subject cannot be the name of a lattice.
    #[error("`{found}` is not the name of a lattice")]
    NotALattice {
        /// The subject.
        found: String,
    },
    /// It has an `exp` or `nbf`.
    #[error("a statement of ownership has no `exp` or `nbf`: it holds until the next")]
    Timed,
    /// Numbers start at 1.
    #[error("the number of a record of ownership is at least 1")]
    NumberZero,
}

impl OwnershipError {
    /// Stable word for logs and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(source) => source.code(),
            Self::WrongSigner { .. } => "wrong_ownership_signer",
            Self::WrongSubject { .. } => "wrong_ownership_subject",
            Self::NotALattice { .. } => "not_a_lattice",
            Self::Timed => "timed_ownership",
            Self::NumberZero => "ownership_number_zero",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct TransferWire {
    of: PublicKey,
    to: AccountId,
    at: u64,
}

#[derive(Serialize, Deserialize)]
struct RecordWire {
    of: PublicKey,
    owner: AccountId,
    number: u64,
    at: u64,
}

impl Transfer {
    /// Signs it: with the key of the account that owns, or with a cluster key.
    ///
    /// # Errors
    /// When the key is of another kind, or the lattice or subject cannot be one.
    pub fn sign(&self, signer: &KeyPair) -> Result<String, OwnershipError> {
        check_signer(signer.public())?;
        sign(&self.lattice, TransferWire { of: self.subject, to: self.to, at: self.at }, self.at, signer)
    }

    /// Takes one out of its token.
    ///
    /// # Errors
    /// When the text is none, is forged or out of bounds.
    pub fn verify(token: &str) -> Result<Signed<Self, Signer>, OwnershipError> {
        let (lattice, issuer, wire) = open::<TransferWire>(token)?;
        check(&lattice, wire.of)?;
        let content = Self { lattice, subject: wire.of, to: wire.to, at: wire.at };
        Ok(Signed { signer: check_signer(issuer)?, content, token: token.to_owned() })
    }
}

impl Record {
    /// Signs it with a cluster key.
    ///
    /// # Errors
    /// As [`Transfer::sign`].
    pub fn sign(&self, cluster: &KeyPair) -> Result<String, OwnershipError> {
        if cluster.kind() != KeyKind::Cluster {
            return Err(OwnershipError::WrongSigner { signer: cluster.public() });
        }
        let wire = RecordWire { of: self.subject, owner: self.owner, number: self.number, at: self.at };
        sign(&self.lattice, wire, self.at, cluster)
    }

    /// Takes one out of its token.
    ///
    /// # Errors
    /// As [`Transfer::verify`].
    pub fn verify(token: &str) -> Result<Signed<Self, ClusterId>, OwnershipError> {
        let (lattice, issuer, wire) = open::<RecordWire>(token)?;
        check(&lattice, wire.of)?;
        if wire.number == 0 {
            return Err(OwnershipError::NumberZero);
        }
        let signer = issuer.try_into().map_err(|_| OwnershipError::WrongSigner { signer: issuer })?;
        let RecordWire { of: subject, owner, number, at } = wire;
        Ok(Signed { signer, content: Self { lattice, subject, owner, number, at }, token: token.to_owned() })
    }

    /// Whether this one counts where the other was in force: the later decision; of two first comers the earlier; of two
    /// transfers of one ownership the later. Total and the same on every host, so that all end with one record.
    pub fn replaces(&self, other: &Self) -> bool {
        let rank = |record: &Self| {
            let at = if record.number == 1 { u64::MAX - record.at } else { record.at };
            (record.number, at, record.owner)
        };
        rank(self) > rank(other)
    }
}

fn check_signer(signer: PublicKey) -> Result<Signer, OwnershipError> {
    Signer::try_from(signer).map_err(|_| OwnershipError::WrongSigner { signer })
}

fn check(lattice: &str, subject: PublicKey) -> Result<(), OwnershipError> {
    if lattice.is_empty() || lattice.len() > MAX_LATTICE || lattice.chars().any(char::is_control) {
        return Err(OwnershipError::NotALattice { found: jwt::excerpt(lattice) });
    }
    match subject.kind() {
        KeyKind::Module | KeyKind::Service => Ok(()),
        _ => Err(OwnershipError::WrongSubject { subject }),
    }
}

fn sign<W: Serialize + Subject>(
    lattice: &str,
    wire: W,
    at_ms: u64,
    signer: &KeyPair,
) -> Result<String, OwnershipError> {
    check(lattice, wire.subject())?;
    let claims = Claims {
        expires_at: None,
        id: new_token_id(),
        issued_at: at_ms / 1000,
        issuer: signer.public(),
        subject: lattice.to_owned(),
        not_before: None,
        metadata: Some(wire),
        wascap_revision: Some(REVISION),
    };
    let json = serde_json::to_vec(&claims).map_err(|source| TokenError::Json { part: "claims", source })?;
    Ok(jwt::sign_within(&json, signer, MAX_OWNERSHIP_TOKEN)?)
}

/// What both members name.
trait Subject {
    fn subject(&self) -> PublicKey;
}

impl Subject for TransferWire {
    fn subject(&self) -> PublicKey {
        self.of
    }
}

impl Subject for RecordWire {
    fn subject(&self) -> PublicKey {
        self.of
    }
}

/// Lattice, issuer and member of a token whose signature holds.
fn open<W: DeserializeOwned>(token: &str) -> Result<(String, PublicKey, W), OwnershipError> {
    let envelope = Envelope::open_within(token, MAX_OWNERSHIP_TOKEN)?;
    let claims = Claims::<W>::parse_unkinded(&envelope.claims)?;
    if !envelope.is_signed_by(&claims.issuer)? {
        return Err(TokenError::SignatureInvalid { issuer: claims.issuer }.into());
    }
    if claims.expires_at.is_some() || claims.not_before.is_some() {
        return Err(OwnershipError::Timed);
    }
    let wire = claims.metadata.ok_or(TokenError::NoMetadata)?;
    Ok((claims.subject, claims.issuer, wire))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(byte: u8) -> KeyPair {
        KeyPair::from_raw_seed(KeyKind::Account, &[byte; 32])
    }

    fn id(byte: u8) -> AccountId {
        account(byte).public().try_into().expect("an account")
    }

    fn actor() -> PublicKey {
        KeyPair::from_raw_seed(KeyKind::Module, &[9; 32]).public()
    }

    fn record(owner: AccountId, number: u64, at: u64) -> Record {
        Record { lattice: "default".to_owned(), subject: actor(), owner, number, at }
    }

    #[test]
    fn both_tokens_come_back_and_neither_is_the_other() {
        let cluster = KeyPair::from_raw_seed(KeyKind::Cluster, &[1; 32]);
        let transfer = Transfer { lattice: "default".to_owned(), subject: actor(), to: id(2), at: 1_700_000_000_123 };
        for signer in [&cluster, &account(1)] {
            let signed = Transfer::verify(&transfer.sign(signer).expect("signs")).expect("holds");
            assert_eq!((signed.content, signed.signer.public_key()), (transfer.clone(), signer.public()));
        }
        let token = record(id(2), 1, 5).sign(&cluster).expect("signs");
        assert_eq!(Record::verify(&token).expect("holds").content, record(id(2), 1, 5));
        assert!(Transfer::verify(&token).is_err());
        assert!(Record::verify(&transfer.sign(&cluster).expect("signs")).is_err());
        assert!(crate::revocation::verify(&token).is_err());
        let wrong = record(id(2), 1, 5).sign(&account(2)).map_err(|error| error.code());
        assert_eq!(wrong, Err("wrong_ownership_signer"));
        let host = KeyPair::from_raw_seed(KeyKind::Server, &[1; 32]);
        assert!(transfer.sign(&host).is_err());
        let of_account = Transfer { subject: account(3).public(), ..transfer };
        assert_eq!(of_account.sign(&cluster).map_err(|error| error.code()), Err("wrong_ownership_subject"));
    }

    #[test]
    fn a_forged_record_is_refused() {
        let cluster = KeyPair::from_raw_seed(KeyKind::Cluster, &[1; 32]);
        let token = record(id(2), 1, 5).sign(&cluster).expect("signs");
        let other = record(id(3), 1, 5).sign(&cluster).expect("signs");
        let (body, _) = token.rsplit_once('.').expect("a signature");
        let (_, signature) = other.rsplit_once('.').expect("a signature");
        let error = Record::verify(&format!("{body}.{signature}")).expect_err("forged");
        assert_eq!(error.code(), "signature_invalid");
    }

    #[test]
    fn every_host_prefers_the_same_record() {
        let (early, late) = (record(id(1), 1, 5), record(id(2), 1, 9));
        assert!(early.replaces(&late) && !late.replaces(&early));
        let moved = [record(id(2), 2, 20), record(id(3), 2, 30)];
        assert!(moved[1].replaces(&moved[0]) && moved[0].replaces(&early) && !early.replaces(&moved[0]));
        let equal = [record(id(1), 1, 5), record(id(2), 1, 5)];
        assert_ne!(equal[0].replaces(&equal[1]), equal[1].replaces(&equal[0]));
        assert!(!early.replaces(&early));
    }
}
