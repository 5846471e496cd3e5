//! Comparing what is known with the buckets, after every outage: read them, decide, carry out, take in.
//!
//! Reading and carrying out need the broker and go on beside everything else; deciding and taking in are the store's own
//! and take no round trip. What was written here meanwhile stays pending and is sent behind. Invariant: a comparison that
//! ends half way is made again, and finds what it did already as agreed.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Conflict, Owner, Side,
    open_buckets::{OpenBuckets, Writers},
    revocations::{Read, Reading},
};
use crate::{
    Bucket,
    buckets::{BucketError, Buckets, Snapshot},
    merge::{Action, Local, Remote, fingerprint, merge},
    replica::ReplicaError,
    world::{Disk, World},
};

/// Keys that are written at once.
pub(super) const AT_ONCE: usize = 64;

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
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            Self::Bucket(error @ BucketError::Refused { .. }) => Some(error.to_string()),
            Self::Bucket(BucketError::Timeout { .. } | BucketError::WatchEnded) | Self::Replica(_) => None,
        }
    }
}

/// The buckets as they were when they were opened.
pub(super) struct Opened<B: Buckets> {
    buckets: OpenBuckets<B>,
    snapshots: Vec<(Bucket, Snapshot)>,
}

/// Opens the buckets and reads them.
pub(super) async fn open<B: Buckets>(from: &B) -> Result<Opened<B>, BucketError> {
    let mut buckets = OpenBuckets::open(from).await?;
    let mut snapshots = Vec::new();
    for bucket in Bucket::MERGED {
        snapshots.push((bucket, buckets.snapshot(bucket).await?));
    }
    Ok(Opened { buckets, snapshots })
}

/// What is to be done.
pub(super) struct Plan<B: Buckets> {
    buckets: OpenBuckets<B>,
    steps: Vec<Step>,
    incarnations: Vec<(Bucket, String)>,
}

struct Step {
    bucket: Bucket,
    key: String,
    action: Action,
    /// What was known when it was decided.
    base: Option<Local>,
}

/// What was done.
pub(super) struct Carried<B: Buckets> {
    buckets: OpenBuckets<B>,
    done: Vec<(Step, u64)>,
    incarnations: Vec<(Bucket, String)>,
    /// The revocation lists of the lattice, or why their bucket cannot be had; none where it is not asked for.
    pub(super) revocations: Option<Result<Read, BucketError>>,
}

impl<B: Buckets> Plan<B> {
    /// Does the bucket's side of it, and reads the revocation lists.
    pub(super) async fn carry_out<W: World<Buckets = B>>(
        self,
        reading: Option<Reading<W>>,
    ) -> Result<Carried<B>, BucketError> {
        let Self { mut buckets, steps, incarnations } = self;
        let writers = buckets.writers();
        let steps = steps.into_iter().map(|step| {
            let writers = writers.clone();
            async move {
                let revision = step.carry_out(&writers).await?;
                Ok::<_, BucketError>((step, revision))
            }
        });
        // In the order in which it was decided: claims come before what is admitted because of them.
        let done = stream::iter(steps).buffered(AT_ONCE).try_collect().await?;
        let revocations = match reading {
            Some(reading) => Some(reading.read(&mut buckets).await?),
            None => None,
        };
        Ok(Carried { buckets, done, incarnations, revocations })
    }
}

impl Step {
    /// The revision of the key afterwards, as far as it is known.
    async fn carry_out<B: Buckets>(&self, writers: &Writers<B>) -> Result<u64, BucketError> {
        let Self { bucket, key, .. } = self;
        match &self.action {
            Action::Push(value) => writers.put(*bucket, key, value.clone()).await,
            // Where somebody was quicker, the watch brings what they have written, with a revision above none.
            Action::Fill(value) => Ok(writers.fill(*bucket, key, value.clone()).await?.unwrap_or(0)),
            Action::PushDelete => writers.delete(*bucket, key).await.map(|()| 0),
            Action::Take(remote) => Ok(remote.as_ref().map_or(0, |remote| remote.revision)),
            Action::Agree(revision) => Ok(*revision),
            Action::Conflict(_) => Ok(0),
        }
    }

    /// What is known afterwards, if nothing was written here meanwhile.
    fn entry(&self, revision: u64, now_ms: u64) -> Option<Local> {
        let base = self.base.as_ref();
        let confirmed = |value| Local { value, revision, written_ms: now_ms, pending: false, replaced: None };
        match &self.action {
            Action::Push(value) | Action::Fill(value) => Some(confirmed(Some(value.clone()))),
            Action::Take(Some(Remote { value: Some(value), .. })) => Some(confirmed(Some(value.clone()))),
            Action::Agree(_) if base.is_some_and(|entry| entry.value.is_some()) => {
                Some(confirmed(base.and_then(|entry| entry.value.clone())))
            }
            Action::Take(_) | Action::PushDelete | Action::Agree(_) | Action::Conflict(_) => {
                base.map(|entry| entry.deleted(revision, now_ms))
            }
        }
    }

    /// The value that the bucket has now, as far as a later change here replaces it.
    fn value(&self) -> Option<&Bytes> {
        match &self.action {
            Action::Push(value) | Action::Fill(value) => Some(value),
            Action::Take(remote) => remote.as_ref().and_then(|remote| remote.value.as_ref()),
            _ => None,
        }
    }
}

