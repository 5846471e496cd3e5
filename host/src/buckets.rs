//! The JetStream KV buckets of a lattice: opening, a first complete snapshot, then every change.
//!
//! Owns KV calls and their deadlines; decides nothing. Buckets are created with plain defaults when missing, or as the
//! operator's settings say, and never reconfigured (protocol section 3.5). Invariant: every call ends within [`DEADLINE`].

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, IntoFuture, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

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

use crate::state::{merge::Remote, replica::Bucket};

/// Longest wait for one call.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// Between two attempts to open a bucket that may be forbidden.
pub const SELDOM: Duration = Duration::from_secs(60);

/// How buckets are made that are missing. Those that are there stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Largest size of one bucket, bytes; none for as much as the account may have.
    pub max_bytes: Option<i64>,
    /// On how many servers of a cluster a bucket is kept; none for one.
    pub replicas: Option<usize>,
    /// In memory instead of on disk.
    pub in_memory: bool,
}

/// Whether JetStream lets this host have the buckets of its lattice.
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

/// Why JetStream did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// No answer in time.
    #[error("no answer in time while {step}")]
    Timeout {
        /// What was being done.
        step: &'static str,
    },
    /// JetStream refused, or is not enabled on the server.
    #[error("{step}: {reason}")]
    Refused {
        /// What was being done.
        step: &'static str,
        /// The server's or client's reason.
        reason: String,
    },
    /// A watch ended; the state must be compared again.
    #[error("the watch ended")]
    WatchEnded,
}

/// One changed key.
#[derive(Debug)]
pub struct Update {
    /// The key.
    pub key: String,
    /// Its state now.
    pub remote: Remote,
}

/// Everything in a bucket at one moment.
pub struct Snapshot {
    /// Tells this bucket from another that had the same name before.
    pub incarnation: String,
    /// Latest state by key, delete markers included.
    pub entries: BTreeMap<String, Remote>,
    /// Keys whose values were not kept because they, or all together, are more than may be.
    pub unread: BTreeSet<String>,
}

/// Bytes of one value that is kept of a snapshot.
fn most_of_one(bucket: Bucket) -> usize {
    match bucket {
        Bucket::Lattice | Bucket::Config => 64 << 10,
        Bucket::Revocations => 1 << 20,
    }
}

/// Bytes of all values of a snapshot that are kept; whoever fills a bucket must not fill the memory of its readers.
const MOST_OF_ALL: usize = 128 << 20;

struct Watched {
    bucket: Bucket,
    store: kv::Store,
    watch: kv::Watch,
}

/// The writing side of open buckets.
#[derive(Clone)]
pub struct Stores(Vec<(Bucket, kv::Store)>);

/// The open buckets of a lattice.
pub struct Buckets {
    watched: Vec<Watched>,
}

