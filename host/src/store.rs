//! The owner of lattice state: one task between the local replica, the JetStream buckets and the tables in memory.
//!
//! A write goes to the bucket when the broker is there and to the replica always; without the broker it is kept as
//! pending and sent after the next merge. Whatever changes, from here or from others, passes [`Owner::apply`] exactly
//! once and leaves as an [`Effect`]. Invariant: tables, replica and (when synced) buckets agree.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use lattice::{
    LatticeId, Link,
    stored_claims::StoredClaims,
    subject::{LatticeKey, parse_config_key},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    buckets::{BucketError, Buckets, Update},
    state::{
        claims::ClaimsCache,
        links::{LinkChange, Links},
        merge::{Action, Local, merge},
        replica::{Bucket, Replica, ReplicaError},
    },
};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// What the lattice looks like, for everybody to read without waiting.
#[derive(Default)]
pub struct Tables {
    /// Links.
    pub links: Links,
    /// Claims.
    pub claims: ClaimsCache,
    /// Configuration by KV key.
    pub config: RwLock<BTreeMap<String, Bytes>>,
}

/// What a change means for the rest of the host.
#[derive(Debug)]
pub enum Effect {
    /// A link came, changed or went. `replayed`: it was there before this host looked.
    Link {
        /// The change.
        change: LinkChange,
        /// Whether it is old news.
        replayed: bool,
    },
    /// A configuration entry was set (or deleted).
    Config {
        /// Actor or provider.
        entity: String,
        /// Entry name.
        key: String,
        /// Set, or deleted.
        set: bool,
    },
}

/// Why a write was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The replica cannot keep it.
    #[error("cannot keep the change on this host's disk")]
    Replica(#[from] ReplicaError),
    /// The host is stopping.
    #[error("this host is stopping")]
    Stopping,
}

struct Write {
    bucket: Bucket,
    key: String,
    value: Option<Bytes>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// Handle of the store.
#[derive(Clone)]
pub struct Store {
    writes: mpsc::Sender<Write>,
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
        let write = Write { bucket, key, value, done };
        self.writes.send(write).await.map_err(|_| StoreError::Stopping)?;
        outcome.await.map_err(|_| StoreError::Stopping)?
    }
}

/// The task's own side.
pub struct Owner {
    replica: Replica,
    known: HashMap<Bucket, BTreeMap<String, Local>>,
    tables: Arc<Tables>,
    effects: mpsc::UnboundedSender<Effect>,
    writes: mpsc::Receiver<Write>,
    buckets: Option<Buckets>,
    retry: Duration,
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

/// Loads the replica into fresh tables. The owner must then be [run](Owner::run).
///
/// # Errors
/// [`ReplicaError`] when the disk state cannot be read.
pub fn open(replica: Replica) -> Result<(Store, Owner, mpsc::UnboundedReceiver<Effect>), ReplicaError> {
    let (writes_in, writes) = mpsc::channel(256);
    let (effects, effects_out) = mpsc::unbounded_channel();
    let tables = Arc::new(Tables::default());
    let mut owner = Owner {
        known: HashMap::new(),
        replica,
        tables: tables.clone(),
        effects,
        writes,
        buckets: None,
        retry: FIRST_RETRY,
    };
    for bucket in Bucket::ALL {
        let entries = owner.replica.load(bucket)?;
        for (key, entry) in &entries {
            owner.apply(bucket, key, entry.value.as_ref(), true);
        }
        owner.known.insert(bucket, entries);
    }
    Ok((Store { writes: writes_in, tables }, owner, effects_out))
}

impl Owner {
    /// Serves writes and follows the buckets until `stop`. `ready` turns true after the first merge, or at once when
    /// there is no broker.
    pub async fn run(self, source: Option<BucketSource>, ready: watch::Sender<bool>, stop: CancellationToken) {
        match source {
            None => {
                ready.send_replace(true);
                self.run_alone(stop).await;
            }
            Some(source) => self.run_synced(source, ready, stop).await,
        }
    }

