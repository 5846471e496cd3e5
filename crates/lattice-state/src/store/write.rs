//! Writes from here: what waits is written together, to the disk in one transaction and to the bucket at once.
//!
//! The disk comes first, so that what cannot be kept has not happened anywhere; then the bucket, when it is there. Invariant:
//! every write is answered, in the order in which one key was written.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream};

use super::{
    at_once::at_once,
    command::{Command, Write},
    error::StoreError,
    open_buckets::{OpenBuckets, Writers},
    owner::Owner,
};
use crate::{
    Bucket,
    buckets::BucketError,
    merge::Local,
    replica::Kept,
    world::{Disk, Records, World, within},
};

/// Longest wait for the broker's word about one write.
pub(super) const CONFIRM_WITHIN: std::time::Duration = std::time::Duration::from_millis(1500);
/// Most writes in one transaction.
const TOGETHER: usize = 64;

/// A write that is within bounds.
struct Accepted {
    write: Write,
    /// What was there before; none: nothing.
    before: Option<Local>,
}

impl<W: World> Owner<W> {
    /// Does a write, and what waits behind it as far as it can be done together with it.
    pub(super) async fn write_all(&mut self, first: Write) {
        let bucket = first.bucket;
        let writes = self.gather(first);
        let accepted = self.accept(bucket, writes);
        let Some(accepted) = self.keep_all(bucket, accepted).await else { return };
        let sent = self.send_all(bucket, &accepted).await;
        let confirmed = accepted.iter().zip(sent).filter_map(|(Accepted { write, .. }, revision)| {
            let entry = self.known.get(bucket, &write.key)?.sent(revision?, self.world.now_ms());
            Some((write.key.clone(), Some(entry)))
        });
        let confirmed = confirmed.collect();
        self.note(bucket, confirmed).await;
        for Accepted { write, .. } in accepted {
            self.apply(bucket, &write.key, write.value.as_ref(), false);
            write.done.send(Ok(())).ok();
        }
        self.tables.counted(&self.known);
    }

    /// The writes that wait and go with the first: of the same bucket, and of other keys.
    fn gather(&mut self, first: Write) -> Vec<Write> {
        let mut keys = BTreeSet::from([first.key.clone()]);
        let (bucket, mut writes) = (first.bucket, vec![first]);
        while writes.len() < TOGETHER {
            match self.queue.more() {
                Some(Command::Write(write)) if write.bucket == bucket && keys.insert(write.key.clone()) => {
                    writes.push(write);
                }
                Some(other) => {
                    self.queue.put_back(other);
                    break;
                }
                None => break,
            }
        }
        writes
    }

    /// Takes the writes into what is known, as pending, and answers those that are beyond a bound.
    fn accept(&mut self, bucket: Bucket, writes: Vec<Write>) -> Vec<Accepted> {
        let mut accepted = Vec::with_capacity(writes.len());
        for write in writes {
            let within = write.value.as_ref().map_or(Ok(()), |value| self.known.admit(bucket, &write.key, value));
            if let Err(error) = within {
                self.tables.refuse(1);
                write.done.send(Err(error.into())).ok();
                continue;
            }
            let before = self.known.get(bucket, &write.key).cloned();
            let pending = pending(before.as_ref(), write.value.clone(), self.world.now_ms());
            self.known.set(bucket, &write.key, Some(pending));
            accepted.push(Accepted { write, before });
        }
        accepted
    }

    /// Puts what was accepted on the disk. None when that fails: then it has not happened, and everybody is told.
    async fn keep_all(&mut self, bucket: Bucket, accepted: Vec<Accepted>) -> Option<Vec<Accepted>> {
        let mut records = Records::with_capacity(accepted.len());
        for Accepted { write, before } in &accepted {
            let now = self.known.get(bucket, &write.key);
            if now != before.as_ref() || self.left_out.contains(&(bucket, write.key.clone())) {
                records.push((write.key.clone(), now.cloned()));
            }
        }
        records.extend(self.known.surplus(bucket).into_iter().map(|key| (key, None)));
        if records.is_empty() {
            return Some(accepted);
        }
        let written = records.clone();
        match self.on_disk(move |disk| disk.set(bucket, &written, Kept::Now)).await {
            Ok(()) => {
                for (key, entry) in records {
                    if entry.is_none() {
                        self.known.set(bucket, &key, None);
                    }
                    self.left_out.remove(&(bucket, key));
                }
                Some(accepted)
            }
            Err(error) => {
                let error = Arc::new(error);
                for Accepted { write, before } in accepted {
                    self.known.set(bucket, &write.key, before);
                    write.done.send(Err(StoreError::Replica(error.clone()))).ok();
                }
                None
            }
        }
    }