impl Buckets {
    /// Opens (or creates) the buckets of links, claims and configuration, and starts watching them.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn open(
        jetstream: &jetstream::Context,
        lattice: &LatticeId,
        settings: &BucketSettings,
    ) -> Result<Self, BucketError> {
        let mut buckets = Self { watched: Vec::with_capacity(Bucket::ALL.len()) };
        for bucket in [Bucket::Lattice, Bucket::Config] {
            buckets.add(jetstream, lattice, bucket, settings).await?;
        }
        if *settings != BucketSettings::default() {
            open_payloads(jetstream, lattice, settings).await;
        }
        Ok(buckets)
    }

    /// Opens (or creates) one more.
    ///
    /// # Errors
    /// [`BucketError`]; those that are open stay so.
    pub async fn add(
        &mut self,
        jetstream: &jetstream::Context,
        lattice: &LatticeId,
        bucket: Bucket,
        settings: &BucketSettings,
    ) -> Result<(), BucketError> {
        self.watched.push(Watched::open(jetstream, lattice, bucket, settings).await?);
        Ok(())
    }

    /// Whether a bucket is open. The others must not be used.
    #[must_use]
    pub fn has(&self, bucket: Bucket) -> bool {
        self.watched.iter().any(|watched| watched.bucket == bucket)
    }

    /// Where they are written.
    #[must_use]
    pub fn stores(&self) -> Stores {
        Stores(self.watched.iter().map(|watched| (watched.bucket, watched.store.clone())).collect())
    }

    /// What a bucket held when the watch began. Call once per bucket, before [`Buckets::next`].
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn snapshot(&mut self, bucket: Bucket) -> Result<Snapshot, BucketError> {
        let of_it = |watched: &&mut Watched| watched.bucket == bucket;
        let watched = self.watched.iter_mut().find(of_it).expect("only open buckets are used");
        let info = bounded("asking for a bucket", watched.store.stream.get_info()).await?;
        let (mut entries, mut unread, mut bytes) = (BTreeMap::new(), BTreeSet::new(), 0);
        let mut missing = info.state.messages > 0;
        while missing {
            let entry = match tokio::time::timeout(DEADLINE, watched.watch.next()).await {
                Err(_) => return Err(BucketError::Timeout { step: "reading a bucket" }),
                Ok(None) => return Err(BucketError::WatchEnded),
                Ok(Some(entry)) => entry.map_err(|error| refused("reading a bucket", &error))?,
            };
            missing = entry.delta > 0;
            let update = update(entry);
            let length = update.remote.value.as_ref().map_or(0, Bytes::len);
            if length > most_of_one(bucket) || bytes + length > MOST_OF_ALL {
                entries.remove(&update.key);
                unread.insert(update.key);
                continue;
            }
            bytes += length;
            unread.remove(&update.key);
            entries.insert(update.key, update.remote);
        }
        Ok(Snapshot { incarnation: info.created.to_string(), entries, unread })
    }

    /// The next change of any bucket. Cancel safe.
    ///
    /// # Errors
    /// [`BucketError`] when a watch fails or ends.
    pub async fn next(&mut self) -> Result<(Bucket, Update), BucketError> {
        poll_fn(|context| {
            for watched in &mut self.watched {
                match Pin::new(&mut watched.watch).poll_next(context) {
                    Poll::Pending => {}
                    Poll::Ready(None) => return Poll::Ready(Err(BucketError::WatchEnded)),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(refused("following a bucket", &error))),
                    Poll::Ready(Some(Ok(entry))) => return Poll::Ready(Ok((watched.bucket, update(entry)))),
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Stores {
    fn find(&self, bucket: Bucket) -> &kv::Store {
        let of_it = |(of, _): &&(Bucket, kv::Store)| *of == bucket;
        &self.0.iter().find(of_it).expect("only open buckets are used").1
    }

    /// Writes a key; the new revision.
    ///
    /// # Errors
    /// [`BucketError`]; the write may have happened when it is a timeout.
    pub async fn put(&self, bucket: Bucket, key: &str, value: Bytes) -> Result<u64, BucketError> {
        bounded("writing a key", self.find(bucket).put(key, value)).await
    }

    /// Writes a key that nobody has written or deleted yet; the new revision, none when somebody has.
    ///
    /// # Errors
    /// As [`Stores::put`].
    pub async fn fill(&self, bucket: Bucket, key: &str, value: Bytes) -> Result<Option<u64>, BucketError> {
        let step = "filling a bucket";
        match tokio::time::timeout(DEADLINE, self.find(bucket).update(key, value, 0)).await {
            Ok(Ok(revision)) => Ok(Some(revision)),
            Ok(Err(error)) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Ok(Err(error)) => Err(refused(step, &error)),
            Err(_) => Err(BucketError::Timeout { step }),
        }
    }

    /// Removes a key: links and claims are deleted, configuration is purged (protocol section 3.5). A revocation list
    /// is removed without a marker, which nobody would read and nothing would ever remove.
    ///
    /// # Errors
    /// As [`Stores::put`].
    pub async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), BucketError> {
        let store = self.find(bucket);
        match bucket {
            Bucket::Lattice => bounded("deleting a key", store.delete(key)).await,
            Bucket::Config => bounded("purging a key", store.purge(key)).await,
            Bucket::Revocations => {
                let subject = format!("{}{key}", store.prefix);
                bounded("removing a key", store.stream.purge().filter(subject).into_future()).await.map(drop)
            }
        }
    }
}

impl Watched {
    async fn open(
        jetstream: &jetstream::Context,
        lattice: &LatticeId,
        bucket: Bucket,
        settings: &BucketSettings,
    ) -> Result<Self, BucketError> {
        let name = match bucket {
            Bucket::Lattice => lattice_bucket(lattice),
            Bucket::Config => config_bucket(lattice),
            Bucket::Revocations => revocation_bucket(lattice),
        };
        let store = open_bucket(jetstream, name, settings).await?;
        let watch = bounded("watching a bucket", store.watch_with_history(">")).await?;
        Ok(Self { bucket, store, watch })
    }
}

/// Returns when a bucket can be opened, which is tried after `wait` and then seldom: where it is forbidden, every attempt
/// waits in vain.
pub async fn openable(
    jetstream: &jetstream::Context,
    lattice: &LatticeId,
    bucket: Bucket,
    settings: &BucketSettings,
    mut wait: Duration,
) {
    loop {
        tokio::time::sleep(wait).await;
        if Watched::open(jetstream, lattice, bucket, settings).await.is_ok() {
            return;
        }
        wait = SELDOM;
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
