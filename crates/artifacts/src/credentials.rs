//! Credentials: who we are to a registry.
//!
//! Knows where they are kept and in which order to look; does not know how they travel. Invariant: no secret prints, and
//! none outlives its last use in memory.

mod docker;
pub mod docker_config;
mod error;
mod helper;
mod kept;

pub use error::CredentialError;
pub use kept::{CredentialBook, Credentials, Secret};

use std::time::Duration;

/// What docker's configuration holds for `repository` at `registry`, its helpers included; anonymous when it holds
/// nothing.
pub(crate) async fn from_docker(
    registry: &str,
    repository: &str,
    timeout: Duration,
) -> Result<Credentials, CredentialError> {
    docker::lookup(registry, repository, timeout).await
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
