//! The JetStream KV buckets of a lattice, behind the port of `lattice-state`: opening, a first complete snapshot, then every
//! change.
//!
//! Owns KV calls and their deadlines; decides nothing. Buckets are created with plain defaults when missing, or as the
//! operator's settings say, and never reconfigured (protocol section 3.5). Invariant: every call ends within [`DEADLINE`].

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::settings::BucketSettings;
use async_nats::jetstream::{
    self,
    kv::{self, Entry, Operation, UpdateErrorKind},
    object_store,
    stream::StorageType,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use lattice::{
    LatticeId,
    subject::{config_bucket, lattice_bucket, object_bucket, revocation_bucket},
};
use lattice_state::{
    Bucket,
    buckets::{BucketError, Buckets, Opened, Snapshot, Update, Writer},
    merge::Remote,
};

/// Longest wait for one call.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// The buckets of a lattice in JetStream.
#[derive(Clone)]
pub struct JetStreamBuckets {
    /// JetStream on the control connection.
    pub jetstream: jetstream::Context,
    /// Which lattice.
    pub lattice: LatticeId,
    /// How missing buckets are made.
    pub settings: BucketSettings,
}

/// A bucket that is open and watched.
pub struct Watched {
    bucket: Bucket,
    store: kv::Store,
    watch: kv::Watch,
}

/// The writing side of a bucket.
#[derive(Clone)]
pub struct Written {
    bucket: Bucket,
    store: kv::Store,
}

impl Buckets for JetStreamBuckets {
    type Opened = Watched;

    async fn open(&self, bucket: Bucket) -> Result<Watched, BucketError> {
        let name = match bucket {
            Bucket::Lattice => lattice_bucket(&self.lattice),
            Bucket::Config => config_bucket(&self.lattice),
            Bucket::Revocations => revocation_bucket(&self.lattice),
        };
        let store = open_bucket(&self.jetstream, name, &self.settings).await?;
        let watch = bounded("watching a bucket", store.watch_with_history(">")).await?;
        // Beside the buckets of every lattice: the one that only large payloads need.
        if bucket == Bucket::Config && self.settings != BucketSettings::default() {
            open_payloads(&self.jetstream, &self.lattice, &self.settings).await;
        }
        Ok(Watched { bucket, store, watch })
    }
}

impl Opened for Watched {
    type Writer = Written;

    fn writer(&self) -> Written {
        Written { bucket: self.bucket, store: self.store.clone() }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, BucketError> {
        let info = bounded("asking for a bucket", self.store.stream.get_info()).await?;
        let mut snapshot = Snapshot::of(info.created.to_string());
        let mut missing = info.state.messages > 0;
        while missing {
            let entry = match tokio::time::timeout(DEADLINE, self.watch.next()).await {
                Err(_) => return Err(BucketError::Timeout { step: "reading a bucket" }),
                Ok(None) => return Err(BucketError::WatchEnded),
                Ok(Some(entry)) => entry.map_err(|error| refused("reading a bucket", &error))?,
            };
            missing = entry.delta > 0;
            snapshot.add(self.bucket, update(entry));
        }
        Ok(snapshot)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Update, BucketError>> {
        Pin::new(&mut self.watch).poll_next(context).map(|entry| match entry {
            None => Err(BucketError::WatchEnded),
            Some(Err(error)) => Err(refused("following a bucket", &error)),
            Some(Ok(entry)) => Ok(update(entry)),
        })
    }
}

impl Writer for Written {
    async fn put(&self, key: &str, value: Bytes) -> Result<u64, BucketError> {
        bounded("writing a key", self.store.put(key, value)).await
    }

    async fn replace(&self, key: &str, value: Option<Bytes>, last: u64) -> Result<Option<u64>, BucketError> {
        let step = "replacing a key";
        let replacing = async {
            match (value, self.bucket) {
                (Some(value), _) => self.store.update(key, value, last).await,
                (None, Bucket::Config) => self.store.purge_expect_revision(key, Some(last)).await.map(|()| 0),
                (None, _) => self.store.delete_expect_revision(key, Some(last)).await.map(|()| 0),
            }
        };
        match tokio::time::timeout(DEADLINE, replacing).await {
            Ok(Ok(revision)) => Ok(Some(revision)),
            Ok(Err(error)) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Ok(Err(error)) => Err(refused(step, &error)),
            Err(_) => Err(BucketError::Timeout { step }),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        match self.bucket {
            Bucket::Lattice => bounded("deleting a key", self.store.delete(key)).await,
            Bucket::Config => bounded("purging a key", self.store.purge(key)).await,
            Bucket::Revocations => {
                let subject = format!("{}{key}", self.store.prefix);
                let purging = self.store.stream.purge().filter(subject).into_future();
                bounded("removing a key", purging).await.map(drop)
            }
        }
    }
}

async fn open_bucket(
    jetstream: &jetstream::Context,
    name: String,
    settings: &BucketSettings,
) -> Result<kv::Store, BucketError> {
    let opened = bounded("opening a bucket", jetstream.get_key_value(&name)).await;
    // Where nobody answers, nobody creates it either.
    if matches!(opened, Ok(_) | Err(BucketError::Timeout { .. })) {
        return opened;
    }
    let defaults = kv::Config::default();
    let config = kv::Config {
        bucket: name,
        history: 1,
        max_bytes: settings.max_bytes.unwrap_or(defaults.max_bytes),
        num_replicas: settings.replicas.unwrap_or(defaults.num_replicas),
        storage: storage(settings),
        ..defaults
    };
    bounded("creating a bucket", jetstream.create_key_value(config)).await
}

fn storage(settings: &BucketSettings) -> StorageType {
    if settings.in_memory { StorageType::Memory } else { StorageType::File }
}

/// Makes the bucket of large payloads, which is otherwise made with defaults when the first payload needs it. Whoever has
/// such a payload hears why it does not get through, so a failure here is no more than a line in the log.
async fn open_payloads(jetstream: &jetstream::Context, lattice: &LatticeId, settings: &BucketSettings) {
    let bucket = object_bucket(lattice);
    if bounded("opening a bucket", jetstream.get_object_store(&bucket)).await.is_ok() {
        return;
    }
    let defaults = object_store::Config::default();
    let config = object_store::Config {
        bucket,
        max_bytes: settings.max_bytes.unwrap_or(defaults.max_bytes),
        num_replicas: settings.replicas.unwrap_or(defaults.num_replicas),
        storage: storage(settings),
        ..defaults
    };
    if let Err(error) = bounded("creating the bucket of large payloads", jetstream.create_object_store(config)).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "cannot create the bucket of large payloads");
    }
}

async fn bounded<T, E: std::error::Error>(
    step: &'static str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, BucketError> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(outcome) => outcome.map_err(|error| refused(step, &error)),
        Err(_) => Err(BucketError::Timeout { step }),
    }
}

fn refused(step: &'static str, error: &dyn std::error::Error) -> BucketError {
    BucketError::Refused { step, reason: error.to_string() }
}

fn update(entry: Entry) -> Update {
    let value = match entry.operation {
        Operation::Put => Some(entry.value),
        Operation::Delete | Operation::Purge => None,
    };
    let written_ms = u64::try_from(entry.created.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Update { key: entry.key, remote: Remote { value, revision: entry.revision, written_ms } }
}
