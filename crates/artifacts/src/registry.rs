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
mod inner;
mod options;
mod redirect;
mod resolve;
mod retry;
mod target;
mod transport;
mod upload;

use std::sync::Arc;

pub use crate::pace::MIN_BYTES_PER_SECOND;
pub use error::RegistryError;
pub use options::{RegistryOptions, Timeouts};
pub use resolve::Resolved;
pub use upload::Pushed;

use crate::credentials::Credentials;
use crate::reference::{authority, is_registry};
use auth::Auth;
use exchange::Ask;
use inner::Inner;
use target::{Access, Target};
use transport::Transport;

/// The client. Cheap to clone; clones share connections, credentials and tokens.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
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
