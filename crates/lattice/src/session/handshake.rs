//! How two hosts come to a session: a signed question and a signed answer.
//!
//! ```text
//! question  "LS" 1 1  parties  nonce[32]  key[32]  issued_at:u64  lifetime:u32                  signature[64]
//! answer    "LS" 1 2  parties  nonce[32] (asked)  nonce[32] (own)  key[32]  session[16]  lifetime:u32  signature[64]
//! refusal   "LS" 1 3  code:text8  sentence:text16
//! unknown   "LS" 1 4  lattice:text8  from:text8  cluster:text8  session[16]  number:u64         signature[64]
//! parties   lattice:text8  from:text8 (N…)  to:text8 (N…)  cluster:text8 (C…, of the sender)
//! ```
//!
//! A signature is Ed25519 by `cluster` over a domain (`lattice session v1 hello`, `… welcome`, `… unknown`, each with a
//! zero byte), for the answer then the SHA-256 of the whole question, then everything before the signature. The salt of
//! the keys is both nonces, the transcript the SHA-256 of question and answer. Invariants: trust, parties and time are
//! checked before anything is computed with a stranger's key.

use std::collections::BTreeSet;

use claims::{ClusterId, HostId, KeyPair};
use sha2::{Digest, Sha256};

use super::{
    Ephemeral, SessionError, SessionId, SessionKeys,
    envelope::{Kind, Parties, begin, open, sign, verify},
};
use crate::LatticeId;

/// Longest life of a session, in seconds.
pub const MAX_LIFETIME: u32 = 3600;
/// How far the clocks of two hosts may be apart, in seconds; a question is refused when it is seen again within that.
pub const MAX_APART: u64 = 90 * 60;

/// The question of the host that wants to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Between whom.
    pub parties: Parties,
    /// Makes it unlike any other.
    pub nonce: [u8; 32],
    key: [u8; 32],
    issued_at: u64,
    /// How long the session is to live, seconds.
    pub lifetime: u32,
}

/// What the asking side keeps until the answer is there.
pub struct Asked {
    parties: Parties,
    nonce: [u8; 32],
    ephemeral: Ephemeral,
    digest: [u8; 32],
}

/// A session, as either side has it after the handshake.
pub struct Granted {
    /// Its name.
    pub session: SessionId,
    /// The host on the other side.
    pub host: HostId,
    /// The cluster key that stands for it.
    pub issuer: ClusterId,
    /// Seconds it lives.
    pub lifetime: u32,
    /// Its keys.
    pub keys: SessionKeys,
}

/// What can be seen of a question without any computing, for whoever must tell many forged ones from few honest ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance<'m> {
    /// The asking host, as the question says.
    pub from: &'m str,
    /// The cluster key that stands for it; a trusted one.
    pub cluster: ClusterId,
    /// Makes the question unlike any other.
    pub nonce: [u8; 32],
    /// When it was made, seconds since 1970.
    pub issued_at: u64,
}

impl<'m> Glance<'m> {
    /// Looks whether a question is one for this host, in the name of a trusted key, and of this time.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn at(
        message: &'m [u8],
        lattice: &LatticeId,
        own: &HostId,
        trusted: &BTreeSet<ClusterId>,
        now: u64,
    ) -> Result<Self, SessionError> {
        let (mut reader, _) = open(message, Kind::Hello)?;
        let [to_lattice, from, to, cluster] = [reader.text8()?, reader.text8()?, reader.text8()?, reader.text8()?];
        if to_lattice != lattice.as_str() {
            return Err(SessionError::Lattice);
        }
        if to != own.as_str() || from == own.as_str() {
            return Err(SessionError::Host);
        }
        let found = trusted.iter().find(|issuer| issuer.as_str() == cluster).copied();
        let Some(cluster) = found else {
            // Only a key is worth a sentence.
            let issuer: ClusterId = cluster.parse().map_err(|_| reader.malformed("the cluster key is none"))?;
            return Err(SessionError::UntrustedIssuer { issuer: issuer.to_string() });
        };
        let (nonce, _, issued_at) = (reader.array()?, reader.array::<32>()?, reader.u64()?);
        if issued_at.abs_diff(now) > MAX_APART {
            return Err(SessionError::Time);
        }
        Ok(Self { from, cluster, nonce, issued_at })
    }
}

