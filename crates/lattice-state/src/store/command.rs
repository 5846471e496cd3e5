//! What is ordered from the task of the store, and for whom.
//!
//! Each carries the way back for its outcome.

use std::sync::Arc;

use bytes::Bytes;
use claims::revocation::SignedRevocations;
use tokio::sync::oneshot;

use super::error::{RevokeError, StoreError};
use crate::{Bucket, owners::SignedRecord};

/// For whom a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An actor or provider of which signed claims are known, or this host itself.
    Known,
    /// Anybody else. Such changes wait behind all others, and few of them.
    Stranger,
}

/// A key of a bucket is set; without value: deleted.
pub(super) struct Write {
    pub(super) bucket: Bucket,
    pub(super) key: String,
    pub(super) value: Option<Bytes>,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// A revocation list comes into force.
pub(super) struct Revoke {
    pub(super) signed: Arc<SignedRevocations>,
    pub(super) done: oneshot::Sender<Result<(), RevokeError>>,
}

/// An ownership record of this host comes into force.
pub(super) struct Own {
    pub(super) record: Arc<SignedRecord>,
    pub(super) done: oneshot::Sender<Result<Arc<SignedRecord>, StoreError>>,
}

/// What the task can be asked for.
pub(super) enum Command {
    Write(Write),
    Revoke(Revoke),
    Own(Own),
}
