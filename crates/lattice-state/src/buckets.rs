//! The port to the buckets of a lattice: what a broker keeps for all hosts, key by key.
//!
//! Open a bucket, read what it holds, then hear every change, and write. Invariants that whoever implements it keeps: every
//! call ends, with a [`BucketError`] if need be; the revisions of a bucket only grow; what is heard of one key is heard in the
//! order of its revisions; a bucket that was made anew has another incarnation.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::{Bucket, merge::Remote};

/// The buckets of one lattice, on one broker.
pub trait Buckets: Clone + Send + Sync + 'static {
    /// A bucket that is open.
    type Opened: Opened;

    /// Opens a bucket, makes it where it is missing, and begins to watch it.
    fn open(&self, bucket: Bucket) -> impl Future<Output = Result<Self::Opened, BucketError>> + Send;
}

/// The reading side of a bucket.
pub trait Opened: Send + 'static {
    /// The writing side.
    type Writer: Writer;

    /// Where it is written.
    fn writer(&self) -> Self::Writer;

    /// What the bucket held when the watch began. To be called once, before [`Opened::poll_next`].
    fn snapshot(&mut self) -> impl Future<Output = Result<Snapshot, BucketError>> + Send;

    /// The next change, our own among them.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Update, BucketError>>;
}

/// The writing side of a bucket.
pub trait Writer: Clone + Send + Sync + 'static {
    /// Writes a key; the new revision. When that fails, it may have been written.
    fn put(&self, key: &str, value: Bytes) -> impl Future<Output = Result<u64, BucketError>> + Send;

    /// Writes a key, or removes it when no value is given, if `last` is still its last revision (0: nobody has written or
    /// deleted it); the new revision, as far as it is known. None when somebody was quicker: nothing was changed then.
    fn replace(
        &self,
        key: &str,
        value: Option<Bytes>,
        last: u64,
    ) -> impl Future<Output = Result<Option<u64>, BucketError>> + Send;

    /// Removes a key: links and claims are deleted, configuration is purged (protocol section 3.5). A signed statement
    /// is removed without a marker, which nobody would read and nothing would ever remove.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), BucketError>> + Send;
}

/// Why a broker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// No answer in time.
    #[error("no answer in time while {step}")]
    Timeout {
        /// What was being done.
        step: &'static str,
    },
    /// The broker refused, or keeps no buckets.
    #[error("{step}: {reason}")]
    Refused {
        /// What was being done.
        step: &'static str,
        /// The broker's or client's reason.
        reason: String,
    },
    /// A watch ended; the state must be compared again.
    #[error("the watch ended")]
    WatchEnded,
}

/// One changed key.
#[derive(Debug, Clone)]
pub struct Update {
    /// The key.
    pub key: String,
    /// Its state now.
    pub remote: Remote,
}

/// Everything in a bucket at one moment, within bounds: whoever fills a bucket must not fill the memory of its readers.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Tells this bucket from another that had the same name before.
    pub incarnation: String,
    /// Latest state by key, delete markers included.
    pub entries: BTreeMap<String, Remote>,
    /// Keys whose values were not kept because they, or all together, are more than may be.
    pub unread: BTreeSet<String>,
    bytes: usize,
}

/// Bytes of one value that is kept of a snapshot.
fn most_of_one(bucket: Bucket) -> usize {
    match bucket {
        Bucket::Lattice | Bucket::Config => 64 << 10,
        Bucket::Revocations => 1 << 20,
    }
}

/// Bytes of all values of a snapshot that are kept.
const MOST_OF_ALL: usize = 128 << 20;

impl Snapshot {
    /// Nothing yet of this incarnation.
    #[must_use]
    pub fn of(incarnation: String) -> Self {
        Self { incarnation, ..Self::default() }
    }

    /// Takes in the state of one more key; a later one takes the place of an earlier one.
    pub fn add(&mut self, bucket: Bucket, update: Update) {
        let Update { key, remote } = update;
        let length = remote.value.as_ref().map_or(0, Bytes::len);
        if length > most_of_one(bucket) || self.bytes + length > MOST_OF_ALL {
            self.entries.remove(&key);
            self.unread.insert(key);
            return;
        }
        self.bytes += length;
        self.unread.remove(&key);
        self.entries.insert(key, remote);
    }
}

/// Whether a broker lets this host have the buckets of its lattice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StoreState {
    /// The broker is away, or has not answered yet.
    #[default]
    Unknown,
    /// It does.
    Open,
    /// It says no; the host keeps what it has and asks again.
    Refused {
        /// What was being done, and the server's reason.
        reason: String,
    },
}

impl StoreState {
    /// Why it says no.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { reason } => Some(reason),
            Self::Unknown | Self::Open => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(key: &str, bytes: usize, revision: u64) -> Update {
        let value = Some(Bytes::from(vec![b'x'; bytes]));
        Update { key: key.to_owned(), remote: Remote { value, revision, written_ms: 0 } }
    }

    #[test]
    fn a_value_that_is_more_than_may_be_is_not_kept_and_is_known_to_be_there() {
        let mut snapshot = Snapshot::of("1".to_owned());
        snapshot.add(Bucket::Lattice, update("k", 1, 1));
        snapshot.add(Bucket::Lattice, update("k", (64 << 10) + 1, 2));
        assert!(snapshot.entries.is_empty() && snapshot.unread.contains("k"));
        snapshot.add(Bucket::Lattice, update("k", 2, 3));
        assert!(snapshot.unread.is_empty());
        assert_eq!(snapshot.entries["k"].revision, 3);
    }
}
