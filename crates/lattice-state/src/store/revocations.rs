//! Revocation lists in the store: what is believed is taken, what is in force is kept everywhere.
//!
//! The rule is in `state::revocations`; here it meets disk and bucket. Invariant: a list that is in force is on this
//! host's disk before anybody is told, and is put back into the bucket whenever it is missing there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use claims::revocation::SignedRevocations;
use futures_util::{StreamExt, TryStreamExt, stream};
use lattice::subject::is_owner_key;

use super::{
    at_once::at_once,
    command::Revoke,
    error::{RevokeError, SyncError},
    open_buckets::{OpenBuckets, Writers},
    owner::Owner,
};
use crate::{
    Bucket,
    buckets::{BucketError, Buckets, Snapshot, Update},
    merge::Local,
    replica::ReplicaError,
    revocations::{NotTaken, Revocations, Trust, Unacceptable, Upkeep, key_of, upkeep},
    world::World,
};

const BUCKET: Bucket = Bucket::Revocations;

/// The lists of the replica, as far as they are believed today.
pub(super) fn load(trust: &Trust, kept: &BTreeMap<String, Local>) -> Revocations {
    let mut revocations = Revocations::default();
    let kept = kept.iter().filter(|(key, _)| !is_owner_key(key));
    let believed = kept.filter_map(|(key, entry)| {
        let judged = trust.judge_kept(key, entry.value.as_ref()?);
        judged.inspect_err(|error| ignoring(key, error)).ok().map(Arc::new)
    });
    // Which of two numbers is in force does not depend on the order.
    revocations.take_all(believed);
    revocations
}

fn ignoring(key: &str, error: &Unacceptable) {
    tracing::warn!(error = error as &dyn std::error::Error, code = error.code(), %key, "ignoring a revocation list");
}

/// What reads the lists of the lattice, beside everything else: verifying large ones takes time.
pub(super) struct Reading<W: World> {
    pub(super) world: W,
    pub(super) from: W::Buckets,
    pub(super) trust: Arc<Trust>,
    /// Those in force, which need not be verified again.
    pub(super) known: Arc<Revocations>,
}

/// What the bucket has.
pub(super) struct Read {
    /// Everything about revocations, as it is kept there.
    held: BTreeMap<String, Bytes>,
    /// Everything about owners of ids.
    owned: BTreeMap<String, Bytes>,
    /// The lists that are believed, and their keys.
    lists: Vec<Arc<SignedRevocations>>,
    judged: BTreeSet<String>,
}

impl<W: World> Reading<W> {
    /// Opens the bucket and reads it. The inner error is that it cannot be had.
    ///
    /// # Errors
    /// [`BucketError`] of one that was opened.
    pub(super) async fn read(
        self,
        buckets: &mut OpenBuckets<W::Buckets>,
    ) -> Result<Result<Read, BucketError>, BucketError> {
        let Self { world, from, trust, known } = self;
        if let Err(error) = buckets.add(&from, BUCKET).await {
            return Ok(Err(error));
        }
        let snapshot = buckets.snapshot(BUCKET).await?;
        // It ends early only with the host.
        let judged = world.blocking(move || Read::of(snapshot, &trust, &known.by_key())).await;
        judged.map(Ok).ok_or(BucketError::WatchEnded)
    }
}

impl Read {
    fn of(snapshot: Snapshot, trust: &Trust, known: &BTreeMap<String, Arc<SignedRevocations>>) -> Self {
        let (mut held, mut owned) = (BTreeMap::new(), BTreeMap::new());
        let (mut lists, mut judged) = (Vec::new(), BTreeSet::new());
        let values = snapshot.entries.into_iter().filter_map(|(key, remote)| Some((key, remote.value?)));
        let (owners, values): (Vec<_>, Vec<_>) = values.partition(|(key, _)| is_owner_key(key));
        owned.extend(owners);
        for (key, token) in values {
            let same = known.get(&key).filter(|known| known.token.as_bytes() == token).cloned();
            let judge = || trust.judge_kept(&key, &token).inspect_err(|error| ignoring(&key, error)).ok().map(Arc::new);
            if let Some(signed) = same.or_else(judge) {
                judged.insert(key.clone());
                lists.push(signed);
            }
            held.insert(key, token);
        }
        Self { held, owned, lists, judged }
    }
}

/// Carries it out, many keys at once.
async fn keep_up<B: Buckets>(writers: &Writers<B>, upkeep: Upkeep) -> Result<(), BucketError> {
    for (key, signed) in &upkeep.put {
        tracing::info!(%key, signer = %signed.signer, number = signed.list.number, "putting a revocation list into the lattice");
    }
    let puts = upkeep.put.into_iter().map(|(key, signed)| (key, Bytes::from(signed.token.clone())));
    writers.put_all(BUCKET, puts.collect()).await?;
    let removes = upkeep.remove.into_iter().map(|key| async move { writers.delete(BUCKET, &key).await });
    stream::iter(removes).buffer_unordered(at_once()).try_collect().await
}

