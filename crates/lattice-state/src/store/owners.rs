//! Ownership records in the store: in the bucket and table of the revocation lists, whose rule they share.
//!
//! What is believed is taken, what is in force is kept everywhere. A separate bucket would cost every lattice one more
//! stream and every account one more set of permissions (docs/adr/0016). Invariants: a record that is in force is on this
//! host's disk before anybody is told; of two hosts that start one id for the first time at once, the bucket picks one;
//! a record of a cluster key that is not trusted is left alone.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use lattice::subject::is_owner_key;

use super::{
    command::Own,
    error::{StoreError, SyncError},
    open_buckets::OpenBuckets,
    owner::Owner,
    write::CONFIRM_WITHIN,
};
use crate::{
    Bucket,
    buckets::{BucketError, Update},
    merge::Local,
    owners::{Judged, Owners, SignedRecord, Taken, judge, key_of},
    replica::ReplicaError,
    revocations::Trust,
    world::World,
};

const BUCKET: Bucket = Bucket::Revocations;

/// The records of the replica, as far as they are believed today.
pub(super) fn load(owners: &Owners, trust: &Trust, kept: &BTreeMap<String, Local>) {
    for (key, entry) in kept.iter().filter(|(key, _)| is_owner_key(key)) {
        let Some(token) = &entry.value else { continue };
        match judge(trust, key, token) {
            Judged::Believed(record) => drop(owners.take(Arc::new(record))),
            Judged::NotOurs | Judged::Damaged => tracing::warn!(%key, "ignoring an ownership record"),
        }
    }
}

impl<W: World> Owner<W> {
    /// A record that this host has made: the bucket first, which may have one of somebody who was faster.
    pub(super) async fn own(&mut self, own: Own) {
        let Own { record, done } = own;
        let subject = record.content.subject;
        let outcome = match self.settle_owner(record).await {
            Ok(()) => self.tables.owners.get(&subject).ok_or(StoreError::Full),
            Err(error) => Err(error.into()),
        };
        done.send(outcome).ok();
    }

    async fn settle_owner(&mut self, record: Arc<SignedRecord>) -> Result<(), ReplicaError> {
        let before = self.tables.owners.get(&record.content.subject);
        if before.is_some_and(|before| !record.content.replaces(&before.content)) {
            return Ok(());
        }
        if record.content.number == 1 && self.is_taken(&record).await {
            return Ok(());
        }
        self.take_record(record.clone()).await?;
        if record.content.number > 1 {
            // Not confirmed is not lost: the next comparison puts it.
            self.send(BUCKET, &key_of(&record), Some(Bytes::from(record.token.clone()))).await;
        }
        Ok(())
    }

