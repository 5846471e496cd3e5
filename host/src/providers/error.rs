//! Why a provider does not start.

use claims::ProviderId;

use super::archive;
use crate::{artifacts::FetchError, state::revocations::Named};

/// Why a provider does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartProviderError {
    /// The artifact cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The archive is not acceptable.
    #[error(transparent)]
    Archive(#[from] archive::ArchiveError),
    /// It runs already.
    #[error("provider `{id}` is already running under link name `{link_name}` on this host")]
    AlreadyRunning {
        /// The provider.
        id: ProviderId,
        /// The link name.
        link_name: String,
    },
    /// Its issuer is not trusted.
    #[error("`{id}` is signed by `{issuer}`, which this host does not trust; allow it with `--allowed-issuer`")]
    UntrustedIssuer {
        /// The provider.
        id: ProviderId,
        /// Who signed it.
        issuer: String,
    },
    /// A revocation list names it.
    #[error("`{reference}` is refused: {named}")]
    Revoked {
        /// As written.
        reference: String,
        /// The entry.
        named: Box<Named>,
    },
    /// A process cannot be reached without NATS.
    #[error(
        "`{reference}` runs as a process, which needs NATS; this host runs without: use a `builtin://` provider, or start NATS and the host again"
    )]
    NeedsNats {
        /// As written.
        reference: String,
    },
    /// It did not come up.
    #[error("{reason}")]
    Failed {
        /// Why.
        reason: String,
    },
}

impl StartProviderError {
    /// Whether the same start may succeed later without anybody changing anything here.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.may_pass())
    }
}
