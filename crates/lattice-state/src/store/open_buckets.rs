//! The buckets that are open, as one.
//!
//! Decides nothing. Invariant: only buckets that [are open](OpenBuckets::has) are used.

use std::{future::poll_fn, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::at_once::at_once;
use crate::{
    Bucket,
    buckets::{BucketError, Buckets, Opened, Snapshot, Update, Writer},
    world::World,
};

/// Between two attempts to open a bucket that may be forbidden.
pub(super) const SELDOM: Duration = Duration::from_secs(60);

type WriterOf<B> = <<B as Buckets>::Opened as Opened>::Writer;

/// The open buckets of a lattice.
pub(super) struct OpenBuckets<B: Buckets>(Vec<(Bucket, B::Opened)>);

/// Their writing side.
pub(super) struct Writers<B: Buckets>(Vec<(Bucket, WriterOf<B>)>);

impl<B: Buckets> Clone for Writers<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: Buckets> OpenBuckets<B> {
    /// Opens the buckets of links, claims and configuration.
    pub(super) async fn open(from: &B) -> Result<Self, BucketError> {
        let mut buckets = Self(Vec::with_capacity(Bucket::ALL.len()));
        for bucket in Bucket::MERGED {
            buckets.add(from, bucket).await?;
        }
        Ok(buckets)
    }

    /// Opens one more. Those that are open stay so when that fails.
    pub(super) async fn add(&mut self, from: &B, bucket: Bucket) -> Result<(), BucketError> {
        self.0.push((bucket, from.open(bucket).await?));
        Ok(())
    }

    /// Whether a bucket is open.
    pub(super) fn has(&self, bucket: Bucket) -> bool {
        self.0.iter().any(|(open, _)| *open == bucket)
    }

    /// Where they are written.
    pub(super) fn writers(&self) -> Writers<B> {
        Writers(self.0.iter().map(|(bucket, opened)| (*bucket, opened.writer())).collect())
    }

    /// What a bucket held when it was opened. Once per bucket, before [`OpenBuckets::next`].
    pub(super) async fn snapshot(&mut self, bucket: Bucket) -> Result<Snapshot, BucketError> {
        let opened = self.0.iter_mut().find(|(open, _)| *open == bucket);
        opened.expect("only open buckets are used").1.snapshot().await
    }

    /// The next change of any bucket. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<(Bucket, Update), BucketError> {
        poll_fn(|context| {
            for (bucket, opened) in &mut self.0 {
                if let Poll::Ready(update) = opened.poll_next(context) {
                    return Poll::Ready(update.map(|update| (*bucket, update)));
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl<B: Buckets> Writers<B> {
    fn of(&self, bucket: Bucket) -> &WriterOf<B> {
        &self.0.iter().find(|(open, _)| *open == bucket).expect("only open buckets are used").1
    }

    pub(super) async fn put(&self, bucket: Bucket, key: &str, value: Bytes) -> Result<u64, BucketError> {
        self.of(bucket).put(key, value).await
    }

    /// Writes many keys side by side: one behind the other they would take a round trip each.
    pub(super) async fn put_all(&self, bucket: Bucket, entries: Vec<(String, Bytes)>) -> Result<(), BucketError> {
        let writing = entries.into_iter().map(|(key, value)| {
            let writers = self.clone();
            async move { writers.put(bucket, &key, value).await.map(drop) }
        });
        stream::iter(writing).buffer_unordered(at_once()).try_collect().await
    }

    pub(super) async fn replace(
        &self,
        bucket: Bucket,
        key: &str,
        value: Option<Bytes>,
        last: u64,
    ) -> Result<Option<u64>, BucketError> {
        self.of(bucket).replace(key, value, last).await
    }

    pub(super) async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), BucketError> {
        self.of(bucket).delete(key).await
    }
}

/// Returns when a bucket can be opened, which is tried after `wait` and then seldom: where it is forbidden, every attempt
/// waits in vain.
pub(super) async fn openable<W: World>(world: &W, from: &W::Buckets, bucket: Bucket, mut wait: Duration) {
    loop {
        world.sleep(wait).await;
        if from.open(bucket).await.is_ok() {
            return;
        }
        wait = SELDOM;
    }
}
