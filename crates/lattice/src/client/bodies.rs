//! Payloads that are too large for a message, in the object store of the lattice (protocol section 4.7).
//!
//! Owns the bucket: creates it on demand with defaults and never changes one that is there. Knows no envelope.
//! Invariants: what is read is read completely, bounded by the length announced and charged to the [budget of all
//! bodies](Budget::bodies) before its first byte comes, and then deleted; a bucket that is gone after a restart of the
//! broker is made anew.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client,
    jetstream::{
        self,
        object_store::{Config, Object, ObjectStore},
    },
};
use bytes::Bytes;
use contracts::{Budget, budget::NoRoom};
use tokio::{io::AsyncReadExt, runtime::Handle, task::JoinHandle, time::Instant};

use crate::{LatticeId, subject};

/// Time for deleting an object; nobody waits longer for it.
const DELETE_TIME: Duration = Duration::from_secs(5);
/// Allocated before the first byte is there.
const MAX_FIRST_ALLOCATION: u64 = 1 << 20;

/// Why a payload did not get through the object store.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("time ran out")]
    Deadline,
    #[error("the object holds {found} bytes, {announced} were announced")]
    Size { found: u64, announced: u64 },
    #[error("the object is a link to another one")]
    Link,
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error("{0}")]
    Store(String),
}

/// The object store of a lattice. Cheap to clone; nothing is opened before it is needed.
#[derive(Clone)]
pub(super) struct Bodies(Arc<Bucket>);

struct Bucket {
    jetstream: jetstream::Context,
    lattice: LatticeId,
    name: String,
    store: Mutex<Option<ObjectStore>>,
}

impl Bodies {
    pub(super) fn new(client: Client, lattice: &LatticeId, domain: Option<&str>) -> Self {
        let jetstream = match domain {
            Some(domain) => jetstream::with_domain(client, domain),
            None => jetstream::new(client),
        };
        let (lattice, name) = (lattice.clone(), subject::object_bucket(lattice));
        Self(Arc::new(Bucket { jetstream, lattice, name, store: Mutex::new(None) }))
    }

    /// Stores a payload. The object is deleted again unless [`StoredBody::keep`] says that somebody has read it.
    pub(super) async fn store(&self, name: &str, body: &Bytes, deadline: Instant) -> Result<StoredBody, BodyError> {
        let stored = StoredBody { bodies: self.clone(), name: Some(name.to_owned()) };
        let storing = async {
            let known = self.known();
            let fresh = known.is_none();
            let store = match known {
                Some(store) => store,
                None => self.open().await?,
            };
            match store.put(name, &mut &body[..]).await {
                Ok(_) => Ok(()),
                Err(error) if fresh => Err(BodyError::Store(error.to_string())),
                // The bucket that we knew may be gone: once more, with a new one.
                Err(_) => {
                    let store = self.open().await?;
                    store.put(name, &mut &body[..]).await.map(|_| ()).map_err(store_error)
                }
            }
        };
        tokio::time::timeout_at(deadline, Box::pin(storing)).await.map_err(|_| BodyError::Deadline)??;
        Ok(stored)
    }

    /// Reads a payload of exactly `length` bytes and deletes it, in the background.
    pub(super) async fn take(
        &self,
        name: &str,
        length: u64,
        deadline: Instant,
    ) -> Result<(Bytes, JoinHandle<()>), BodyError> {
        let reading = async {
            let known = self.known();
            let fresh = known.is_none();
            let store = match known {
                Some(store) => store,
                None => self.open().await?,
            };
            let object = match store.get(name).await {
                Err(_) if !fresh => self.open().await?.get(name).await,
                got => got,
            };
            self.read(name, length, object.map_err(store_error)?).await
        };
        let body = tokio::time::timeout_at(deadline, Box::pin(reading)).await.map_err(|_| BodyError::Deadline)??;
        Ok((body, self.delete(name.to_owned())))
    }

    async fn read(&self, name: &str, length: u64, object: Object) -> Result<Bytes, BodyError> {
        if object.info.name != name || object.info.bucket != self.0.name {
            return Err(BodyError::Link);
        }
        let found = object.info.size as u64;
        if found != length {
            return Err(BodyError::Size { found, announced: length });
        }
        let charge = Budget::bodies().reserve(length)?;
        let capacity = usize::try_from(length.min(MAX_FIRST_ALLOCATION)).unwrap_or(0);
        let mut body = Vec::with_capacity(capacity);
        // One byte more than announced: enough to see that there is more.
        object.take(length.saturating_add(1)).read_to_end(&mut body).await.map_err(store_error)?;
        if body.len() as u64 != length {
            return Err(BodyError::Size { found: body.len() as u64, announced: length });
        }
        Ok(charge.carried_by(body.into()))
    }

    /// Deletes an object with its marker. Runs to its end also when the handle is dropped; failure is only logged.
    fn delete(&self, name: String) -> JoinHandle<()> {
        let bodies = self.clone();
        tokio::spawn(async move {
            let deleting = Box::pin(bodies.delete_now(&name));
            match tokio::time::timeout(DELETE_TIME, deleting).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, object = name, "cannot delete a stored payload"),
                Err(_) => tracing::debug!(object = name, "deleting a stored payload took too long"),
            }
        })
    }

    async fn delete_now(&self, name: &str) -> Result<(), BodyError> {
        let store = match self.known() {
            Some(store) => store,
            None => self.open().await?,
        };
        store.delete(name).await.map_err(store_error)?;
        // Deleting leaves a marker for those who watch a bucket. Nobody watches this one, and ids never come again,
        // so the markers would only pile up.
        let stream = subject::object_stream(&self.0.lattice);
        let stream = self.0.jetstream.get_stream_no_info(stream).await.map_err(store_error)?;
        let marker = subject::object_metadata(&self.0.lattice, name);
        stream.purge().filter(marker).await.map(|_| ()).map_err(store_error)
    }

    fn known(&self) -> Option<ObjectStore> {
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the bucket, or creates it when there is none.
    async fn open(&self) -> Result<ObjectStore, BodyError> {
        let config = Config { bucket: self.0.name.clone(), ..Config::default() };
        let store = match self.0.jetstream.get_object_store(&self.0.name).await {
            Ok(store) => store,
            Err(_) => match self.0.jetstream.create_object_store(config).await {
                Ok(store) => store,
                // Somebody else may have created it in between, with settings of its own.
                Err(error) => self.0.jetstream.get_object_store(&self.0.name).await.map_err(|_| store_error(error))?,
            },
        };
        *self.0.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store.clone());
        Ok(store)
    }
}

fn store_error(error: impl std::error::Error) -> BodyError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    BodyError::Store(text)
}

/// A payload that waits for its reader.
pub struct StoredBody {
    bodies: Bodies,
    name: Option<String>,
}

impl StoredBody {
    /// Leaves it to the reader to delete it.
    pub fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for StoredBody {
    fn drop(&mut self) {
        if let (Some(name), Ok(_)) = (self.name.take(), Handle::try_current()) {
            self.bodies.delete(name);
        }
    }
}
