//! The handle of the store: typed writes for those who change lattice state, tables for those who read it.
//!
//! Which key and which bytes a change has is spelled here and in `lattice::subject`. Invariant: a write that is answered is
//! kept on this host's disk and visible in its tables.

use std::sync::Arc;

use bytes::Bytes;
use claims::{PublicKey, revocation::SignedRevocations};
use lattice::{
    LinkId,
    bounds::LimitExceeded,
    control::Ack,
    stored_claims::StoredClaims,
    subject::{LatticeKey, config_key},
};
use tokio::sync::{oneshot, watch};

use super::{
    command::{Command, Own, Revoke, Standing, Write},
    error::{RevokeError, StoreError},
    queue::{self, Lines, NotQueued},
    tables::Tables,
};
use crate::{Bucket, buckets::StoreState, owners::SignedRecord};

/// Handle of the store.
#[derive(Clone)]
pub struct Store {
    lines: Lines,
    tables: Arc<Tables>,
    state: watch::Receiver<StoreState>,
}

impl Store {
    pub(super) fn new(lines: Lines, tables: Arc<Tables>, state: watch::Receiver<StoreState>) -> Self {
        Self { lines, tables, state }
    }

    /// The tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Whether JetStream lets this host have the buckets of its lattice.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }

    /// The answer to whoever ordered a write that was kept: whether the lattice has it too, or will have it.
    #[must_use]
    pub fn kept(&self) -> Ack {
        match self.state.borrow().refusal() {
            Some(reason) => {
                Ack::kept_here(format!("the NATS server does not let it have the buckets of the lattice: {reason}"))
            }
            None => Ack::accepted(),
        }
    }

    /// Records a link, by the bytes that were received: the lattice stores them as they are (protocol section 3.5).
    ///
    /// Like every write, it returns when the change is kept and visible in the tables, and dropping the future does not undo
    /// it once it is queued.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then. So for every write.
    pub async fn put_link(&self, standing: Standing, id: LinkId, received: Bytes) -> Result<(), StoreError> {
        self.write(standing, Bucket::Lattice, LatticeKey::Link(id).render(), Some(received)).await
    }

    /// Forgets a link; an unknown one is fine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_link(&self, standing: Standing, id: LinkId) -> Result<(), StoreError> {
        self.write(standing, Bucket::Lattice, LatticeKey::Link(id).render(), None).await
    }

    /// Puts claims where every host of the lattice sees them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_claims(&self, claims: &StoredClaims) -> Result<(), StoreError> {
        let subject = claims.subject();
        if self.tables().claims.get(&subject).as_deref() == Some(claims) {
            return Ok(());
        }
        let key = LatticeKey::Claims(subject).render();
        self.write(Standing::Known, Bucket::Lattice, key, Some(claims.to_json().into())).await
    }

    /// Configures an actor or provider.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_config(
        &self,
        standing: Standing,
        entity: &PublicKey,
        name: &str,
        value: Bytes,
    ) -> Result<(), StoreError> {
        self.write(standing, Bucket::Config, config_key(entity, name), Some(value)).await
    }

    /// Forgets a configuration entry; an unknown one is fine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_config(&self, standing: Standing, entity: &PublicKey, name: &str) -> Result<(), StoreError> {
        self.write(standing, Bucket::Config, config_key(entity, name), None).await
    }

    /// Sets a key, or deletes it when no value is given.
    pub(crate) async fn write(
        &self,
        standing: Standing,
        bucket: Bucket,
        key: String,
        value: Option<Bytes>,
    ) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.order(standing, Command::Write(Write { bucket, key, value, done }), outcome).await?
    }

    /// Puts a revocation list that is [believed](crate::revocations::Trust) into force. Returns when it is, and is kept. Dropping the future
    /// does not undo it.
    ///
    /// # Errors
    /// [`RevokeError`]; nothing was changed then.
    pub async fn revoke(&self, signed: Arc<SignedRevocations>) -> Result<(), RevokeError> {
        let (done, outcome) = oneshot::channel();
        self.order(Standing::Known, Command::Revoke(Revoke { signed, done }), outcome).await?
    }

    /// Puts an ownership record of this host into force, unless one that is there is preferred; the one in force then.
    /// Dropping the future does not undo it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn own(&self, record: Arc<SignedRecord>) -> Result<Arc<SignedRecord>, StoreError> {
        let (done, outcome) = oneshot::channel();
        self.order(Standing::Known, Command::Own(Own { record, done }), outcome).await?
    }

    async fn order<T>(
        &self,
        standing: Standing,
        command: Command,
        outcome: oneshot::Receiver<T>,
    ) -> Result<T, StoreError> {
        let queued = match standing {
            Standing::Known => self.lines.known(command).await,
            Standing::Stranger => self.lines.stranger(command),
        };
        match queued {
            Ok(()) => outcome.await.map_err(|_| StoreError::Stopping),
            Err(NotQueued::Stopping) => Err(StoreError::Stopping),
            Err(NotQueued::Full) => Err(StoreError::LimitExceeded(LimitExceeded {
                what: "changes for actors and providers that nobody knows, waiting; try again".to_owned(),
                found: queue::STRANGERS + 1,
                most: queue::STRANGERS,
                unit: "entries",
            })),
        }
    }
}
