//! The owner of lattice state: one task between the local replica, the JetStream buckets and the tables in memory.
//!
//! A write is kept in the replica as pending, then goes to the bucket when the broker is there, else after the next
//! merge; what the disk does not take is refused and goes nowhere. Whatever changes, from here or from others, passes the
//! tables exactly once and leaves as an [`Effect`]; revocation lists, which merge by a rule of their own, leave as a
//! whole. Invariant: tables, replica and (when synced) buckets agree.

mod compare;
mod owner;
mod owners;
mod queue;
mod revocations;
mod tables;
mod write;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use claims::revocation::SignedRevocations;
use lattice::{LatticeId, bounds::LimitExceeded, control::Ack};
use tokio::sync::{mpsc, oneshot, watch};

use self::queue::{Lines, NotQueued};
use crate::{
    buckets::{BucketSettings, StoreState},
    state::{
        known::Known,
        merge::Local,
        owners::SignedRecord,
        replica::{Bucket, Kept, Replica, ReplicaError},
        revocations::{NotTaken, Trust},
    },
};

pub use self::{
    owner::Owner,
    tables::{Effect, ForeignClaims, Tables},
};

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

/// For whom a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An actor or provider of which signed claims are known, or this host itself.
    Known,
    /// Anybody else. Such changes wait behind all others, and few of them.
    Stranger,
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
    lines: Lines,
    tables: Arc<Tables>,
    state: watch::Receiver<StoreState>,
}

impl Store {
    /// The tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Whether JetStream lets this host have the buckets of its lattice.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }

    /// The answer to whoever ordered a write that was [kept](Store::write): whether the lattice has it too, or will have it.
    #[must_use]
    pub fn kept(&self) -> Ack {
        match self.state.borrow().refusal() {
            Some(reason) => {
                Ack::kept_here(format!("the NATS server does not let it have the buckets of the lattice: {reason}"))
            }
            None => Ack::accepted(),
        }
    }

    /// Sets a key, or deletes it when no value is given. Returns when the change is kept and visible in the tables.
    /// Dropping the future does not undo a write that was queued.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn write(
        &self,
        standing: Standing,
        bucket: Bucket,
        key: String,
        value: Option<Bytes>,
    ) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.order(standing, Command::Write(Write { bucket, key, value, done }), outcome).await?
    }

    /// Puts a revocation list that is [believed](Trust) into force. Returns when it is, and is kept. Dropping the future
    /// does not undo it.
    ///
    /// # Errors
    /// [`RevokeError`]; nothing was changed then.
    pub async fn revoke(&self, signed: Arc<SignedRevocations>) -> Result<(), RevokeError> {
        let (done, outcome) = oneshot::channel();
        self.order(Standing::Known, Command::Revoke(Revoke { signed, done }), outcome).await?
    }

    /// Puts an ownership record of this host into force, unless one that is there is preferred; the one in force then.
    /// Dropping the future does not undo it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn own(&self, record: Arc<SignedRecord>) -> Result<Arc<SignedRecord>, StoreError> {
        let (done, outcome) = oneshot::channel();
        self.order(Standing::Known, Command::Own(Own { record, done }), outcome).await?
    }

    async fn order<T>(
        &self,
        standing: Standing,
        command: Command,
        outcome: oneshot::Receiver<T>,
    ) -> Result<T, StoreError> {
        let queued = match standing {
            Standing::Known => self.lines.known(command).await,
            Standing::Stranger => self.lines.stranger(command),
        };
        match queued {
            Ok(()) => outcome.await.map_err(|_| StoreError::Stopping),
            Err(NotQueued::Stopping) => Err(StoreError::Stopping),
            Err(NotQueued::Full) => Err(StoreError::LimitExceeded(LimitExceeded {
                what: "changes for actors and providers that nobody knows, waiting; try again".to_owned(),
                found: queue::STRANGERS + 1,
                most: queue::STRANGERS,
                unit: "entries",
            })),
        }
    }
}

/// Where the buckets are reached.
pub struct BucketSource {
    /// JetStream on the control connection.
    pub jetstream: async_nats::jetstream::Context,
    /// Which lattice.
    pub lattice: LatticeId,
    /// How missing buckets are made.
    pub settings: BucketSettings,
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
    let (lines, queue) = queue::queue();
    let (effects, effects_out) = mpsc::unbounded_channel();
    let tables = Arc::new(Tables::default());
    let mut loaded = Loaded::default();
    for bucket in Bucket::ALL {
        loaded.read(&replica, bucket)?;
        if bucket == Bucket::Revocations {
            owners::load(&tables.owners, &trust, loaded.known.of(bucket)); // before any claims
        }
        for (key, entry) in loaded.known.of(bucket).iter().filter(|(_, entry)| entry.value.is_some()) {
            if let Some(effect) = tables.apply(bucket, key, entry.value.as_ref(), true) {
                effects.send(effect).ok();
            }
        }
    }
    tables.revocations.send_replace(Arc::new(revocations::load(&trust, loaded.known.of(Bucket::Revocations))));
    tables.counted(&loaded.known);
    let (state_in, state) = watch::channel(StoreState::default());
    let owner = Owner::new(replica, loaded, tables.clone(), trust, effects, queue, state_in);
    Ok((Store { lines, tables, state }, owner, effects_out))
}

/// What the replica holds and may be held in memory.
#[derive(Default)]
struct Loaded {
    known: Known,
    /// What is on the disk and beyond a bound: an older version took it. It stays there, out of use, until it is deleted.
    left_out: BTreeSet<(Bucket, String)>,
}

impl Loaded {
    /// Reads a bucket, without deletions of long ago.
    fn read(&mut self, replica: &Replica, bucket: Bucket) -> Result<(), ReplicaError> {
        let (now, mut old, mut refused) = (now_ms(), Vec::new(), None);
        replica.read(bucket, |key, entry| {
            if entry.may_be_forgotten(now) {
                old.push((key.to_owned(), None));
                return;
            }
            match entry.value.as_ref().map(|value| self.known.admit(bucket, key, value)) {
                Some(Err(error)) => {
                    self.left_out.insert((bucket, key.to_owned()));
                    refused = Some(error);
                }
                _ => self.known.set(bucket, key, Some(entry)),
            }
        })?;
        old.extend(self.known.surplus(bucket).into_iter().map(|key| (key, None)));
        for (key, _) in &old {
            self.known.set(bucket, key, None);
        }
        if !old.is_empty() {
            replica.set(bucket, &old, Kept::Now)?;
        }
        if let Some(error) = refused {
            let entries = self.left_out.iter().filter(|(of, _)| *of == bucket).count();
            let hint = "they stay on the disk and have no effect; delete them, or what is in their way";
            tracing::warn!(?bucket, entries, last = %error, hint, "lattice state on disk is more than may be");
        }
        Ok(())
    }
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
