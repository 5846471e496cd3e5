//! A disk that can be full, and that forgets in a power cut what it was not told to keep.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Bucket,
    merge::Local,
    replica::{Kept, ReplicaError},
    world::Disk,
};

/// The disk of one host. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What a reader finds.
    now: Content,
    /// What is there after a power cut.
    kept: Content,
    full: bool,
}

#[derive(Clone, Default)]
struct Content {
    records: BTreeMap<(Bucket, String), Local>,
    incarnations: BTreeMap<Bucket, String>,
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes.
    pub(super) fn lose_power(&self) {
        let mut state = self.state();
        state.now = state.kept.clone();
    }

    /// Another, empty one is put in.
    pub(super) fn wipe(&self) {
        *self.state() = State::default();
    }

    pub(super) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// What is there of a bucket.
    pub(super) fn of(&self, bucket: Bucket) -> BTreeMap<String, Local> {
        let state = self.state();
        let of_it = state.now.records.iter().filter(|((of, _), _)| *of == bucket);
        of_it.map(|((_, key), entry)| (key.clone(), entry.clone())).collect()
    }

    /// What is there of a key.
    pub(super) fn get(&self, bucket: Bucket, key: &str) -> Option<Local> {
        self.state().now.records.get(&(bucket, key.to_owned())).cloned()
    }

    fn change(&self, kept: Kept, change: impl FnOnce(&mut Content)) -> Result<(), ReplicaError> {
        let mut state = self.state();
        if state.full {
            let full = redb::Error::Io(io::ErrorKind::StorageFull.into());
            return Err(ReplicaError::Store(Box::new(full)));
        }
        change(&mut state.now);
        if kept == Kept::Now {
            state.kept = state.now.clone();
        }
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn read(&self, bucket: Bucket, each: &mut dyn FnMut(&str, Local)) -> Result<(), ReplicaError> {
        for (key, entry) in self.of(bucket) {
            each(&key, entry);
        }
        Ok(())
    }

    fn set(&self, bucket: Bucket, records: &[(String, Option<Local>)], kept: Kept) -> Result<(), ReplicaError> {
        self.change(kept, |content| {
            for (key, entry) in records {
                match entry {
                    Some(entry) => content.records.insert((bucket, key.clone()), entry.clone()),
                    None => content.records.remove(&(bucket, key.clone())),
                };
            }
        })
    }

    fn incarnation(&self, bucket: Bucket) -> Result<Option<String>, ReplicaError> {
        Ok(self.state().now.incarnations.get(&bucket).cloned())
    }

    fn set_incarnation(&self, bucket: Bucket, incarnation: &str) -> Result<(), ReplicaError> {
        self.change(Kept::Now, |content| drop(content.incarnations.insert(bucket, incarnation.to_owned())))
    }
}
