//! Typed ids: a public key whose kind is fixed by the type.
//!
//! Knows no artifact and no lattice. Invariant: an `ActorId` is always an `M…` key, and so on; the kind is checked
//! where a text becomes an id and never again.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::key::{FromText, KeyError, KeyKind, PublicKey};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(PublicKey);

        impl $name {
            /// The kind of key behind this id.
            pub const KIND: KeyKind = KeyKind::$kind;

            /// The text, 56 characters.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The key behind this id.
            pub fn public_key(&self) -> PublicKey {
                self.0
            }
        }

        impl TryFrom<PublicKey> for $name {
            type Error = KeyError;

            fn try_from(key: PublicKey) -> Result<Self, KeyError> {
                if key.kind() == Self::KIND {
                    Ok(Self(key))
                } else {
                    Err(KeyError::WrongKind { key, expected: Self::KIND, found: key.kind() })
                }
            }
        }

        impl From<$name> for PublicKey {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                Self::try_from(text.parse::<PublicKey>()?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(FromText(std::marker::PhantomData))
            }
        }
    };
}

id!(
    /// An actor (`M…`).
    ActorId, Module
);
id!(
    /// A provider (`V…`).
    ProviderId, Service
);
id!(
    /// A host (`N…`).
    HostId, Server
);
id!(
    /// An account, which signs actors and providers (`A…`).
    AccountId, Account
);
id!(
    /// An operator, which signs accounts and cluster keys (`O…`).
    OperatorId, Operator
);
id!(
    /// A cluster key, which signs invocations (`C…`).
    ClusterId, Cluster
);

impl ProviderId {
    /// The id of the embedded provider `name`, the same on every host.
    ///
    /// The public bytes are a hash that happens to be a point of the curve, so nobody holds a private half: whatever
    /// claims to be signed by this key is forged.
    pub fn well_known(name: &str) -> Self {
        let key = (0u32..)
            .map(|n| <[u8; 32]>::from(Sha256::digest(format!("lattice builtin provider {name} {n}"))))
            .find(|bytes| VerifyingKey::from_bytes(bytes).is_ok())
            .expect("about every second hash is a point of the curve");
        Self(PublicKey::from_raw(Self::KIND, key))
    }
}
