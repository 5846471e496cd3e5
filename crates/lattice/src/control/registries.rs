//! `registries.put`: credentials by registry authority, for every host of the lattice.
//!
//! Secrets are in here: `Debug` does not print them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::ControlRequest;
use crate::bounds::{self, LimitExceeded};

/// Request of `registries.put`. Registries that are not named keep what they have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistryCredentials(pub BTreeMap<String, RegistryCredential>);

impl ControlRequest for RegistryCredentials {
    const WHAT: &'static str = "registry credentials";

    fn check_size(&self) -> Result<(), LimitExceeded> {
        bounds::within("registries", self.0.len(), bounds::MAX_REGISTRIES, "entries")?;
        for (registry, credential) in &self.0 {
            let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            let longest = [registry.len(), of(&credential.username), of(&credential.password), of(&credential.token)];
            let longest = longest.into_iter().max().unwrap_or_default();
            bounds::bytes("longest text among the credentials of a registry", longest, bounds::MAX_CREDENTIAL)?;
        }
        Ok(())
    }
}

/// How to log in to one registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryCredential {
    /// User name, together with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Bearer token. Real hosts ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Kind of registry; there is one kind.
    #[serde(rename = "registryType", default = "oci")]
    pub registry_type: String,
}

fn oci() -> String {
    "oci".to_owned()
}

impl Default for RegistryCredential {
    fn default() -> Self {
        Self { username: None, password: None, token: None, registry_type: oci() }
    }
}

impl fmt::Debug for RegistryCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redacted = |secret: &Option<String>| secret.as_ref().map(|_| "[redacted]");
        f.debug_struct("RegistryCredential")
            .field("username", &self.username)
            .field("password", &redacted(&self.password))
            .field("token", &redacted(&self.token))
            .field("registry_type", &self.registry_type)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_without_end_are_refused() {
        let of = |count: usize| {
            let entries = (0..count).map(|number| (format!("r{number}.test"), RegistryCredential::default()));
            RegistryCredentials(entries.collect())
        };
        assert_eq!(of(bounds::MAX_REGISTRIES).check_size(), Ok(()));
        assert!(of(bounds::MAX_REGISTRIES + 1).check_size().is_err());
        let password = Some("x".repeat(bounds::MAX_CREDENTIAL + 1));
        let long = RegistryCredential { password, ..RegistryCredential::default() };
        assert!(RegistryCredentials([("r.test".to_owned(), long)].into()).check_size().is_err());
    }

    #[test]
    fn debug_prints_no_secret() {
        let credential = RegistryCredential {
            username: Some("u".into()),
            password: Some("s3cret".into()),
            token: Some("t0ken".into()),
            ..RegistryCredential::default()
        };
        let printed = format!("{credential:?}");
        assert!(!printed.contains("s3cret") && !printed.contains("t0ken"), "{printed}");
    }
}