    /// Whether somebody else has put a first record under the key of this one. Their record is then in force here.
    /// Without the bucket nobody can tell, and the next comparison decides.
    async fn is_taken(&mut self, record: &SignedRecord) -> bool {
        let (key, subject) = (key_of(record), record.content.subject);
        let Some(buckets) = self.buckets.as_ref().filter(|buckets| buckets.has(BUCKET)) else { return false };
        let (world, writers) = (self.world.clone(), buckets.writers());
        let mut until = Box::pin(world.sleep(CONFIRM_WITHIN));
        let filling = writers.replace(BUCKET, &key, Some(Bytes::from(record.token.clone())), 0);
        let filled = tokio::select! {
            biased;
            filled = filling => Some(filled),
            () = until.as_mut() => None,
        };
        match filled.unwrap_or(Err(BucketError::Timeout { step: "filling a bucket" })) {
            Ok(Some(_)) => return false,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, %key, "broker did not confirm an ownership record; kept here and sent later");
                self.buckets = None;
                return false;
            }
        }
        // What is there is on its way to us; everything before it is taken in, in order.
        while self.tables.owners.get(&subject).is_none() {
            let Some(buckets) = self.buckets.as_mut() else { return false };
            let update = tokio::select! {
                biased;
                update = buckets.next() => update,
                () = until.as_mut() => return false,
            };
            self.follow(update).await;
        }
        true
    }

    /// Takes a record, keeps it when it is in force now, and then lets it be seen.
    async fn take_record(&mut self, record: Arc<SignedRecord>) -> Result<(), ReplicaError> {
        let owners = &self.tables.owners;
        let before = owners.get(&record.content.subject);
        let is_news = match &before {
            Some(before) => record.content.replaces(&before.content),
            None => !owners.is_full(),
        };
        if !is_news {
            return Ok(());
        }
        let fresh = (key_of(&record), Some(self.statement(record.token.clone().into())));
        // Under another key when another cluster key had signed it.
        let replaced = before.as_ref().map(|before| (key_of(before), None)).filter(|(key, _)| *key != fresh.0);
        self.keep(BUCKET, replaced.into_iter().chain([fresh]).collect()).await?;
        if let Taken::New(before) = self.tables.owners.take(record.clone()) {
            told(before.as_deref(), &record);
        }
        Ok(())
    }

    /// Joins what the bucket holds with what is known here, then makes the bucket hold what is in force.
    pub(super) async fn sync_owners(
        &mut self,
        buckets: &mut OpenBuckets<W::Buckets>,
        held: &BTreeMap<String, Bytes>,
    ) -> Result<(), SyncError> {
        for (key, token) in held {
            match judge(&self.trust, key, token) {
                Judged::Believed(record) => self.take_record(Arc::new(record)).await?,
                Judged::NotOurs | Judged::Damaged => tracing::debug!(%key, "an ownership record that is not believed"),
            }
        }
        let missing = self
            .tables
            .owners
            .by_key()
            .into_iter()
            .filter(|(key, record)| held.get(key).is_none_or(|token| token != record.token.as_bytes()));
        let missing = missing.map(|(key, record)| (key, Bytes::from(record.token.clone()))).collect();
        buckets.writers().put_all(BUCKET, missing).await?;
        Ok(())
    }

    /// One change of the bucket.
    pub(super) async fn follow_owner(&mut self, update: Update) {
        let Update { key, remote } = update;
        let found = remote.value.as_deref().map(|token| judge(&self.trust, &key, token));
        if let Some(Judged::Believed(record)) = found {
            let subject = record.content.subject;
            if let Err(error) = self.take_record(Arc::new(record)).await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, %key, "cannot keep an ownership record on disk; comparing again");
                self.buckets = None;
                return;
            }
            let in_force = self.tables.owners.get(&subject);
            return self.put_back(&key, in_force, remote.value.as_deref()).await;
        }
        let in_force = self.tables.owners.by_kept_key(&key);
        self.put_back(&key, in_force, remote.value.as_deref()).await;
    }

    /// Under the key of a record in force stands this record.
    async fn put_back(&mut self, key: &str, in_force: Option<Arc<SignedRecord>>, found: Option<&[u8]>) {
        let Some(record) = in_force.filter(|record| key_of(record) == key) else { return };
        if found != Some(record.token.as_bytes()) {
            tracing::warn!(%key, owner = %record.content.owner, "somebody removed or changed an ownership record; putting it back");
            self.send(BUCKET, key, Some(Bytes::from(record.token.clone()))).await;
        }
    }
}

fn told(before: Option<&SignedRecord>, record: &SignedRecord) {
    let (subject, owner) = (record.content.subject, record.content.owner);
    match before.map(|before| before.content.owner).filter(|before| *before != owner) {
        Some(before) if record.content.number == 1 => {
            tracing::error!(%subject, %owner, not = %before, "two accounts used one id while hosts were apart; it belongs to who came first, and what runs of the other stays until it is stopped");
        }
        Some(before) => tracing::info!(%subject, %owner, before = %before, "an id belongs to another account now"),
        None => tracing::debug!(%subject, %owner, "an id has its owner"),
    }
}
