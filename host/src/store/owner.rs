//! The task of the store: writes from here, changes from the buckets, comparison after every outage.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use lattice::{
    LatticeId,
    subject::{is_owner_key, revocation_bucket},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{BucketSource, Command, Effect, FIRST_RETRY, LONGEST_RETRY, Tables, Write, confirmed, now_ms, on_disk};
use crate::{
    buckets::{BucketError, Buckets, SELDOM, StoreState, Update, openable},
    state::{
        merge::{Action, Local, merge},
        replica::{Bucket, Kept, Replica, ReplicaError},
        revocations::Trust,
    },
};

/// Longest wait for the broker's word about one write.
pub(super) const CONFIRM_WITHIN: Duration = Duration::from_millis(1500);

/// The task's own side.
pub struct Owner {
    pub(super) replica: Replica,
    pub(super) known: HashMap<Bucket, BTreeMap<String, Local>>,
    pub(super) tables: Arc<Tables>,
    pub(super) trust: Arc<Trust>,
    pub(super) buckets: Option<Buckets>,
    /// Whether the broker does not let us have the bucket of revocations.
    closed: bool,
    effects: mpsc::UnboundedSender<Effect>,
    commands: mpsc::Receiver<Command>,
    retry: Duration,
    state: watch::Sender<StoreState>,
}

