//! The owner of lattice state: one task between the local replica, the JetStream buckets and the tables in memory.
//!
//! A write is kept in the replica as pending, then goes to the bucket when the broker is there, else after the next
//! merge; what the disk does not take is refused and goes nowhere. Whatever changes, from here or from others, passes the
//! tables exactly once and leaves as an [`Effect`]; revocation lists, which merge by a rule of their own, leave as a
//! whole. Invariant: tables, replica and (when synced) buckets agree.

mod at_once;
mod command;
mod compare;
mod error;
mod handle;
mod open_buckets;
mod owner;
mod owners;
mod queue;
mod revocations;
mod run;
mod tables;
mod write;

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::{mpsc, watch};

use self::owner::FIRST_RETRY;
use crate::{
    Bucket,
    buckets::StoreState,
    known::Known,
    replica::{Kept, ReplicaError},
    revocations::Trust,
    world::{Disk, World},
};

pub use self::{
    command::Standing,
    error::{RevokeError, StoreError},
    handle::Store,
    owner::Owner,
    run::Source,
    tables::{Effect, ForeignClaims, Tables},
};
pub use crate::conflict::{Conflict, Side};

/// A store that was opened: its handle, its task, and what changes mean for others.
pub type Opened<W> = (Store, Owner<W>, mpsc::UnboundedReceiver<Effect>);

/// Loads the replica into fresh tables. The owner must then be [run](Owner::run). `trust`: whose revocation lists count.
///
/// # Errors
/// [`ReplicaError`] when the disk state cannot be read.
pub fn open<W: World>(world: W, disk: W::Disk, trust: Arc<Trust>) -> Result<Opened<W>, ReplicaError> {
    let (lines, queue) = queue::queue();
    let (effects, effects_out) = mpsc::unbounded_channel();
    let tables = Arc::new(Tables::default());
    let mut loaded = Loaded::default();
    for bucket in Bucket::ALL {
        loaded.read(&disk, bucket, world.now_ms())?;
        if bucket == Bucket::Revocations {
            owners::load(&tables.owners, &trust, loaded.known.of(bucket)); // before any claims
        }
        for (key, entry) in loaded.known.of(bucket).iter().filter(|(_, entry)| entry.value.is_some()) {
            if let Some(effect) = tables.apply(bucket, key, entry.value.as_ref(), true) {
                effects.send(effect).ok();
            }
        }
    }
    tables.revocations.send_replace(Arc::new(revocations::load(&trust, loaded.known.of(Bucket::Revocations))));
    tables.counted(&loaded.known);
    let (state_in, state) = watch::channel(StoreState::default());
    let Loaded { known, left_out } = loaded;
    let owner = Owner {
        world,
        disk,
        known,
        left_out,
        unkept: BTreeSet::new(),
        tables: tables.clone(),
        trust,
        buckets: None,
        closed: false,
        effects,
        queue,
        retry: FIRST_RETRY,
        state: state_in,
    };
    Ok((Store::new(lines, tables, state), owner, effects_out))
}

/// What the replica holds and may be held in memory.
#[derive(Default)]
struct Loaded {
    known: Known,
    /// What is on the disk and beyond a bound: an older version took it. It stays there, out of use, until it is deleted.
    left_out: BTreeSet<(Bucket, String)>,
}

impl Loaded {
    /// Reads a bucket, without deletions of long ago.
    fn read(&mut self, disk: &impl Disk, bucket: Bucket, now: u64) -> Result<(), ReplicaError> {
        let (mut old, mut refused) = (Vec::new(), None);
        disk.read(bucket, &mut |key, entry| {
            if entry.may_be_forgotten(now) {
                old.push((key.to_owned(), None));
                return;
            }
            match entry.value.as_ref().map(|value| self.known.admit(bucket, key, value)) {
                Some(Err(error)) => {
                    self.left_out.insert((bucket, key.to_owned()));
                    refused = Some(error);
                }
                _ => self.known.set(bucket, key, Some(entry)),
            }
        })?;
        old.extend(self.known.surplus(bucket).into_iter().map(|key| (key, None)));
        for (key, _) in &old {
            self.known.set(bucket, key, None);
        }
        if !old.is_empty() {
            disk.set(bucket, &old, Kept::Now)?;
        }
        if let Some(error) = refused {
            let entries = self.left_out.iter().filter(|(of, _)| *of == bucket).count();
            let hint = "they stay on the disk and have no effect; delete them, or what is in their way";
            tracing::warn!(?bucket, entries, last = %error, hint, "lattice state on disk is more than may be");
        }
        Ok(())
    }
}