impl<W: World> Owner<W> {
    /// Decides what is to be done.
    pub(super) fn plan(&self, opened: Opened<W::Buckets>) -> Result<Plan<W::Buckets>, SyncError> {
        let Opened { buckets, snapshots } = opened;
        let mut plan = Plan { buckets, steps: Vec::new(), incarnations: Vec::new() };
        for (bucket, snapshot) in snapshots {
            let same = self.disk.incarnation(bucket)?.as_deref() == Some(&snapshot.incarnation);
            let known = self.known.of(bucket);
            if !snapshot.unread.is_empty() {
                let hint = "they have no effect here; delete them, or what is in their way";
                tracing::warn!(?bucket, entries = snapshot.unread.len(), hint, "a bucket has more than may be read");
            }
            for (key, action) in merge(known, &snapshot.entries, same) {
                // Whatever is known of it stays: it is not gone, only too much.
                if snapshot.unread.contains(&key) {
                    continue;
                }
                let action = self.decided(bucket, &key, action);
                let base = known.get(&key).cloned();
                plan.steps.push(Step { bucket, key, action, base });
            }
            plan.incarnations.push((bucket, snapshot.incarnation));
        }
        Ok(plan)
    }

    /// Takes in what was done: keeps it in one transaction per bucket and lets it take effect, also where the disk is full:
    /// it is the lattice's, and the next comparison tries to keep it again.
    pub(super) async fn settle(&mut self, carried: Carried<W::Buckets>) -> Result<OpenBuckets<W::Buckets>, SyncError> {
        let Carried { buckets, done, incarnations, revocations: _ } = carried;
        let mut kept = Ok(());
        let mut refused = BTreeSet::new();
        for (bucket, _) in &incarnations {
            let (mut records, mut effects) = (Vec::new(), Vec::new());
            for (step, revision) in done.iter().filter(|(step, _)| step.bucket == *bucket) {
                match self.decide(step, *revision, &mut refused) {
                    None => {}
                    Some(Taken::WrittenMeanwhile(entry)) => records.push((step, entry)),
                    Some(Taken::Settled(entry)) => {
                        if matches!(step.action, Action::Take(_)) {
                            effects.push((&step.key, entry.as_ref().and_then(|entry| entry.value.clone())));
                        }
                        if entry != step.base {
                            records.push((step, entry));
                        }
                    }
                }
            }
            let written = records.iter().map(|(step, entry)| (step.key.clone(), entry.clone())).collect();
            let outcome = self.keep_these(*bucket, written).await;
            if outcome.is_err() {
                for (step, _) in records {
                    if self.known.get(*bucket, &step.key).is_some_and(|entry| !entry.pending) {
                        self.known.set(*bucket, &step.key, step.base.clone());
                    }
                }
            }
            kept = kept.and(outcome);
            for (key, value) in effects {
                self.apply(*bucket, key, value.as_ref(), true);
            }
        }
        if !refused.is_empty() {
            self.tables.refuse(refused.len() as u64);
            let (entries, first) = (refused.len(), refused.first());
            let hint = "they stay in the bucket and have no effect here; delete them, or what is in their way";
            tracing::warn!(entries, ?first, hint, "the lattice has more state than may be");
        }
        self.tables.counted(&self.known);
        kept?;
        for (bucket, incarnation) in incarnations {
            self.on_disk(move |disk| disk.set_incarnation(bucket, &incarnation)).await?;
        }
        Ok(buckets)
    }

    /// What is to be known of a key now; none: it is not taken.
    fn decide(&mut self, step: &Step, revision: u64, refused: &mut BTreeSet<String>) -> Option<Taken> {
        let now = self.known.get(step.bucket, &step.key);
        if now != step.base.as_ref() {
            // Written here since it was decided: that is later, and is sent behind.
            if matches!(step.action, Action::Take(_)) {
                self.world.tell(&Conflict { bucket: step.bucket, key: step.key.clone(), kept: Side::Here });
            }
            let replaced = step.value().map(|value| fingerprint(value));
            return Some(Taken::WrittenMeanwhile(now.map(|entry| Local { revision, replaced, ..entry.clone() })));
        }
        let entry = step.entry(revision, self.world.now_ms());
        if let (Action::Take(_), Some(value)) = (&step.action, entry.as_ref().and_then(|entry| entry.value.as_ref())) {
            if self.known.admit(step.bucket, &step.key, value).is_err() {
                refused.insert(step.key.clone());
                return None;
            }
            // Counted at once, because the next may be admitted because of it, or no more.
            self.known.set(step.bucket, &step.key, entry.clone());
        }
        Some(Taken::Settled(entry))
    }

    /// What is to be done, and where both sides changed, who is told of it.
    fn decided(&self, bucket: Bucket, key: &str, action: Action) -> Action {
        match action {
            Action::Conflict(winner) => {
                let kept = if matches!(*winner, Action::Take(_)) { Side::Lattice } else { Side::Here };
                self.world.tell(&Conflict { bucket, key: key.to_owned(), kept });
                *winner
            }
            action => action,
        }
    }
}

/// What is to be known of a key.
enum Taken {
    /// This, as it was decided.
    Settled(Option<Local>),
    /// This, which was written here since it was decided.
    WrittenMeanwhile(Option<Local>),
}
