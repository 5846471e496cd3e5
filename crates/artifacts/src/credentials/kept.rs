//! What is shown to a registry, and the book of what somebody set.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::reference::authority;

/// A text that prints as `[redacted]` and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself; for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is shown to one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    Anonymous,
    /// A user and a password, sent as they are or exchanged for a token, as the registry asks.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that is sent as it is.
    Bearer(Secret),
    /// A token that is exchanged for another one, as `docker login` keeps them for some registries.
    Identity(Secret),
}

impl Credentials {
    /// A user and a password.
    pub fn basic(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::Basic { user: user.into(), password: password.into() }
    }

    /// Who this claims to be, for messages.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::Basic { user, .. } => Some(user),
            Self::Anonymous | Self::Bearer(_) | Self::Identity(_) => None,
        }
    }
}

/// Credentials somebody set, by registry.
#[derive(Debug, Clone, Default)]
pub struct CredentialBook {
    by_registry: HashMap<String, Credentials>,
}

impl CredentialBook {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what is shown to `registry`, in place of what was there; a scheme or path in the name is dropped.
    pub fn set(&mut self, registry: &str, credentials: Credentials) {
        self.by_registry.insert(authority(registry), credentials);
    }

    /// As [`CredentialBook::set`], in a chain.
    #[must_use]
    pub fn with(mut self, registry: &str, credentials: Credentials) -> Self {
        self.set(registry, credentials);
        self
    }

    /// Takes over everything in `other`; registries it does not name keep theirs.
    pub fn merge(&mut self, other: CredentialBook) {
        self.by_registry.extend(other.by_registry);
    }

    /// What was set for `registry`.
    #[must_use]
    pub fn get(&self, registry: &str) -> Option<&Credentials> {
        self.by_registry.get(&authority(registry))
    }
}