impl Owner {
    pub(super) fn new(
        replica: Replica,
        known: HashMap<Bucket, BTreeMap<String, Local>>,
        tables: Arc<Tables>,
        trust: Arc<Trust>,
        effects: mpsc::UnboundedSender<Effect>,
        commands: mpsc::Receiver<Command>,
        state: watch::Sender<StoreState>,
    ) -> Self {
        let (buckets, closed, retry) = (None, false, FIRST_RETRY);
        Self { replica, known, tables, trust, buckets, closed, effects, commands, retry, state }
    }

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
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
            }
        }
    }

    async fn run_synced(mut self, mut source: BucketSource, ready: watch::Sender<bool>, stop: CancellationToken) {
        let mut next_try = Box::pin(tokio::time::sleep(Duration::ZERO));
        let (jetstream, lattice, settings) =
            (source.jetstream.clone(), source.lattice.clone(), source.settings.clone());
        let openable = |wait| Box::pin(openable(&jetstream, &lattice, Bucket::Revocations, &settings, wait));
        let mut reopens = openable(SELDOM);
        // Beside everything else: a broker that says nothing must not keep those waiting who write here meanwhile.
        let mut opening = None;
        loop {
            // Only looked at, not marked as seen: an outage that began and ended during a write must still show below.
            let connected = *source.connected.borrow();
            if !connected {
                self.buckets = None;
                self.state.send_if_modified(|state| std::mem::take(state) != StoreState::Unknown);
            }
            let idle = self.buckets.is_none();
            let is_time = idle && connected && opening.is_none();
            tokio::select! {
                () = stop.cancelled() => return,
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                changed = source.connected.changed() => {
                    if changed.is_err() { return }
                    // A reconnect may bring an empty JetStream: look again, also if the change was too quick to see.
                    (self.buckets, opening) = (None, None);
                    reopens = openable(Duration::ZERO);
                    next_try.as_mut().reset(tokio::time::Instant::now());
                }
                update = next_update(&mut self.buckets), if !idle => self.follow(update).await,
                () = &mut reopens, if self.closed && connected => {
                    reopens = openable(SELDOM);
                    self.closed = false;
                    self.buckets = None;
                    next_try.as_mut().reset(tokio::time::Instant::now());
                }
                () = next_try.as_mut(), if is_time => {
                    opening = Some(Box::pin(Buckets::open(&jetstream, &lattice, &settings)));
                }
                opened = next_opened(&mut opening) => {
                    opening = None;
                    // A merge that a stop cuts short is made again at the next start; a broker that went away in its
                    // midst must not hold the host until every request has timed out.
                    let synced = tokio::select! {
                        () = stop.cancelled() => return,
                        synced = self.sync(opened, &source) => synced,
                    };
                    match synced {
                        Ok(()) => {
                            self.state.send_replace(StoreState::Open);
                            ready.send_replace(true);
                        }
                        Err(error) => {
                            self.complain(&error);
                            if let Some(reason) = error.refusal() {
                                self.state.send_replace(StoreState::Refused { reason });
                            }
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

    async fn sync(&mut self, opened: Result<Buckets, BucketError>, source: &BucketSource) -> Result<(), SyncError> {
        let mut buckets = opened?;
        for bucket in [Bucket::Lattice, Bucket::Config] {
            self.sync_bucket(&mut buckets, bucket).await?;
        }
        if !self.closed {
            match buckets.add(&source.jetstream, &source.lattice, Bucket::Revocations, &source.settings).await {
                Ok(()) => self.sync_revocations(&mut buckets).await?,
                Err(error) => self.close_revocations(&error, &source.lattice),
            }
        }
        self.buckets = Some(buckets);
        self.retry = FIRST_RETRY;
        Ok(())
    }

    /// A broker that was set up for hosts of others may not let us have this bucket. Links and claims must not suffer.
    fn close_revocations(&mut self, error: &BucketError, lattice: &LatticeId) {
        self.closed = true;
        let (error, bucket) = (error as &dyn std::error::Error, revocation_bucket(lattice));
        let hint = "may this host use the bucket on the NATS server? lists that are put here count here meanwhile";
        tracing::warn!(error, bucket, hint, "revocation lists cannot be exchanged with the lattice");
    }

    async fn sync_bucket(&mut self, buckets: &mut Buckets, bucket: Bucket) -> Result<(), SyncError> {
        let snapshot = buckets.snapshot(bucket).await?;
        let same = self.replica.incarnation(bucket)?.as_deref() == Some(&snapshot.incarnation);
        let mut changes = Vec::new();
        for (key, action) in merge(&self.known[&bucket], &snapshot.entries, same) {
            let change = self.act(buckets, bucket, &key, action).await?;
            changes.push((key, change));
        }
        self.take_all(bucket, changes).await?;
        let (replica, incarnation) = (self.replica.clone(), snapshot.incarnation);
        on_disk(move || replica.set_incarnation(bucket, &incarnation)).await?;
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
        let gone = |revision| known.as_ref().map(|entry| entry.deleted(revision, now_ms()));
        let change = match action {
            Action::Push(value) => {
                let revision = buckets.put(bucket, key, value.clone()).await?;
                Change { entry: Some(confirmed(Some(value), revision)), applied: true }
            }
            Action::Fill(value) => {
                // Where somebody was quicker, the watch brings what they have written, with a revision above none.
                let revision = buckets.fill(bucket, key, value.clone()).await?.unwrap_or(0);
                Change { entry: Some(confirmed(Some(value), revision)), applied: true }
            }
            Action::PushDelete => {
                buckets.delete(bucket, key).await?;
                Change { entry: gone(0), applied: true }
            }
            Action::Take(remote) => {
                let entry = match remote {
                    Some(remote) if remote.value.is_some() => Some(confirmed(remote.value, remote.revision)),
                    remote => gone(remote.map_or(0, |remote| remote.revision)),
                };
                Change { entry, applied: false }
            }
            Action::Conflict(winner) => {
                // Without the values: link values may be secrets.
                let kept =
                    if matches!(*winner, Action::Take(_)) { "what the lattice has" } else { "what this host has" };
                tracing::warn!(?bucket, %key, kept, "two writers changed one key while they were apart");
                return Box::pin(self.act(buckets, bucket, key, *winner)).await;
            }
            Action::Agree(revision) => {
                let entry = match known.as_ref().and_then(|entry| entry.value.clone()) {
                    Some(value) => Some(confirmed(Some(value), revision)),
                    None => gone(revision),
                };
                Change { entry, applied: true }
            }
        };
        Ok(change)
    }

    /// Keeps what a merge changed in one transaction, and lets it take effect, also where the disk is full: it is the
    /// lattice's, and the next comparison tries to keep it again.
    async fn take_all(&mut self, bucket: Bucket, changes: Vec<(String, Change)>) -> Result<(), ReplicaError> {
        let entries = changes.iter().map(|(key, change)| (key.clone(), change.entry.clone())).collect();
        let kept = self.keep(bucket, entries).await;
        for (key, change) in changes {
            if !change.applied {
                self.apply(bucket, &key, change.entry.and_then(|entry| entry.value).as_ref(), true);
            }
        }
        kept
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Write(write) => self.write(write).await,
            Command::Revoke(revoke) => self.revoke(revoke).await,
            Command::Own(own) => Box::pin(self.own(own)).await,
        }
    }

    /// One local write: replica first, so that what cannot be kept has not happened anywhere; then the bucket, when it
    /// is there.
    async fn write(&mut self, write: Write) {
        let Write { bucket, key, value, done } = write;
        let pending = self.pending(bucket, &key, value.clone());
        if let Err(error) = self.keep(bucket, vec![(key.clone(), pending)]).await {
            done.send(Err(error.into())).ok();
            return;
        }
        if let Some(revision) = self.send(bucket, &key, value.clone()).await {
            let entry = match value.clone() {
                Some(value) => Some(confirmed(Some(value), revision)),
                None => self.known[&bucket].get(&key).map(|entry| entry.deleted(entry.revision, now_ms())),
            };
            self.note(bucket, key.clone(), entry).await;
        }
        self.apply(bucket, &key, value.as_ref(), false);
        done.send(Ok(())).ok();
    }

    /// Sends a write to the bucket; none when the broker did not confirm it. Whoever ordered the write waits, and it is
    /// kept already, so not for as long as a broker may take otherwise.
    pub(super) async fn send(&mut self, bucket: Bucket, key: &str, value: Option<Bytes>) -> Option<u64> {
        let buckets = self.buckets.as_mut().filter(|buckets| buckets.has(bucket))?;
        let writing = async {
            match value {
                Some(value) => buckets.put(bucket, key, value).await,
                None => buckets.delete(bucket, key).await.map(|()| 0),
            }
        };
        let outcome = tokio::time::timeout(CONFIRM_WITHIN, writing).await;
        match outcome.unwrap_or(Err(BucketError::Timeout { step: "writing a key" })) {
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
        let replaced = before.and_then(Local::origin);
        Some(Local { value, revision, written_ms: now_ms(), pending: true, replaced })
    }

    pub(super) async fn follow(&mut self, update: Result<(Bucket, Update), BucketError>) {
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
        if bucket == Bucket::Revocations && is_owner_key(&update.key) {
            return self.follow_owner(update).await;
        }
        if bucket == Bucket::Revocations {
            return self.follow_revocations(update).await;
        }
        let known = self.known[&bucket].get(&update.key);
        if known.is_some_and(|entry| entry.revision >= update.remote.revision) {
            return;
        }
        let revision = update.remote.revision;
        let entry = match update.remote.value.clone() {
            Some(value) => Some(confirmed(Some(value), revision)),
            None => known.map(|entry| entry.deleted(revision, now_ms())),
        };
        if let Err(error) = self.keep(bucket, vec![(update.key.clone(), entry)]).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, key = %update.key, "cannot keep lattice state on disk; comparing again");
            self.buckets = None; // until the disk has it
        }
        self.apply(bucket, &update.key, update.remote.value.as_ref(), false);
    }

    /// Writes records that differ from what is kept, in one transaction.
    pub(super) async fn keep(
        &mut self,
        bucket: Bucket,
        entries: Vec<(String, Option<Local>)>,
    ) -> Result<(), ReplicaError> {
        let known = self.known.get_mut(&bucket).expect("every bucket was loaded");
        let mut changed: Vec<_> = entries;
        changed.retain(|(key, entry)| known.get(key) != entry.as_ref());
        if changed.is_empty() {
            return Ok(());
        }
        let (replica, records) = (self.replica.clone(), changed.clone());
        on_disk(move || replica.set(bucket, &records, Kept::Now)).await?;
        know(known, changed);
        Ok(())
    }

    /// Notes that the bucket has what was [kept](Self::keep) as pending. Losing this note loses nothing: the next
    /// comparison finds out.
    async fn note(&mut self, bucket: Bucket, key: String, entry: Option<Local>) {
        let (replica, records) = (self.replica.clone(), [(key, entry)]);
        let written = records.clone();
        if let Err(error) = on_disk(move || replica.set(bucket, &written, Kept::Later)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a confirmed write stays pending on disk");
        }
        know(self.known.get_mut(&bucket).expect("every bucket was loaded"), records);
    }

    fn apply(&self, bucket: Bucket, key: &str, value: Option<&Bytes>, replayed: bool) {
        if let Some(effect) = self.tables.apply(bucket, key, value, replayed) {
            self.effects.send(effect).ok();
        }
    }
}

fn know(known: &mut BTreeMap<String, Local>, records: impl IntoIterator<Item = (String, Option<Local>)>) {
    for (key, entry) in records {
        match entry {
            Some(entry) => known.insert(key, entry),
            None => known.remove(&key),
        };
    }
}

/// Why a comparison with the buckets did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error("lattice state in JetStream")]
    Bucket(#[from] BucketError),
    #[error("lattice state on disk")]
    Replica(#[from] ReplicaError),
}

impl SyncError {
    /// What the server said no to, and why. Silence and a disk of ours are no refusal.
    fn refusal(&self) -> Option<String> {
        match self {
            Self::Bucket(error @ BucketError::Refused { .. }) => Some(error.to_string()),
            Self::Bucket(BucketError::Timeout { .. } | BucketError::WatchEnded) | Self::Replica(_) => None,
        }
    }
}

/// What a merge changes here. `applied`: the tables show it already.
struct Change {
    entry: Option<Local>,
    applied: bool,
}

async fn next_opened<T>(opening: &mut Option<impl Future<Output = T> + Unpin>) -> T {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn next_update(buckets: &mut Option<Buckets>) -> Result<(Bucket, Update), BucketError> {
    match buckets {
        Some(buckets) => buckets.next().await,
        None => std::future::pending().await,
    }
}
