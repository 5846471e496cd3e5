//! The port to the machine: what time it is, waiting, work that blocks, and the disk.
//!
//! [`Machine`] is the one of hosts; the simulation has another, whose time passes when nothing else is to be done and whose
//! disks fail and forget.

use std::{
    future::Future,
    marker::PhantomData,
    time::{Duration, SystemTime},
};

use crate::{
    Bucket,
    buckets::Buckets,
    conflict::Conflict,
    merge::Local,
    replica::{Kept, Replica, ReplicaError},
};

/// Records of one bucket by key; one that is none is removed.
pub type Records = Vec<(String, Option<Local>)>;

/// What the store needs of the machine it runs on.
pub trait World: Clone + Send + Sync + 'static {
    /// Where the replica is kept.
    type Disk: Disk;
    /// How the buckets of the lattice are reached.
    type Buckets: Buckets;

    /// Milliseconds since the Unix epoch, by this machine's clock.
    fn now_ms(&self) -> u64;

    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Does what takes a while or waits for the disk, where it blocks nobody. None: the machine is going down, and it may
    /// or may not have been done.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Option<T>> + Send;

    /// Tells of a write that lost against another.
    fn tell(&self, conflict: &Conflict) {
        conflict.log();
    }
}

/// What keeps a replica. Calls may block.
pub trait Disk: Clone + Send + Sync + 'static {
    /// Reads the records of a bucket one after the other, in the order of their keys.
    ///
    /// # Errors
    /// [`ReplicaError`] when the disk fails or a record is damaged.
    fn read(&self, bucket: Bucket, each: &mut dyn FnMut(&str, Local)) -> Result<(), ReplicaError>;

    /// Writes records, all or none.
    ///
    /// # Errors
    /// [`ReplicaError`]; nothing was changed then.
    fn set(&self, bucket: Bucket, records: &[(String, Option<Local>)], kept: Kept) -> Result<(), ReplicaError>;

    /// Which incarnation of a bucket the revisions belong to.
    ///
    /// # Errors
    /// [`ReplicaError`].
    fn incarnation(&self, bucket: Bucket) -> Result<Option<String>, ReplicaError>;

    /// Remembers the incarnation of a bucket.
    ///
    /// # Errors
    /// [`ReplicaError`].
    fn set_incarnation(&self, bucket: Bucket, incarnation: &str) -> Result<(), ReplicaError>;
}

impl Disk for Replica {
    fn read(&self, bucket: Bucket, each: &mut dyn FnMut(&str, Local)) -> Result<(), ReplicaError> {
        Replica::read(self, bucket, each)
    }

    fn set(&self, bucket: Bucket, records: &[(String, Option<Local>)], kept: Kept) -> Result<(), ReplicaError> {
        Replica::set(self, bucket, records, kept)
    }

    fn incarnation(&self, bucket: Bucket) -> Result<Option<String>, ReplicaError> {
        Replica::incarnation(self, bucket)
    }

    fn set_incarnation(&self, bucket: Bucket, incarnation: &str) -> Result<(), ReplicaError> {
        Replica::set_incarnation(self, bucket, incarnation)
    }
}

/// The machine of a host: its clock, the timers and threads of tokio, redb.
pub struct Machine<B>(PhantomData<fn() -> B>);

impl<B> Default for Machine<B> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<B> Clone for Machine<B> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<B: Buckets> World for Machine<B> {
    type Disk = Replica;
    type Buckets = B;

    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// What comes of a future, unless that takes longer than it may.
pub(crate) async fn within<W: World, F: Future + Send>(world: &W, time: Duration, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        outcome = future => Some(outcome),
        () = world.sleep(time) => None,
    }
}
