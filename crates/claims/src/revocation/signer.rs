//! Who may sign a list: a cluster key or an account, told apart by the key itself.

use std::fmt;
use std::str::FromStr;

use super::error::RevocationError;
use crate::id::{AccountId, ClusterId};
use crate::key::{KeyKind, PublicKey};

/// Who signed a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signer {
    /// A cluster key, which may revoke anything.
    Cluster(ClusterId),
    /// An account, which may revoke itself and what it issued.
    Account(AccountId),
}

impl Signer {
    /// The key.
    pub fn public_key(&self) -> PublicKey {
        match self {
            Self::Cluster(id) => id.public_key(),
            Self::Account(id) => id.public_key(),
        }
    }
}

impl TryFrom<PublicKey> for Signer {
    type Error = RevocationError;

    fn try_from(key: PublicKey) -> Result<Self, RevocationError> {
        let wrong = |_| RevocationError::WrongSigner { signer: key, found: key.kind() };
        match key.kind() {
            KeyKind::Cluster => Ok(Self::Cluster(key.try_into().map_err(wrong)?)),
            _ => Ok(Self::Account(key.try_into().map_err(wrong)?)),
        }
    }
}

impl FromStr for Signer {
    type Err = RevocationError;

    fn from_str(text: &str) -> Result<Self, RevocationError> {
        let key: PublicKey =
            text.parse().map_err(|source| RevocationError::NotAnId { found: crate::jwt::excerpt(text), source })?;
        key.try_into()
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.public_key().fmt(f)
    }
}