impl Hello {
    /// Asks for a session. `now` is in seconds since 1970.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    #[must_use]
    pub fn ask(parties: Parties, lifetime: u32, cluster: &KeyPair, now: u64) -> (Vec<u8>, Asked) {
        let ephemeral = Ephemeral::generate();
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).expect("the operating system provides randomness");
        let mut message = begin(Kind::Hello);
        parties.put(&mut message);
        message.extend_from_slice(&nonce);
        message.extend_from_slice(&ephemeral.public());
        message.extend_from_slice(&now.to_be_bytes());
        message.extend_from_slice(&lifetime.to_be_bytes());
        let message = sign(message, Kind::Hello, &[], cluster);
        let digest = Sha256::digest(&message).into();
        (message, Asked { parties, nonce, ephemeral, digest })
    }

    /// Reads a question without believing it.
    ///
    /// # Errors
    /// [`SessionError::Malformed`] and the like.
    pub fn decode(message: &[u8]) -> Result<Self, SessionError> {
        let (mut reader, _) = open(message, Kind::Hello)?;
        let hello = Self {
            parties: Parties::read(&mut reader)?,
            nonce: reader.array()?,
            key: reader.array()?,
            issued_at: reader.u64()?,
            lifetime: reader.u32()?,
        };
        reader.end()?;
        Ok(hello)
    }

    /// Reads a question and checks everything but that it is new: lattice, hosts, trust, time and signature.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn accept(
        message: &[u8],
        lattice: &LatticeId,
        own: &HostId,
        trusted: &BTreeSet<ClusterId>,
        now: u64,
    ) -> Result<Self, SessionError> {
        let hello = Self::decode(message)?;
        hello.parties.check(lattice, own, trusted)?;
        if hello.issued_at.abs_diff(now) > MAX_APART {
            return Err(SessionError::Time);
        }
        let (_, signature) = open(message, Kind::Hello)?;
        verify(message, Kind::Hello, &[], &hello.parties.cluster, signature)?;
        Ok(hello)
    }

    /// Grants the session: the answer to send, and the session. `message` is the question as it came.
    ///
    /// # Errors
    /// [`SessionError::WeakKey`].
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    pub fn grant(
        &self,
        message: &[u8],
        cluster: &KeyPair,
        cluster_id: ClusterId,
    ) -> Result<(Vec<u8>, Granted), SessionError> {
        let Parties { lattice, from, to, cluster: issuer } = self.parties.clone();
        let (ephemeral, session) = (Ephemeral::generate(), SessionId::random());
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).expect("the operating system provides randomness");
        let lifetime = self.lifetime.min(MAX_LIFETIME);
        let asked: [u8; 32] = Sha256::digest(message).into();
        let mut answer = begin(Kind::Welcome);
        Parties { lattice, from: to, to: from, cluster: cluster_id }.put(&mut answer);
        answer.extend_from_slice(&self.nonce);
        answer.extend_from_slice(&nonce);
        answer.extend_from_slice(&ephemeral.public());
        answer.extend_from_slice(&session.0);
        answer.extend_from_slice(&lifetime.to_be_bytes());
        let answer = sign(answer, Kind::Welcome, &asked, cluster);
        let shared = ephemeral.agree(&self.key)?;
        let keys = SessionKeys::derive(&shared, &[self.nonce, nonce].concat(), &transcript(&asked, &answer));
        Ok((answer, Granted { session, host: from, issuer, lifetime, keys }))
    }
}

fn transcript(asked: &[u8; 32], answer: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(asked).chain_update(Sha256::digest(answer)).finalize().into()
}

/// The answer of the host that will be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Between whom.
    pub parties: Parties,
    asked: [u8; 32],
    nonce: [u8; 32],
    key: [u8; 32],
    /// The session.
    pub session: SessionId,
    /// Seconds it lives.
    pub lifetime: u32,
}

impl Welcome {
    /// Reads an answer without believing it.
    ///
    /// # Errors
    /// [`SessionError::Malformed`] and the like.
    pub fn decode(message: &[u8]) -> Result<Self, SessionError> {
        let (mut reader, _) = open(message, Kind::Welcome)?;
        let welcome = Self {
            parties: Parties::read(&mut reader)?,
            asked: reader.array()?,
            nonce: reader.array()?,
            key: reader.array()?,
            session: SessionId(reader.array()?),
            lifetime: reader.u32()?,
        };
        reader.end()?;
        Ok(welcome)
    }
}

impl Asked {
    /// Takes the answer: checks that it belongs to the question, who gave it, and its signature.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn granted(self, message: &[u8], trusted: &BTreeSet<ClusterId>) -> Result<Granted, SessionError> {
        let welcome = Welcome::decode(message)?;
        let ours = &self.parties;
        welcome.parties.check(&ours.lattice, &ours.from, trusted)?;
        if welcome.parties.from != ours.to {
            return Err(SessionError::Host);
        }
        if welcome.asked != self.nonce {
            return Err(SessionError::OtherHandshake);
        }
        let (_, signature) = open(message, Kind::Welcome)?;
        verify(message, Kind::Welcome, &self.digest, &welcome.parties.cluster, signature)?;
        let shared = self.ephemeral.agree(&welcome.key)?;
        let salt = [self.nonce, welcome.nonce].concat();
        let keys = SessionKeys::derive(&shared, &salt, &transcript(&self.digest, message));
        Ok(Granted {
            session: welcome.session,
            host: welcome.parties.from,
            issuer: welcome.parties.cluster,
            lifetime: welcome.lifetime.min(MAX_LIFETIME),
            keys,
        })
    }
}
