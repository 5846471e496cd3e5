//! Why credentials that are configured cannot be had.

use std::time::Duration;

use super::docker_config::DockerConfigError;
use crate::local_file::FileError;

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