/// What taking lists led to.
struct Joined {
    /// Keys of lists that are no longer in force.
    replaced: Vec<String>,
    /// Why the last of those that were not taken was not.
    refused: Option<NotTaken>,
}

impl<W: World> Owner<W> {
    /// A list that came over the control interface and is believed: disk, force, bucket, answer.
    pub(super) async fn revoke(&mut self, revoke: Revoke) {
        let Revoke { signed, done } = revoke;
        let (key, token) = (key_of(&signed), Bytes::from(signed.token.clone()));
        let outcome = match self.take(vec![signed]).await {
            Err(error) => Err(RevokeError::Store(error.into())),
            Ok(Joined { refused: Some(error), .. }) => Err(error.into()),
            Ok(Joined { replaced, .. }) => {
                // Not confirmed is not lost: the next comparison puts it, and removes what it replaced.
                if self.send(BUCKET, &key, Some(token)).await.is_some() {
                    for key in replaced {
                        self.send(BUCKET, &key, None).await;
                    }
                }
                Ok(())
            }
        };
        done.send(outcome).ok();
    }

    /// Takes lists, keeps what is in force now, and then lets it be seen.
    async fn take(&mut self, lists: Vec<Arc<SignedRevocations>>) -> Result<Joined, ReplicaError> {
        let before = self.tables.revocations();
        let mut after = before.as_ref().clone();
        let refused = after.take_all(lists);
        let (was, is) = (before.by_key(), after.by_key());
        let replaced: Vec<String> = was.keys().filter(|key| !is.contains_key(*key)).cloned().collect();
        if after != *before {
            let gone = replaced.iter().map(|key| (key.clone(), None));
            let fresh = is.iter().filter(|(key, _)| !was.contains_key(*key));
            let fresh = fresh.map(|(key, signed)| (key.clone(), Some(self.statement(signed.token.clone().into()))));
            self.keep(BUCKET, gone.chain(fresh).collect()).await?;
            self.tables.revocations.send_replace(Arc::new(after));
        }
        Ok(Joined { replaced, refused })
    }

    /// Reads a list where it blocks nobody: verifying a large one takes time.
    async fn judge(&mut self, key: &str, token: &Bytes) -> Option<Arc<SignedRevocations>> {
        if let Some(known) = self.tables.revocations().by_key().get(key)
            && known.token.as_bytes() == token
        {
            return Some(known.clone());
        }
        let (trust, key, token) = (self.trust.clone(), key.to_owned(), token.clone());
        let judged =
            self.world.blocking(move || trust.judge_kept(&key, &token).inspect_err(|error| ignoring(&key, error)).ok());
        judged.await.flatten().map(Arc::new)
    }

    /// Joins what the bucket holds with what is known here, then makes the bucket hold what is in force.
    pub(super) async fn join_revocations(
        &mut self,
        buckets: &mut OpenBuckets<W::Buckets>,
        read: Read,
    ) -> Result<(), SyncError> {
        let Read { held, owned, lists, judged } = read;
        if let Some(error) = self.take(lists).await?.refused {
            tracing::debug!(%error, "not every revocation list of the lattice is in force");
        }
        let upkeep = upkeep(&self.tables.revocations(), |key| held.get(key).map(AsRef::as_ref), &judged);
        keep_up(&buckets.writers(), upkeep).await?;
        self.sync_owners(buckets, &owned).await
    }

    /// One change of the bucket.
    pub(super) async fn follow_revocations(&mut self, update: Update) {
        let Update { key, remote } = update;
        let in_force = self.tables.revocations().by_key().get(&key).cloned();
        match (in_force, remote.value) {
            (Some(known), Some(token)) if known.token.as_bytes() == token => {}
            (Some(known), _) => {
                tracing::warn!(%key, signer = %known.signer, "somebody removed or changed a revocation list; putting it back");
                self.send(BUCKET, &key, Some(Bytes::from(known.token.clone()))).await;
            }
            (None, None) => {}
            (None, Some(token)) => {
                let Some(signed) = self.judge(&key, &token).await else { return };
                let (signer, number) = (signed.signer, signed.list.number);
                match self.take(vec![signed]).await.map(|joined| joined.refused) {
                    Ok(None) => tracing::info!(%signer, number, "revocation list in force"),
                    Ok(Some(error)) => {
                        tracing::debug!(%error, "a revocation list is not in force");
                        if matches!(error, NotTaken::Replaced { .. }) {
                            self.send(BUCKET, &key, None).await;
                        }
                    }
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, %key, "cannot keep a revocation list on disk; comparing again");
                        self.buckets = None;
                    }
                }
            }
        }
    }
}
