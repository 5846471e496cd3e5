//! The owner of lattice state: one task between the local replica, the JetStream buckets and the tables in memory.
//!
//! A write is kept in the replica as pending, then goes to the bucket when the broker is there, else after the next
//! merge; what the disk does not take is refused and goes nowhere. Whatever changes, from here or from others, passes the
//! tables exactly once and leaves as an [`Effect`]; revocation lists, which merge by a rule of their own, leave as a
//! whole. Invariant: tables, replica and (when synced) buckets agree.

mod owner;
mod owners;
mod revocations;
mod tables;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use claims::revocation::SignedRevocations;
use lattice::LatticeId;
use tokio::sync::{mpsc, oneshot, watch};

use crate::state::{
    merge::Local,
    owners::SignedRecord,
    replica::{Bucket, Kept, Replica, ReplicaError},
    revocations::{NotTaken, Trust},
};

pub use self::{
    owner::Owner,
    tables::{Effect, Tables},
};

/// Why a write was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The replica cannot keep it.
    #[error("cannot keep the change on this host's disk")]
    Replica(#[from] ReplicaError),
    /// There is no room for one more.
    #[error("this lattice remembers as many owners as it can")]
    Full,
    /// The host is stopping.
    #[error("this host is stopping")]
    Stopping,
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
            Self::Store(_) => "store_failed",
        }
    }
}

struct Write {
    bucket: Bucket,
    key: String,
    value: Option<Bytes>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

struct Revoke {
    signed: Arc<SignedRevocations>,
    done: oneshot::Sender<Result<(), RevokeError>>,
}

struct Own {
    record: Arc<SignedRecord>,
    done: oneshot::Sender<Result<Arc<SignedRecord>, StoreError>>,
}

enum Command {
    Write(Write),
    Revoke(Revoke),
    Own(Own),
}

/// Handle of the store.
#[derive(Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    tables: Arc<Tables>,
}

impl Store {
    /// The tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Sets a key, or deletes it when no value is given. Returns when the change is kept and visible in the tables.
    /// Dropping the future does not undo a write that was queued.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn write(&self, bucket: Bucket, key: String, value: Option<Bytes>) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.order(Command::Write(Write { bucket, key, value, done }), outcome).await?
    }

    /// Puts a revocation list that is [believed](Trust) into force. Returns when it is, and is kept. Dropping the future
    /// does not undo it.
    ///
    /// # Errors
    /// [`RevokeError`]; nothing was changed then.
    pub async fn revoke(&self, signed: Arc<SignedRevocations>) -> Result<(), RevokeError> {
        let (done, outcome) = oneshot::channel();
        self.order(Command::Revoke(Revoke { signed, done }), outcome).await?
    }

    /// Puts an ownership record of this host into force, unless one that is there is preferred; the one in force then.
    /// Dropping the future does not undo it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn own(&self, record: Arc<SignedRecord>) -> Result<Arc<SignedRecord>, StoreError> {
        let (done, outcome) = oneshot::channel();
        self.order(Command::Own(Own { record, done }), outcome).await?
    }

    async fn order<T>(&self, command: Command, outcome: oneshot::Receiver<T>) -> Result<T, StoreError> {
        self.commands.send(command).await.map_err(|_| StoreError::Stopping)?;
        outcome.await.map_err(|_| StoreError::Stopping)
    }
}

/// Where the buckets are reached.
pub struct BucketSource {
    /// JetStream on the control connection.
    pub jetstream: async_nats::jetstream::Context,
    /// Which lattice.
    pub lattice: LatticeId,
    /// Whether the control connection is up.
    pub connected: watch::Receiver<bool>,
}

/// Loads the replica into fresh tables. The owner must then be [run](Owner::run). `trust`: whose revocation lists count.
///
/// # Errors
/// [`ReplicaError`] when the disk state cannot be read.
pub fn open(
    replica: Replica,
    trust: Arc<Trust>,
) -> Result<(Store, Owner, mpsc::UnboundedReceiver<Effect>), ReplicaError> {
    let (commands, incoming) = mpsc::channel(256);
    let (effects, effects_out) = mpsc::unbounded_channel();
    let tables = Arc::new(Tables::default());
    let mut known = HashMap::new();
    for bucket in Bucket::ALL {
        let entries = load(&replica, bucket)?;
        if bucket == Bucket::Revocations {
            owners::load(&tables.owners, &trust, &entries); // before any claims
        }
        for (key, entry) in entries.iter().filter(|(_, entry)| entry.value.is_some()) {
            if let Some(effect) = tables.apply(bucket, key, entry.value.as_ref(), true) {
                effects.send(effect).ok();
            }
        }
        known.insert(bucket, entries);
    }
    tables.revocations.send_replace(Arc::new(revocations::load(&trust, &known[&Bucket::Revocations])));
    let owner = Owner::new(replica, known, tables.clone(), trust, effects, incoming);
    Ok((Store { commands, tables }, owner, effects_out))
}

/// What the replica holds, without deletions of long ago.
fn load(replica: &Replica, bucket: Bucket) -> Result<BTreeMap<String, Local>, ReplicaError> {
    let (mut entries, now) = (replica.load(bucket)?, now_ms());
    let old: Vec<_> =
        entries.extract_if(.., |_, entry| entry.may_be_forgotten(now)).map(|(key, _)| (key, None)).collect();
    if !old.is_empty() {
        replica.set(bucket, &old, Kept::Now)?;
    }
    Ok(entries)
}

fn confirmed(value: Option<Bytes>, revision: u64) -> Local {
    Local { value, revision, written_ms: now_ms(), pending: false, replaced: None }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// Runs a disk write where it blocks nobody.
async fn on_disk<T: Send + 'static>(
    write: impl FnOnce() -> Result<T, ReplicaError> + Send + 'static,
) -> Result<T, ReplicaError> {
    tokio::task::spawn_blocking(write).await.map_err(|_| ReplicaError::Interrupted)?
}
