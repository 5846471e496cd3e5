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
use lattice::subject::is_owner_key;

use super::{Owner, Revoke, RevokeError, compare::SyncError, open_buckets::OpenBuckets};
use crate::{
    Bucket,
    buckets::Update,
    merge::Local,
    replica::ReplicaError,
    revocations::{NotTaken, Revocations, Trust, Unacceptable, key_of, upkeep},
    world::World,
};

const BUCKET: Bucket = Bucket::Revocations;

/// The lists of the replica, as far as they are believed today.
pub(super) fn load(trust: &Trust, kept: &BTreeMap<String, Local>) -> Revocations {
    let mut revocations = Revocations::default();
    for (key, entry) in kept.iter().filter(|(key, _)| !is_owner_key(key)) {
        let Some(token) = &entry.value else { continue };
        match trust.judge_kept(key, token) {
            // Which of two numbers is in force does not depend on the order.
            Ok(signed) => drop(revocations.take(Arc::new(signed))),
            Err(error) => ignoring(key, &error),
        }
    }
    revocations
}

fn ignoring(key: &str, error: &Unacceptable) {
    tracing::warn!(error = error as &dyn std::error::Error, code = error.code(), %key, "ignoring a revocation list");
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
        let refused = lists.into_iter().filter_map(|signed| after.take(signed).err()).last();
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
    pub(super) async fn sync_revocations(&mut self, buckets: &mut OpenBuckets<W::Buckets>) -> Result<(), SyncError> {
        let snapshot = buckets.snapshot(BUCKET).await?;
        let (mut held, mut owned) = (BTreeMap::new(), BTreeMap::new());
        let (mut lists, mut judged) = (Vec::new(), BTreeSet::new());
        for (key, remote) in snapshot.entries {
            let Some(token) = remote.value else { continue };
            if is_owner_key(&key) {
                owned.insert(key, token);
                continue;
            }
            if let Some(signed) = self.judge(&key, &token).await {
                judged.insert(key.clone());
                lists.push(signed);
            }
            held.insert(key, token);
        }
        if let Some(error) = self.take(lists).await?.refused {
            tracing::debug!(%error, "not every revocation list of the lattice is in force");
        }
        let upkeep = upkeep(&self.tables.revocations(), |key| held.get(key).map(AsRef::as_ref), &judged);
        for (key, signed) in &upkeep.put {
            tracing::info!(%key, signer = %signed.signer, number = signed.list.number, "putting a revocation list into the lattice");
        }
        let put = upkeep.put.into_iter().map(|(key, signed)| (key, Bytes::from(signed.token.clone()))).collect();
        buckets.writers().put_all(BUCKET, put).await?;
        for key in upkeep.remove {
            buckets.writers().delete(BUCKET, &key).await?;
        }
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
