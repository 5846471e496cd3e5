//! Credentials: who we are to a registry.
//!
//! Knows where they are kept and in which order to look; does not know how they travel. Invariant: no secret prints, and
//! none outlives its last use in memory.

mod docker;
pub mod docker_config;
mod helper;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::local_file::FileError;
use crate::reference::authority;
use docker_config::DockerConfigError;

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

/// What docker's configuration holds for `repository` at `registry`, its helpers included; anonymous when it holds
/// nothing.
pub(crate) async fn from_docker(
    registry: &str,
    repository: &str,
    timeout: Duration,
) -> Result<Credentials, CredentialError> {
    docker::lookup(registry, repository, timeout).await
}

/// Why credentials that are configured cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The configuration is there and cannot be read.
    #[error("cannot use `{path}`")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        source: FileError,
    },
    /// The configuration is larger than any real one.
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// The bound.
        limit: u64,
    },
    /// The configuration is not what docker writes.
    #[error("`{path}` is not a docker configuration")]
    NotAConfig {
        /// The file.
        path: String,
        /// Where and why.
        source: DockerConfigError,
    },
    /// The stored user and password are no such thing.
    #[error("the credentials for `{registry}` in `{path}` are no base64 of `user:password`")]
    NotAPair {
        /// Whose.
        registry: String,
        /// The file.
        path: String,
    },
    /// The name of a helper is not a plain word.
    #[error("`{helper}` is not a name of a credential helper")]
    BadHelperName {
        /// The name.
        helper: String,
    },
    /// The helper cannot be started.
    #[error("cannot start the credential helper `{helper}`")]
    HelperMissing {
        /// The program.
        helper: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The helper ended with a failure.
    #[error("the credential helper `{helper}` failed: {said}")]
    HelperFailed {
        /// The program.
        helper: String,
        /// What it wrote, shortened.
        said: String,
    },
    /// The helper wrote something else than credentials.
    #[error("the credential helper `{helper}` did not answer with credentials")]
    HelperAnswer {
        /// The program.
        helper: String,
    },
    /// The helper did not end.
    #[error("the credential helper `{helper}` gave no answer within {}", crate::text::seconds(.after))]
    HelperHangs {
        /// The program.
        helper: String,
        /// How long it had.
        after: Duration,
    },
}

impl CredentialError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "credentials_unreadable",
            Self::TooLarge { .. } => "credentials_too_large",
            Self::NotAConfig { .. } => "credentials_not_a_config",
            Self::NotAPair { .. } => "credentials_not_a_pair",
            Self::BadHelperName { .. } => "credential_helper_name",
            Self::HelperMissing { .. } => "credential_helper_missing",
            Self::HelperFailed { .. } => "credential_helper_failed",
            Self::HelperAnswer { .. } => "credential_helper_answer",
            Self::HelperHangs { .. } => "credential_helper_hangs",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Unreadable { path, .. }
            | Self::TooLarge { path, .. }
            | Self::NotAConfig { path, .. }
            | Self::NotAPair { path, .. } => {
                format!("repair `{path}` with `docker login`, or give a user and a password")
            }
            Self::BadHelperName { .. } => {
                "correct `credHelpers` or `credsStore` in the docker configuration, or give a user and a password"
                    .to_owned()
            }
            Self::HelperMissing { helper, .. } => {
                format!("install `{helper}` on the search path, or give a user and a password")
            }
            Self::HelperFailed { helper, .. } | Self::HelperAnswer { helper } | Self::HelperHangs { helper, .. } => {
                format!("try `echo REGISTRY | {helper} get`, or give a user and a password")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let credentials = Credentials::basic("ada", "hunter2");
        let book = CredentialBook::new().with("registry.test", credentials.clone());
        for shown in
            [format!("{credentials:?}"), format!("{book:?}"), format!("{:#?}", Credentials::Bearer("x".into()))]
        {
            assert!(shown.contains("[redacted]") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_registry_is_found_however_it_was_written() {
        let mut book = CredentialBook::new().with("https://Registry.test:5000/v2/", Credentials::basic("ada", "1"));
        assert_eq!(book.get("registry.test:5000"), Some(&Credentials::basic("ada", "1")));
        assert_eq!(book.get("registry.test"), None);
        book.merge(CredentialBook::new().with("registry.test:5000", Credentials::basic("eve", "2")));
        book.merge(CredentialBook::new().with("index.docker.io", Credentials::Anonymous));
        assert_eq!(book.get("registry.test:5000").and_then(Credentials::user), Some("eve"));
        assert_eq!(book.get("docker.io"), Some(&Credentials::Anonymous));
    }
}
