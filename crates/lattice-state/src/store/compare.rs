//! Comparing what is known with the buckets, after every outage: read them, decide, carry out, take in.
//!
//! Reading and carrying out need the broker and go on beside everything else; deciding and taking in are the store's own
//! and take no round trip. What was written here meanwhile stays pending and is sent behind. Invariant: a comparison that
//! ends half way is made again, and finds what it did already as agreed.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    at_once::at_once,
    error::SyncError,
    open_buckets::{OpenBuckets, Writers},
    owner::Owner,
    revocations::{Read, Reading},
};
use crate::{
    Bucket,
    buckets::{BucketError, Buckets, Snapshot},
    conflict::{Conflict, Side},
    merge::{Action, Local, Remote, fingerprint, merge},
    rules::Rule,
    world::{Disk, World},
};

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
    /// The last revision that the bucket had then.
    last: u64,
}

/// What was done.
pub(super) struct Carried<B: Buckets> {
    buckets: OpenBuckets<B>,
    /// With the revision of the key afterwards; none where somebody was quicker.
    done: Vec<(Step, Option<u64>)>,
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
        let done = stream::iter(steps).buffered(at_once()).try_collect().await?;
        let revocations = match reading {
            Some(reading) => Some(reading.read(&mut buckets).await?),
            None => None,
        };
        Ok(Carried { buckets, done, incarnations, revocations })
    }
}

impl Step {
    /// The revision of the key afterwards, as far as it is known; none when somebody was quicker. What was decided by one
    /// state of a key must not overwrite another, of which nobody has decided anything.
    async fn carry_out<B: Buckets>(&self, writers: &Writers<B>) -> Result<Option<u64>, BucketError> {
        let Self { bucket, key, last, .. } = self;
        let value = match &self.action {
            Action::Push(value) | Action::Fill(value) => Some(value.clone()),
            Action::PushDelete => None,
            Action::Take(remote) => return Ok(Some(remote.as_ref().map_or(0, |remote| remote.revision))),
            Action::Agree(revision) => return Ok(Some(*revision)),
            Action::Conflict(_) => return Ok(Some(0)),
        };
        if Rule::OverwriteOnlyWhatWasSeen.holds() {
            return writers.replace(*bucket, key, value, *last).await;
        }
        match value {
            Some(value) => writers.put(*bucket, key, value).await.map(Some),
            None => writers.delete(*bucket, key).await.map(|()| Some(0)),
        }
    }

    /// What is known afterwards, if nothing was written here meanwhile.
    fn entry(&self, revision: u64, now_ms: u64) -> Option<Local> {
        let base = self.base.as_ref();
        let confirmed = |value: &Bytes| Some(Local::confirmed(base, value.clone(), revision, now_ms));
        match &self.action {
            Action::Push(value) | Action::Fill(value) => confirmed(value),
            Action::Take(Some(Remote { value: Some(value), .. })) => confirmed(value),
            Action::Agree(_) if base.is_some_and(|entry| entry.value.is_some()) => {
                base.and_then(|entry| confirmed(entry.value.as_ref()?))
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
            let same = self.disk.incarnation(bucket)?.as_deref() == Some(&snapshot.incarnation)
                || !Rule::TellBucketsApart.holds();
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
                let last = snapshot.entries.get(&key).map_or(0, |remote| remote.revision);
                plan.steps.push(Step { bucket, key, action, base, last });
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
        let mut overtaken = BTreeSet::new();
        for (bucket, _) in &incarnations {
            let (mut records, mut effects) = (Vec::new(), Vec::new());
            for (step, revision) in done.iter().filter(|(step, _)| step.bucket == *bucket) {
                let Some(revision) = *revision else {
                    overtaken.insert(*bucket);
                    continue;
                };
                match self.decide(step, revision, &mut refused) {
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
            let shown = effects.iter().map(|(key, _)| (*bucket, String::clone(key)));
            match outcome {
                Ok(()) => self.unkept.retain(|unkept| !shown.clone().any(|shown| shown == *unkept)),
                Err(_) => self.unkept.extend(shown),
            }
            if outcome.is_err() {
                for (step, _) in records {
                    if self.known.get(*bucket, &step.key).is_some_and(|entry| !entry.pending) {
                        self.known.set(*bucket, &step.key, step.base.clone());
                    }
                }
            }
            if outcome.is_ok() {
                self.show_what_is_known(*bucket);
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
        // A bucket is known when every key of it has been decided.
        for (bucket, incarnation) in incarnations.into_iter().filter(|(bucket, _)| !overtaken.contains(bucket)) {
            self.on_disk(move |disk| disk.set_incarnation(bucket, &incarnation)).await?;
        }
        if overtaken.is_empty() { Ok(buckets) } else { Err(SyncError::Overtaken) }
    }

    /// What took effect here while the disk was full, and is another by now, is shown as it is known.
    fn show_what_is_known(&mut self, bucket: Bucket) {
        let of_it: Vec<_> = self.unkept.extract_if(.., |(of, _)| *of == bucket).collect();
        for (_, key) in of_it {
            let value = self.known.get(bucket, &key).and_then(|entry| entry.value.clone());
            self.apply(bucket, &key, value.as_ref(), true);
        }
    }

    /// What is to be known of a key now; none: it is not taken.
    fn decide(&mut self, step: &Step, revision: u64, refused: &mut BTreeSet<String>) -> Option<Taken> {
        let now = self.known.get(step.bucket, &step.key);
        if now != step.base.as_ref() && Rule::WrittenMeanwhileIsLater.holds() {
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
