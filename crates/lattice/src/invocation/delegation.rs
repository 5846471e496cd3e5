//! A key that is trusted for the calls of one provider alone, and the word of a cluster key that says so.
//!
//! A provider process that can speak for itself only needs no cluster seed. Its host makes a key for each process and
//! signs which provider it stands for; the statement travels beside every call in a message header, which hosts of others
//! ignore: they do not know the key and refuse, and the process then asks its own host to make the call. Pure; the clock is
//! an argument. Invariant: a delegated key counts for the origin in its statement, in its lattice, until its end.

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
};

use claims::{Claims, ClusterId, DelegationMetadata, KeyPair, TokenError};

use super::{Entity, InvocationError};
use crate::LatticeId;

/// Message header of a call: the statement for the key that signed it.
pub const DELEGATION_HEADER: &str = "Lattice-Delegation";
/// How long a statement holds unless its host is told otherwise, in seconds. Hosts send a new one with every health check.
pub const DELEGATION_LIFETIME: u64 = 24 * 3600;

/// In the executable of a provider that signs with a delegated key: its host gives it one, and no cluster seed.
pub static OWN_KEY_MARK: Mark = Mark(*b"lattice provider: own key, v1  \n");
/// Longest statement that is read.
const MAX_STATEMENT: usize = 4096;
/// Statements that are known by heart; more are checked every time.
const MAX_KNOWN: usize = 1024;

/// Bytes at a multiple of sixteen, so that they are found quickly.
#[repr(C, align(16))]
pub struct Mark(pub [u8; 32]);

