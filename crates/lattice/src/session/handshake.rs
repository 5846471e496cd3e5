//! How two hosts come to a session: a signed question, a signed answer, or a refusal.
//!
//! ```text
//! question  "LS" 1 1  parties  nonce[32]  key[32]  issued_at:u64  lifetime:u32                  signature[64]
//! answer    "LS" 1 2  parties  nonce[32] (asked)  nonce[32] (own)  key[32]  session[16]  lifetime:u32  signature[64]
//! refusal   "LS" 1 3  code:text8  sentence:text16
//! unknown   "LS" 1 4  lattice:text8  from:text8  cluster:text8  session[16]  number:u64                                          signature[64]
//! parties   lattice:text8  from:text8 (N…)  to:text8 (N…)  cluster:text8 (C…, of the sender)
//! ```
//!
//! A signature is Ed25519 by `cluster` over a domain (`lattice session v1 hello`, `… welcome`, `… unknown`, each with a
//! zero byte), for the answer then the SHA-256 of the whole question, then everything before the signature. The salt of
//! the keys is both nonces, the transcript the SHA-256 of question and answer. Invariants: trust, parties and time are
//! checked before anything is computed with a stranger's key; a refusal is a hint and never a reason to call again.

use std::collections::BTreeSet;

use claims::{ClusterId, HostId, KeyPair};
use sha2::{Digest, Sha256};

use super::{
    Ephemeral, SessionError, SessionId, SessionKeys, VERSION,
    reader::{Reader, put_text8, put_text16},
};
use crate::LatticeId;

/// Longest life of a session, in seconds.
pub const MAX_LIFETIME: u32 = 3600;
/// How far the clocks of two hosts may be apart, in seconds; a question is refused when it is seen again within that.
pub const MAX_APART: u64 = 90 * 60;

const MAGIC: [u8; 2] = *b"LS";
const SIGNATURE: usize = 64;
/// No handshake is longer.
const MAX_BYTES: usize = 2048;

/// Which handshake message this is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Hello = 1,
    Welcome = 2,
    Refusal = 3,
    Unknown = 4,
}

impl Kind {
    fn domain(self) -> &'static [u8] {
        match self {
            Self::Hello => b"lattice session v1 hello\0",
            Self::Welcome => b"lattice session v1 welcome\0",
            Self::Refusal => b"lattice session v1 refusal\0",
            Self::Unknown => b"lattice session v1 unknown\0",
        }
    }
}

/// Between whom, as the sender says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// The lattice.
    pub lattice: LatticeId,
    /// The sender.
    pub from: HostId,
    /// The receiver.
    pub to: HostId,
    /// The cluster key of the sender, which signs.
    pub cluster: ClusterId,
}

