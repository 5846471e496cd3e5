//! Why the store did not do what it was asked to, and why a comparison did not come to its end.

use std::sync::Arc;

use lattice::bounds::LimitExceeded;

use crate::{buckets::BucketError, replica::ReplicaError, revocations::NotTaken};

/// Why a write was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The replica cannot keep it.
    #[error("cannot keep the change on this host's disk")]
    Replica(#[source] Arc<ReplicaError>),
    /// There would be more of it than may be.
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
    /// There is no room for one more.
    #[error("this lattice remembers as many owners as it can")]
    Full,
    /// The host is stopping.
    #[error("this host is stopping")]
    Stopping,
}

impl From<ReplicaError> for StoreError {
    fn from(error: ReplicaError) -> Self {
        Self::Replica(Arc::new(error))
    }
}

impl StoreError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::LimitExceeded(error) => error.code(),
            Self::Full => "limit_exceeded",
            Self::Replica(_) | Self::Stopping => "store_failed",
        }
    }
}

/// Why a revocation list was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// It cannot take effect beside those in force.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RevokeError {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotTaken(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

/// Why a comparison with the buckets did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error("lattice state in JetStream")]
    Bucket(#[from] BucketError),
    #[error("lattice state on disk")]
    Replica(#[from] ReplicaError),
    /// What had to be written was decided by what is no longer there.
    #[error("somebody changed lattice state meanwhile; comparing again")]
    Overtaken,
}

impl SyncError {
    /// What the server said no to, and why. Silence and a disk of ours are no refusal.
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            Self::Bucket(error @ BucketError::Refused { .. }) => Some(error.to_string()),
            Self::Bucket(BucketError::Timeout { .. } | BucketError::WatchEnded)
            | Self::Replica(_)
            | Self::Overtaken => None,
        }
    }
}
