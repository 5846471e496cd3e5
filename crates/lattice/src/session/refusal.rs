//! How a host says that there is no session: to a question, and to a batch of a session that it does not know.
//!
//! The first is a hint and not signed: whoever gets it calls as if there were no sessions. The second is signed, because
//! calls are made again for it. Invariant: it names one batch of one session.

use std::collections::BTreeSet;

use claims::{ClusterId, HostId, KeyPair};

use super::{
    SessionError, SessionId,
    envelope::{Kind, begin, open, sign, verify},
    reader::{cut, put_text8, put_text16},
};
use crate::LatticeId;

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
        put_text16(&mut message, cut(&self.sentence, 1024));
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