impl Mark {
    /// Whether an executable, read from its beginning, has it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_in(&self, executable: impl Read) -> io::Result<bool> {
        let (first, second) = self.0.split_at(16);
        let mut executable = BufReader::with_capacity(1 << 16, executable);
        let (mut piece, mut begins) = ([0; 16], false);
        loop {
            match executable.read_exact(&mut piece) {
                Ok(()) if begins && piece == second => return Ok(true),
                Ok(()) => begins = piece == first,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A key and the only caller it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The key.
    pub key: ClusterId,
    /// The caller.
    pub origin: Entity,
    /// The last second of it, since 1970.
    pub expires_at: u64,
}

impl Delegation {
    /// Signs that `key` stands for `origin` from now on, for so many seconds.
    ///
    /// # Errors
    /// [`TokenError`] when `cluster` is not a cluster key.
    pub fn issue(
        key: &ClusterId,
        origin: &Entity,
        lattice: &LatticeId,
        cluster: &KeyPair,
        (now, lifetime): (u64, u64),
    ) -> Result<String, TokenError> {
        let metadata = DelegationMetadata { origin_url: origin.url(), delegated_in: lattice.to_string() };
        let mut claims = Claims::new(cluster.public(), key.to_string(), metadata, now);
        claims.expires_at = Some(now.saturating_add(lifetime));
        claims.sign(cluster)
    }

    /// Reads a statement about the caller of a call and checks it: cheap things first.
    ///
    /// # Errors
    /// [`InvocationError`].
    pub fn verify(
        statement: &str,
        origin: &Entity,
        lattice: &LatticeId,
        now: u64,
        trusted: &BTreeSet<ClusterId>,
    ) -> Result<Self, InvocationError> {
        if statement.len() > MAX_STATEMENT {
            return Err(InvocationError::Delegation { reason: "it is too long" });
        }
        let claims = Claims::<DelegationMetadata>::verify_after(statement, |claims| {
            claims.check_times(now)?;
            let issuer = ClusterId::try_from(claims.issuer).ok().filter(|issuer| trusted.contains(issuer));
            issuer.ok_or(InvocationError::UntrustedIssuer { issuer: claims.issuer })?;
            match &claims.metadata {
                Some(said) if said.delegated_in != lattice.as_str() => {
                    Err(InvocationError::Delegation { reason: "it is for another lattice" })
                }
                Some(said) if said.origin_url == origin.url() => Ok(()),
                _ => Err(InvocationError::Delegation { reason: "it is for another caller" }),
            }
        })?;
        let key = claims.subject.parse().map_err(|_| InvocationError::Delegation { reason: "it names no key" })?;
        let expires_at = claims.expires_at.ok_or(InvocationError::Delegation { reason: "it has no end" })?;
        Ok(Self { key, origin: origin.clone(), expires_at })
    }
}

/// Statements that were checked, so that a call of a key that was seen costs no second signature.
#[derive(Debug, Default)]
pub struct Delegations(Mutex<HashMap<ClusterId, Known>>);

#[derive(Debug, Clone)]
struct Known {
    statement: Arc<str>,
    delegation: Arc<Delegation>,
}

impl Delegations {
    /// The key that may sign for `origin` by this statement.
    ///
    /// # Errors
    /// [`InvocationError`].
    pub fn check(
        &self,
        statement: &str,
        signer: &ClusterId,
        origin: &Entity,
        lattice: &LatticeId,
        now: u64,
        trusted: &BTreeSet<ClusterId>,
    ) -> Result<(), InvocationError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(signer).cloned();
        if let Some(Known { statement: same, delegation }) = known
            && (&*same, &delegation.origin) == (statement, origin)
            && now <= delegation.expires_at
        {
            return Ok(());
        }
        let delegation = Delegation::verify(statement, origin, lattice, now, trusted)?;
        if delegation.key != *signer {
            return Err(InvocationError::Delegation { reason: "it is for another key" });
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.retain(|_, known| now <= known.delegation.expires_at);
        }
        if known.len() < MAX_KNOWN || known.contains_key(signer) {
            known.insert(*signer, Known { statement: statement.into(), delegation: Arc::new(delegation) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use claims::KeyKind;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key() -> (KeyPair, ClusterId) {
        let pair = KeyPair::generate(KeyKind::Cluster);
        let id = pair.public().try_into().expect("a cluster key");
        (pair, id)
    }

    fn provider(link_name: &str) -> Entity {
        Entity { public_key: "VABC".to_owned(), link_name: link_name.to_owned(), contract_id: "acme:things".to_owned() }
    }

    #[test]
    fn a_statement_holds_for_its_key_its_caller_its_lattice_and_its_time() {
        let ((cluster, id), (stranger, _), (_, own), (_, other)) = (key(), key(), key(), key());
        let (trusted, here) = (BTreeSet::from([id]), "here".parse::<LatticeId>().expect("a lattice"));
        let there = "there".parse().expect("a lattice");
        let (good, forged) = [&cluster, &stranger]
            .map(|cluster| {
                Delegation::issue(&own, &provider("a"), &here, cluster, (NOW, DELEGATION_LIFETIME)).expect("signed")
            })
            .into();
        let known = Delegations::default();
        let check = |statement: &str, key, origin: &Entity, lattice, now| {
            known.check(statement, key, origin, lattice, now, &trusted).map_err(|error| error.code())
        };
        for _ in 0..2 {
            assert_eq!(check(&good, &own, &provider("a"), &here, NOW), Ok(()));
            assert_eq!(check(&good, &own, &provider("b"), &here, NOW), Err("delegation"));
            assert_eq!(check(&good, &other, &provider("a"), &here, NOW), Err("delegation"));
            assert_eq!(check(&good, &own, &provider("a"), &there, NOW).err(), None, "the lattice of a host is one");
            assert_eq!(check(&good, &own, &provider("a"), &here, NOW + DELEGATION_LIFETIME + 1), Err("expired"));
            assert_eq!(check(&forged, &own, &provider("a"), &here, NOW), Err("untrusted_issuer"));
        }
        let fresh = Delegations::default();
        let elsewhere = fresh.check(&good, &own, &provider("a"), &there, NOW, &trusted);
        assert_eq!(elsewhere.map_err(|error| error.code()), Err("delegation"));
        for bad in ["", "a.b.c", &"x".repeat(1 << 20)] {
            assert!(check(bad, &own, &provider("a"), &here, NOW).is_err());
        }
    }

    #[test]
    fn what_is_known_by_heart_is_bounded() {
        let ((cluster, id), lattice, known) = (key(), LatticeId::default(), Delegations::default());
        let trusted = BTreeSet::from([id]);
        for _ in 0..MAX_KNOWN + 10 {
            let (_, own) = key();
            let statement = Delegation::issue(&own, &provider("a"), &lattice, &cluster, (NOW, DELEGATION_LIFETIME))
                .expect("signed");
            known.check(&statement, &own, &provider("a"), &lattice, NOW, &trusted).expect("it holds");
        }
        assert_eq!(known.0.lock().expect("not poisoned").len(), MAX_KNOWN);
    }

    #[test]
    fn the_mark_is_found_at_any_multiple_of_sixteen() {
        let mut executable = vec![7; 4096];
        let is_in = |executable: &[u8]| OWN_KEY_MARK.is_in(executable).expect("bytes can be read");
        assert!(!is_in(&executable));
        executable[4064..].copy_from_slice(&OWN_KEY_MARK.0);
        assert!(is_in(&executable));
        assert!(!is_in(&executable[..4090]));
        assert_eq!(std::ptr::from_ref(&OWN_KEY_MARK) as usize % 16, 0);
    }
}
