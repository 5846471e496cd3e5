//! How much memory the artifacts that are being loaded may take together.
//!
//! Bytes are reserved before they are allocated, and given back when the last handle to them is dropped: whoever passes
//! them on passes the reservation on with them. Knows sizes, not artifacts. Invariant: the sum of what is held through one
//! budget never exceeds it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The grain of a budget, bytes.
const BLOCK: u64 = 4 << 10;
/// How long a load waits for others to give back what they hold.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bound for bytes that are held at one time. Clones share it.
#[derive(Debug, Clone)]
pub struct LoadBudget {
    free: Arc<Semaphore>,
    blocks: u32,
    patience: Duration,
}

/// A part of a budget.
#[derive(Debug)]
pub struct Reserved {
    _permit: OwnedSemaphorePermit,
}

/// What is needed is held by others, and was not given back in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the artifacts that are being loaded take all of the {total} bytes that there are for them")]
pub struct NoRoom {
    /// The bound for all together.
    pub total: u64,
}

impl LoadBudget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self::with_patience(bytes, PATIENCE)
    }

    /// As [`LoadBudget::new`]; whoever finds it taken waits for `patience`.
    #[must_use]
    pub fn with_patience(bytes: u64, patience: Duration) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(most).clamp(1, most);
        let free = Arc::new(Semaphore::new(usize::try_from(blocks).unwrap_or(usize::MAX)));
        Self { free, blocks, patience }
    }

    /// Waits until `bytes` fit beside what is held. More than the whole budget takes the whole of it, so that a single
    /// artifact is held back by its own bound and not by this one.
    ///
    /// # Errors
    /// [`NoRoom`] when others hold too much for too long.
    pub async fn reserve(&self, bytes: u64) -> Result<Reserved, NoRoom> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(self.blocks).min(self.blocks);
        let permit = self.free.clone().acquire_many_owned(blocks);
        match tokio::time::timeout(self.patience, permit).await {
            Ok(Ok(permit)) => Ok(Reserved { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(NoRoom { total: u64::from(self.blocks) * BLOCK }),
        }
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held(&self) -> u64 {
        (u64::from(self.blocks) - self.free.available_permits() as u64) * BLOCK
    }
}

impl Reserved {
    /// Ties the reservation to what it was made for.
    #[must_use]
    pub fn hold(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { bytes, _reserved: self })
    }
}

struct Held {
    bytes: Vec<u8>,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_are_given_back_with_their_last_handle() {
        let budget = LoadBudget::new(1 << 20);
        let first = budget.reserve(1 << 19).await.expect("room").hold(vec![0; 1 << 19]);
        let second = budget.reserve(1 << 19).await.expect("room").hold(vec![0; 1 << 19]);
        assert_eq!(budget.held(), 1 << 20);
        assert_eq!(budget.reserve(1).await.map(drop), Err(NoRoom { total: 1 << 20 }));

        let part = first.slice(10..20);
        drop(first);
        assert_eq!(budget.held(), 1 << 20, "a part of it keeps all of it");
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(1 << 19).await.map(drop) }
        });
        tokio::task::yield_now().await;
        drop(part);
        waiting.await.expect("no panic").expect("room again");
        drop(second);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_larger_than_all_is_alone() {
        let budget = LoadBudget::new(10_000);
        let whole = budget.reserve(1 << 40).await.expect("nobody else");
        assert!(budget.reserve(1).await.is_err());
        drop(whole);
        assert!(budget.reserve(0).await.is_ok());
    }
}