    async fn run_alone(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                write = self.writes.recv() => match write {
                    Some(write) => self.write(write).await,
                    None => return,
                },
            }
        }
    }

    async fn run_synced(mut self, mut source: BucketSource, ready: watch::Sender<bool>, stop: CancellationToken) {
        let mut next_try = Box::pin(tokio::time::sleep(Duration::ZERO));
        loop {
            // Only looked at, not marked as seen: an outage that began and ended during a write must still show below.
            let connected = *source.connected.borrow();
            if !connected {
                self.buckets = None;
            }
            let idle = self.buckets.is_none();
            tokio::select! {
                () = stop.cancelled() => return,
                write = self.writes.recv() => match write {
                    Some(write) => self.write(write).await,
                    None => return,
                },
                changed = source.connected.changed() => {
                    if changed.is_err() { return }
                    // A reconnect may bring an empty JetStream: look again, also if the change was too quick to see.
                    self.buckets = None;
                    next_try.as_mut().reset(tokio::time::Instant::now());
                }
                update = next_update(&mut self.buckets), if !idle => self.follow(update).await,
                () = next_try.as_mut(), if idle && connected => {
                    match self.sync(&source).await {
                        Ok(()) => { ready.send_replace(true); }
                        Err(error) => {
                            self.complain(&error);
                            next_try.as_mut().reset(tokio::time::Instant::now() + self.retry);
                            self.retry = (self.retry * 2).min(LONGEST_RETRY);
                        }
                    }
                }
            }
        }
    }

    /// Says once per outage that lattice state cannot be had; the retries go on quietly.
    fn complain(&self, error: &SyncError) {
        let error = error as &dyn std::error::Error;
        if self.retry == FIRST_RETRY {
            let hint = "if it stays so: is JetStream enabled on the NATS server, and may this host use it?";
            tracing::warn!(error, hint, "cannot compare lattice state yet; links and claims of this host are used");
        } else {
            tracing::debug!(error, "cannot compare lattice state yet");
        }
    }

    async fn sync(&mut self, source: &BucketSource) -> Result<(), SyncError> {
        let mut buckets = Buckets::open(&source.jetstream, &source.lattice).await?;
        for bucket in Bucket::ALL {
            let snapshot = buckets.snapshot(bucket).await?;
            let same = self.replica.incarnation(bucket)?.as_deref() == Some(&snapshot.incarnation);
            let mut changes = Vec::new();
            for (key, action) in merge(&self.known[&bucket], &snapshot.entries, same) {
                let change = self.act(&mut buckets, bucket, &key, action).await?;
                changes.push((key, change));
            }
            self.take_all(bucket, changes).await?;
            let (replica, incarnation) = (self.replica.clone(), snapshot.incarnation);
            on_disk(move || replica.set_incarnation(bucket, &incarnation)).await?;
        }
        self.buckets = Some(buckets);
        self.retry = FIRST_RETRY;
        Ok(())
    }

    /// Does what the merge decided on the bucket's side; returns what must change here.
    async fn act(
        &mut self,
        buckets: &mut Buckets,
        bucket: Bucket,
        key: &str,
        action: Action,
    ) -> Result<Change, BucketError> {
        let known = self.known[&bucket].get(key).cloned();
        let change = match action {
            Action::Push(value) => {
                let revision = buckets.put(bucket, key, value.clone()).await?;
                Change { entry: Some(confirmed(Some(value), revision)), applied: true }
            }
            Action::PushDelete => {
                buckets.delete(bucket, key).await?;
                Change { entry: None, applied: true }
            }
            Action::Take(remote) => {
                let entry = remote.filter(|remote| remote.value.is_some());
                Change { entry: entry.map(|remote| confirmed(remote.value, remote.revision)), applied: false }
            }
            Action::Conflict(winner) => {
                tracing::warn!(%key, here = ?known, ?winner, "two writers changed one key while they were apart");
                return Box::pin(self.act(buckets, bucket, key, *winner)).await;
            }
            Action::Agree(revision) => {
                let value = known.and_then(|entry| entry.value.clone());
                Change { entry: Some(confirmed(value, revision)), applied: true }
            }
            Action::Forget => Change { entry: None, applied: true },
        };
        Ok(change)
    }

    /// Keeps what a merge changed in one transaction, then lets it take effect.
    async fn take_all(&mut self, bucket: Bucket, changes: Vec<(String, Change)>) -> Result<(), ReplicaError> {
        let entries = changes.iter().map(|(key, change)| (key.clone(), change.entry.clone())).collect();
        self.keep(bucket, entries).await?;
        for (key, change) in changes {
            if !change.applied {
                self.apply(bucket, &key, change.entry.and_then(|entry| entry.value).as_ref(), true);
            }
        }
        Ok(())
    }

    /// One local write: bucket first when it is there, replica always.
    async fn write(&mut self, write: Write) {
        let Write { bucket, key, value, done } = write;
        let entry = match self.send(bucket, &key, value.clone()).await {
            Some(revision) => value.clone().map(|value| confirmed(Some(value), revision)),
            None => self.pending(bucket, &key, value.clone()),
        };
        let kept = self.keep(bucket, vec![(key.clone(), entry)]).await;
        if kept.is_ok() {
            self.apply(bucket, &key, value.as_ref(), false);
        }
        done.send(kept.map_err(StoreError::from)).ok();
    }

    /// Sends a write to the bucket; none when the broker did not confirm it.
    async fn send(&mut self, bucket: Bucket, key: &str, value: Option<Bytes>) -> Option<u64> {
        let buckets = self.buckets.as_mut()?;
        let outcome = match value {
            Some(value) => buckets.put(bucket, key, value).await,
            None => buckets.delete(bucket, key).await.map(|()| 0),
        };
        match outcome {
            Ok(revision) => Some(revision),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, %key, "broker did not confirm a write; kept here and sent later");
                self.buckets = None;
                None
            }
        }
    }

    fn pending(&self, bucket: Bucket, key: &str, value: Option<Bytes>) -> Option<Local> {
        let before = self.known[&bucket].get(key);
        if value.is_none() && before.is_none() {
            return None;
        }
        let revision = before.map_or(0, |entry| entry.revision);
        Some(Local { value, revision, written_ms: now_ms(), pending: true })
    }

    async fn follow(&mut self, update: Result<(Bucket, Update), BucketError>) {
        let (bucket, update) = match update {
            Ok(update) => update,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "lost sight of lattice state; comparing again"
                );
                self.buckets = None;
                return;
            }
        };
        let known = self.known[&bucket].get(&update.key);
        if known.is_some_and(|entry| entry.revision >= update.remote.revision) {
            return;
        }
        let entry = update.remote.value.clone().map(|value| confirmed(Some(value), update.remote.revision));
        if let Err(error) = self.keep(bucket, vec![(update.key.clone(), entry)]).await {
            tracing::error!(error = &error as &dyn std::error::Error, key = %update.key, "cannot keep lattice state on disk");
        }
        self.apply(bucket, &update.key, update.remote.value.as_ref(), false);
    }

    /// Writes records that differ from what is kept, in one transaction.
    async fn keep(&mut self, bucket: Bucket, entries: Vec<(String, Option<Local>)>) -> Result<(), ReplicaError> {
        let known = self.known.get_mut(&bucket).expect("every bucket was loaded");
        let mut changed: Vec<_> = entries;
        changed.retain(|(key, entry)| known.get(key) != entry.as_ref());
        if changed.is_empty() {
            return Ok(());
        }
        let (replica, records) = (self.replica.clone(), changed.clone());
        on_disk(move || replica.set(bucket, &records)).await?;
        for (key, entry) in changed {
            match entry {
                Some(entry) => known.insert(key, entry),
                None => known.remove(&key),
            };
        }
        Ok(())
    }

    fn apply(&mut self, bucket: Bucket, key: &str, value: Option<&Bytes>, replayed: bool) {
        match bucket {
            Bucket::Lattice => self.apply_lattice(key, value, replayed),
            Bucket::Config => self.apply_config(key, value),
        }
    }

    fn apply_lattice(&mut self, key: &str, value: Option<&Bytes>, replayed: bool) {
        match (LatticeKey::parse(key), value) {
            (Some(LatticeKey::Link(id)), Some(value)) => match Link::from_json(value) {
                Ok(link) if link.id() == id => self.effect(self.tables.links.put(link), replayed),
                Ok(_) => tracing::error!(%key, "ignoring a link whose key does not match its content"),
                Err(error) => tracing::error!(%key, %error, "ignoring an undecodable link"),
            },
            (Some(LatticeKey::Link(id)), None) => self.effect(self.tables.links.delete(&id), replayed),
            (Some(LatticeKey::Claims(subject)), Some(value)) => match StoredClaims::from_json(value) {
                Ok(claims) if claims.subject() == subject => {
                    self.tables.claims.put(claims);
                }
                Ok(_) => tracing::error!(%key, "ignoring claims whose key does not match their subject"),
                Err(error) => tracing::error!(%key, %error, "ignoring undecodable claims"),
            },
            (Some(LatticeKey::Claims(subject)), None) => self.tables.claims.delete(&subject),
            (None, _) => tracing::debug!(%key, "lattice state of a kind this host does not know"),
        }
    }

    fn effect(&self, change: LinkChange, replayed: bool) {
        if change != LinkChange::Unchanged {
            self.effects.send(Effect::Link { change, replayed }).ok();
        }
    }

    fn apply_config(&mut self, key: &str, value: Option<&Bytes>) {
        {
            let mut config = self.tables.config.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            match value {
                Some(value) => config.insert(key.to_owned(), value.clone()),
                None => config.remove(key),
            };
        }
        if let Some((entity, name)) = parse_config_key(key) {
            let effect = Effect::Config { entity: entity.to_string(), key: name.to_owned(), set: value.is_some() };
            self.effects.send(effect).ok();
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("lattice state in JetStream")]
    Bucket(#[from] BucketError),
    #[error("lattice state on disk")]
    Replica(#[from] ReplicaError),
}

/// What a merge changes here. `applied`: the tables show it already.
struct Change {
    entry: Option<Local>,
    applied: bool,
}

/// Runs a disk write where it blocks nobody.
async fn on_disk<T: Send + 'static>(
    write: impl FnOnce() -> Result<T, ReplicaError> + Send + 'static,
) -> Result<T, ReplicaError> {
    tokio::task::spawn_blocking(write).await.map_err(|_| ReplicaError::Interrupted)?
}

fn confirmed(value: Option<Bytes>, revision: u64) -> Local {
    Local { value, revision, written_ms: now_ms(), pending: false }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn next_update(buckets: &mut Option<Buckets>) -> Result<(Bucket, Update), BucketError> {
    match buckets {
        Some(buckets) => buckets.next().await,
        None => std::future::pending().await,
    }
}
