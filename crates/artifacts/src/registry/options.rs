//! How registries are spoken to, and how long things may take.

use std::path::PathBuf;
use std::time::Duration;

use crate::credentials::CredentialBook;

/// How registries are spoken to.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Authorities (`host` or `host:port`) spoken to in plain HTTP. All others are spoken to over TLS.
    pub insecure: Vec<String>,
    /// Files with certificates, in PEM, of authorities that are trusted besides those of the system.
    pub extra_ca: Vec<PathBuf>,
    /// Who we are; asked before docker's configuration.
    pub credentials: CredentialBook,
    /// Whether credentials that are not in the book are looked up where `docker login` keeps them.
    pub docker_config: bool,
    /// Largest artifact, bytes, packed as well as unpacked.
    pub max_artifact_bytes: u64,
    /// Largest manifest, index or configuration, bytes.
    pub max_manifest_bytes: u64,
    /// How often a request is made again when the registry is away or a transfer breaks.
    pub retries: u32,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            extra_ca: Vec::new(),
            credentials: CredentialBook::new(),
            docker_config: true,
            max_artifact_bytes: 256 << 20,
            max_manifest_bytes: 4 << 20,
            retries: 3,
            timeouts: Timeouts::default(),
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Without a byte arriving.
    pub idle: Duration,
    /// For a manifest or a token, from request to last byte.
    pub small_answer: Duration,
    /// For a credential helper.
    pub helper: Duration,
    /// Before the first repetition; doubles each time.
    pub first_pause: Duration,
    /// The longest pause, also when a registry asks for more.
    pub longest_pause: Duration,
    /// The time over which the pace of a transfer is measured; see [`crate::MIN_BYTES_PER_SECOND`].
    pub pace_window: Duration,
    /// For a whole fetch or push, from the first question to the last byte.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            small_answer: Duration::from_secs(30),
            helper: Duration::from_secs(15),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(10),
            pace_window: Duration::from_secs(20),
            whole: Duration::from_secs(600),
        }
    }
}
