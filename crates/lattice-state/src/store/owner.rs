//! What the task of the store holds, and how it keeps it: on the disk first, then in memory, then for everybody to see.
//!
//! What the task does stands above: [orders and changes](super::run), [writes](super::write), comparison, revocations
//! and owners. Invariant: only this task changes what is known.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::{
    open_buckets::OpenBuckets,
    queue::Queue,
    tables::{Effect, Tables},
};
use crate::{
    Bucket,
    buckets::StoreState,
    known::Known,
    merge::Local,
    replica::{Kept, ReplicaError},
    revocations::Trust,
    world::{Disk, Records, World},
};

/// Between the first two attempts to compare; then twice as long each time.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(100);

/// The task's own side.
pub struct Owner<W: World> {
    pub(super) world: W,
    pub(super) disk: W::Disk,
    pub(super) known: Known,
    /// On the disk, out of use.
    pub(super) left_out: BTreeSet<(Bucket, String)>,
    /// In the tables and not on the disk, which was full when it came.
    pub(super) unkept: BTreeSet<(Bucket, String)>,
    pub(super) tables: Arc<Tables>,
    pub(super) trust: Arc<Trust>,
    pub(super) buckets: Option<OpenBuckets<W::Buckets>>,
    /// Whether the broker does not let us have the bucket of revocations.
    pub(super) closed: bool,
    pub(super) effects: mpsc::UnboundedSender<Effect>,
    pub(super) queue: Queue,
    pub(super) retry: Duration,
    pub(super) state: watch::Sender<StoreState>,
}

impl<W: World> Owner<W> {
    /// Writes records that differ from what is kept, in one transaction, and forgets the oldest deletions that are too
    /// many.
    pub(super) async fn keep(&mut self, bucket: Bucket, entries: Records) -> Result<(), ReplicaError> {
        let mut changed: Vec<_> = entries;
        changed.retain(|(key, entry)| self.known.get(bucket, key) != entry.as_ref());
        self.keep_these(bucket, changed).await
    }

    /// Writes records in one transaction.
    pub(super) async fn keep_these(&mut self, bucket: Bucket, mut records: Records) -> Result<(), ReplicaError> {
        records.extend(self.known.surplus(bucket).into_iter().map(|key| (key, None)));
        if records.is_empty() {
            return Ok(());
        }
        let written = records.clone();
        self.on_disk(move |disk| disk.set(bucket, &written, Kept::Now)).await?;
        self.know(bucket, records);
        Ok(())
    }

    /// Notes that the bucket has what was kept as pending. Losing this note loses nothing: the next comparison finds out.
    pub(super) async fn note(&mut self, bucket: Bucket, records: Records) {
        if records.is_empty() {
            return;
        }
        let written = records.clone();
        if let Err(error) = self.on_disk(move |disk| disk.set(bucket, &written, Kept::Later)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a confirmed write stays pending on disk");
        }
        self.know(bucket, records);
    }

    pub(super) fn know(&mut self, bucket: Bucket, records: Records) {
        for (key, entry) in records {
            self.known.set(bucket, &key, entry);
        }
    }

    /// A signed statement as it is kept.
    pub(super) fn statement(&self, token: Bytes) -> Local {
        Local::confirmed(None, token, 0, self.world.now_ms())
    }

    /// Works with the disk where it blocks nobody.
    pub(super) async fn on_disk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&W::Disk) -> Result<T, ReplicaError> + Send + 'static,
    ) -> Result<T, ReplicaError> {
        let disk = self.disk.clone();
        self.world.blocking(move || work(&disk)).await.unwrap_or(Err(ReplicaError::Interrupted))
    }

    pub(super) fn apply(&self, bucket: Bucket, key: &str, value: Option<&Bytes>, replayed: bool) {
        if let Some(effect) = self.tables.apply(bucket, key, value, replayed) {
            self.effects.send(effect).ok();
        }
    }
}
