//! `registries.put`: credentials by registry authority, for every host of the lattice.
//!
//! Secrets are in here: `Debug` does not print them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::ControlRequest;

/// Request of `registries.put`. Registries that are not named keep what they have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistryCredentials(pub BTreeMap<String, RegistryCredential>);

impl ControlRequest for RegistryCredentials {
    const WHAT: &'static str = "registry credentials";
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