impl Parties {
    fn put(&self, to: &mut Vec<u8>) {
        for text in [self.lattice.as_str(), self.from.as_str(), self.to.as_str(), self.cluster.as_str()] {
            put_text8(to, text);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, SessionError> {
        Ok(Self {
            lattice: reader.id("the lattice is none")?,
            from: reader.id("the sender is no host")?,
            to: reader.id("the receiver is no host")?,
            cluster: reader.id("the cluster key is none")?,
        })
    }

    /// What the receiver of a message must find in it: a trusted host of the same lattice that means the receiver.
    fn check(&self, lattice: &LatticeId, own: &HostId, trusted: &BTreeSet<ClusterId>) -> Result<(), SessionError> {
        if self.lattice != *lattice {
            return Err(SessionError::Lattice);
        }
        if self.to != *own || self.from == *own {
            return Err(SessionError::Host);
        }
        if !trusted.contains(&self.cluster) {
            return Err(SessionError::UntrustedIssuer { issuer: self.cluster.to_string() });
        }
        Ok(())
    }
}

fn begin(kind: Kind) -> Vec<u8> {
    let mut message = Vec::with_capacity(512);
    message.extend_from_slice(&MAGIC);
    message.extend_from_slice(&[VERSION, kind as u8]);
    message
}

fn sign(mut message: Vec<u8>, kind: Kind, context: &[u8], cluster: &KeyPair) -> Vec<u8> {
    let signature = cluster.sign(&[kind.domain(), context, &message].concat());
    message.extend_from_slice(&signature);
    message
}

/// The body of a message of this kind, ready to be read, and its signature.
fn open(message: &[u8], kind: Kind) -> Result<(Reader<'_>, &[u8]), SessionError> {
    let mut reader = Reader::new("handshake", message);
    if message.len() > MAX_BYTES {
        return Err(SessionError::TooLarge);
    }
    if reader.array()? != MAGIC {
        return Err(reader.malformed("it is none"));
    }
    let version = reader.u8()?;
    if version != VERSION {
        return Err(SessionError::Version { found: version });
    }
    if reader.u8()? != kind as u8 {
        return Err(reader.malformed("it is of another kind"));
    }
    if kind == Kind::Refusal {
        return Ok((reader, &[]));
    }
    let body = message.len().checked_sub(SIGNATURE + 4).ok_or_else(|| reader.malformed("it ends early"))?;
    let fields = reader.slice(body)?;
    let signature = reader.slice(SIGNATURE)?;
    Ok((Reader::new("handshake", fields), signature))
}

fn verify(
    message: &[u8],
    kind: Kind,
    context: &[u8],
    cluster: &ClusterId,
    signature: &[u8],
) -> Result<(), SessionError> {
    let signed = &message[..message.len() - SIGNATURE];
    let whole = [kind.domain(), context, signed].concat();
    cluster.public_key().verify(&whole, signature).map_err(|_| SessionError::Signature)
}

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

/// Why there is no session. Not signed: whoever gets it calls as if there were no sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// [`SessionError::code`].
    pub code: String,
    /// For people.
    pub sentence: String,
}

impl Refusal {
    /// The refusal that says what was wrong.
    #[must_use]
    pub fn of(error: &SessionError) -> Self {
        Self { code: error.code().to_owned(), sentence: error.to_string() }
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut message = begin(Kind::Refusal);
        put_text8(&mut message, &self.code);
        put_text16(&mut message, super::reader::cut(&self.sentence, 1024));
        message
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`SessionError::Malformed`] and the like.
    pub fn decode(message: &[u8]) -> Result<Self, SessionError> {
        let (mut reader, _) = open(message, Kind::Refusal)?;
        let refusal = Self { code: reader.text8()?.to_owned(), sentence: reader.text16()?.to_owned() };
        reader.end()?;
        Ok(refusal)
    }
}

/// The signed word of a host that it does not know a session, and has carried out nothing of one batch of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The lattice.
    pub lattice: LatticeId,
    /// Who says so.
    pub from: HostId,
    /// The cluster key of that host, which signs.
    pub cluster: ClusterId,
    /// The session that is not known.
    pub session: SessionId,
    /// The batch that was not carried out.
    pub number: u64,
}

impl Unknown {
    /// Encodes and signs it.
    #[must_use]
    pub fn encode(&self, cluster: &KeyPair) -> Vec<u8> {
        let mut message = begin(Kind::Unknown);
        for text in [self.lattice.as_str(), self.from.as_str(), self.cluster.as_str()] {
            put_text8(&mut message, text);
        }
        message.extend_from_slice(&self.session.0);
        message.extend_from_slice(&self.number.to_be_bytes());
        sign(message, Kind::Unknown, &[], cluster)
    }

    /// Reads it without believing it.
    ///
    /// # Errors
    /// [`SessionError::Malformed`] and the like.
    pub fn decode(message: &[u8]) -> Result<Self, SessionError> {
        let (mut reader, _) = open(message, Kind::Unknown)?;
        let unknown = Self {
            lattice: reader.id("the lattice is none")?,
            from: reader.id("the sender is no host")?,
            cluster: reader.id("the cluster key is none")?,
            session: SessionId(reader.array()?),
            number: reader.u64()?,
        };
        reader.end()?;
        Ok(unknown)
    }

    /// Reads it and checks that it is about this batch, from this host, with a signature that counts.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn accept(
        message: &[u8],
        (lattice, host): (&LatticeId, &HostId),
        (session, number): (SessionId, u64),
        trusted: &BTreeSet<ClusterId>,
    ) -> Result<Self, SessionError> {
        let unknown = Self::decode(message)?;
        if unknown.lattice != *lattice {
            return Err(SessionError::Lattice);
        }
        if unknown.from != *host {
            return Err(SessionError::Host);
        }
        if (unknown.session, unknown.number) != (session, number) {
            return Err(SessionError::OtherHandshake);
        }
        if !trusted.contains(&unknown.cluster) {
            return Err(SessionError::UntrustedIssuer { issuer: unknown.cluster.to_string() });
        }
        let (_, signature) = open(message, Kind::Unknown)?;
        verify(message, Kind::Unknown, &[], &unknown.cluster, signature)?;
        Ok(unknown)
    }
}