    /// Sends writes to the bucket at once; none for each that the broker did not confirm. Whoever ordered a write waits,
    /// and it is kept already, so not for as long as a broker may take otherwise.
    async fn send_all(&mut self, bucket: Bucket, accepted: &[Accepted]) -> Vec<Option<u64>> {
        let Some(writers) = self.writers(bucket) else { return vec![None; accepted.len()] };
        let world = &self.world;
        let sending = accepted
            .iter()
            .map(|Accepted { write, .. }| send(world, &writers, bucket, &write.key, write.value.clone()));
        let outcomes = join_all(sending).await;
        if outcomes.iter().any(Option::is_none) {
            self.buckets = None;
        }
        outcomes
    }

    /// Where a bucket is written, if it is open.
    fn writers(&self, bucket: Bucket) -> Option<Writers<W::Buckets>> {
        self.buckets.as_ref().filter(|buckets| buckets.has(bucket)).map(OpenBuckets::writers)
    }

    /// Sends one write to the bucket; none when the broker did not confirm it.
    pub(super) async fn send(&mut self, bucket: Bucket, key: &str, value: Option<Bytes>) -> Option<u64> {
        let writers = self.writers(bucket)?;
        let revision = send(&self.world, &writers, bucket, key, value).await;
        if revision.is_none() {
            self.buckets = None;
        }
        revision
    }

    /// Sends what was written here while the buckets were compared.
    pub(super) async fn send_pending(&mut self) {
        for bucket in Bucket::MERGED {
            let Some(writers) = self.writers(bucket) else { return };
            let known = self.known.of(bucket);
            let waiting: Vec<(String, Local)> = known
                .iter()
                .filter(|(_, entry)| entry.pending)
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect();
            let sending = waiting.into_iter().map(|(key, entry)| {
                let (world, writers) = (self.world.clone(), writers.clone());
                async move {
                    let revision = replace(&world, &writers, bucket, &key, &entry).await?;
                    let entry = entry.sent(revision, world.now_ms());
                    Some((key, Some(entry)))
                }
            });
            let sent: Vec<Option<_>> = stream::iter(sending).buffer_unordered(at_once()).collect().await;
            if sent.iter().any(Option::is_none) {
                self.buckets = None;
            }
            self.note(bucket, sent.into_iter().flatten().collect()).await;
        }
    }
}

/// Sends what waits to the bucket as it was when it was compared; none when the broker did not confirm it, or somebody else
/// has written the key since.
async fn replace<W: World>(
    world: &W,
    writers: &Writers<W::Buckets>,
    bucket: Bucket,
    key: &str,
    entry: &Local,
) -> Option<u64> {
    let writing = writers.replace(bucket, key, entry.value.clone(), entry.revision);
    let outcome = within(world, CONFIRM_WITHIN, writing).await;
    let outcome = outcome.unwrap_or(Err(BucketError::Timeout { step: "replacing a key" }));
    outcome.inspect_err(|error| unconfirmed(key, error)).ok().flatten()
}

fn unconfirmed(key: &str, error: &BucketError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, %key, "broker did not confirm a write; kept here and sent later");
}

async fn send<W: World>(
    world: &W,
    writers: &Writers<W::Buckets>,
    bucket: Bucket,
    key: &str,
    value: Option<Bytes>,
) -> Option<u64> {
    let writing = async {
        match value {
            Some(value) => writers.put(bucket, key, value).await,
            None => writers.delete(bucket, key).await.map(|()| 0),
        }
    };
    let outcome = within(world, CONFIRM_WITHIN, writing).await;
    let outcome = outcome.unwrap_or(Err(BucketError::Timeout { step: "writing a key" }));
    outcome.inspect_err(|error| unconfirmed(key, error)).ok()
}

/// Also the deletion of what is not known here: it may be known to the lattice, which is to hear of it.
fn pending(before: Option<&Local>, value: Option<Bytes>, written_ms: u64) -> Local {
    let revision = before.map_or(0, |entry| entry.revision);
    let replaced = before.and_then(Local::origin);
    Local { value, revision, written_ms, pending: true, replaced }
}
