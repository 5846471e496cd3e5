//! Registries: the OCI distribution protocol, as far as artifacts need it.
//!
//! A thin client of our own (docs/adr/0003). A registry is a stranger: every answer is bounded in size and time, every
//! digest and length is checked, and credentials go nowhere but to the registry they are for and the token service it
//! names. Invariant: what [`Registry::resolve`] returns has the digest the reference asks for.

mod auth;
pub mod challenge;
mod download;
mod error;
mod exchange;
mod hint;
mod pace;
mod redirect;
mod resolve;
mod retry;
mod transport;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use error::RegistryError;
pub use pace::MIN_BYTES_PER_SECOND;
pub use resolve::Resolved;
pub use upload::Pushed;

use crate::credentials::{CredentialBook, Credentials};
use crate::reference::{authority, is_registry};
use auth::Auth;
use exchange::{Access, Ask, Target};
use transport::Transport;

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
    /// The time over which the pace of a transfer is measured; see [`MIN_BYTES_PER_SECOND`].
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

/// The client. Cheap to clone; clones share connections, credentials and tokens.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    options: RegistryOptions,
    insecure: Vec<String>,
    transport: Transport,
    auth: Auth,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl Registry {
    /// Reads the certificates; connects to nothing. TLS is set up when a registry first needs it, so a machine without
    /// any certificates can use insecure registries.
    ///
    /// # Errors
    /// When a file of certificates cannot be read, or a name of an insecure registry is none.
    pub fn new(options: RegistryOptions) -> Result<Self, RegistryError> {
        let insecure: Vec<String> = options.insecure.iter().map(|registry| authority(registry)).collect();
        if let Some(registry) = insecure.iter().find(|registry| !is_registry(registry)) {
            return Err(RegistryError::NotARegistry { registry: crate::text::excerpt(registry) });
        }
        let transport = Transport::new(&options.extra_ca, options.timeouts)?;
        let auth = Auth::new(options.credentials.clone(), options.docker_config);
        Ok(Self { inner: Arc::new(Inner { options, insecure, transport, auth }) })
    }

    /// Sets what is shown to `registry` from now on.
    pub fn set_credentials(&self, registry: &str, credentials: Credentials) {
        self.inner.auth.set(registry, credentials);
    }

    /// Asks whether `registry` is there, speaks the protocol, and takes our credentials.
    ///
    /// # Errors
    /// [`RegistryError`] saying what is wrong and what to do.
    pub async fn ping(&self, registry: &str) -> Result<(), RegistryError> {
        let registry = authority(registry);
        if !is_registry(&registry) {
            return Err(RegistryError::NotARegistry { registry: crate::text::excerpt(&registry) });
        }
        let target = Target { registry: &registry, repository: "", access: Access::Ping };
        let ask = Ask::get(self.inner.url(&registry, "")?);
        self.inner.answered(&target, &ask, &registry).await.map(drop)
    }

    /// The bounds this client keeps to.
    pub(crate) fn options(&self) -> &RegistryOptions {
        &self.inner.options
    }
}
