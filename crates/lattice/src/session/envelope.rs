//! What the messages of a handshake have in common: their beginning, who they are between, and their signature.
//!
//! Knows no message. Invariant: a signature stands for one kind of message, and for all of it.

use std::collections::BTreeSet;

use claims::{ClusterId, HostId, KeyPair};

use super::{
    SessionError, VERSION,
    reader::{Reader, put_text8},
};
use crate::LatticeId;

const MAGIC: [u8; 2] = *b"LS";
const SIGNATURE: usize = 64;
/// No handshake is longer.
const MAX_BYTES: usize = 2048;

/// Which handshake message this is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
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
    pub(super) fn put(&self, to: &mut Vec<u8>) {
        for text in [self.lattice.as_str(), self.from.as_str(), self.to.as_str(), self.cluster.as_str()] {
            put_text8(to, text);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, SessionError> {
        Ok(Self {
            lattice: reader.id("the lattice is none")?,
            from: reader.id("the sender is no host")?,
            to: reader.id("the receiver is no host")?,
            cluster: reader.id("the cluster key is none")?,
        })
    }

    /// What the receiver of a message must find in it: a trusted host of the same lattice that means the receiver.
    pub(super) fn check(
        &self,
        lattice: &LatticeId,
        own: &HostId,
        trusted: &BTreeSet<ClusterId>,
    ) -> Result<(), SessionError> {
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

pub(super) fn begin(kind: Kind) -> Vec<u8> {
    let mut message = Vec::with_capacity(512);
    message.extend_from_slice(&MAGIC);
    message.extend_from_slice(&[VERSION, kind as u8]);
    message
}

pub(super) fn sign(mut message: Vec<u8>, kind: Kind, context: &[u8], cluster: &KeyPair) -> Vec<u8> {
    let signature = cluster.sign(&[kind.domain(), context, &message].concat());
    message.extend_from_slice(&signature);
    message
}

/// The body of a message of this kind, ready to be read, and its signature.
pub(super) fn open(message: &[u8], kind: Kind) -> Result<(Reader<'_>, &[u8]), SessionError> {
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

pub(super) fn verify(
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
