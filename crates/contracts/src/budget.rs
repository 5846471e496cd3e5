//! Memory that many share: bodies under way, with one bound for all of them together.
//!
//! Counts bytes. Whoever keeps a body in memory has a [`Charge`] for it, and drops it with the body or has the bytes carry it
//! ([`Charge::carried_by`]). Invariants: what is charged is never more than the limit; the last eighth is left to small charges,
//! so that a few large bodies do not turn away all the others.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::CallError;

/// A charge up to here may use the last eighth of a budget.
const SMALL: u64 = 256 << 10;

/// Bodies up to here are not worth counting: a call needs more than that for itself.
pub const UNCOUNTED: usize = 16 << 10;

/// Bytes that may be in use at once. Clones share them.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: AtomicU64,
    used: AtomicU64,
    refused: AtomicU64,
}

impl Budget {
    /// One with a limit in bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        let (limit, used, refused) = (limit.into(), 0.into(), 0.into());
        Self(Arc::new(Shared { limit, used, refused }))
    }

    /// That of the bodies of this process: of requests and answers that are held in one piece while they are received, run
    /// or sent. Without a limit until somebody sets one.
    #[must_use]
    pub fn bodies() -> &'static Self {
        static BODIES: LazyLock<Budget> = LazyLock::new(|| Budget::new(u64::MAX));
        &BODIES
    }

    /// Sets the limit. What is charged already stays.
    pub fn set_limit(&self, limit: u64) {
        self.0.limit.store(limit, Relaxed);
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit.load(Relaxed)
    }

    /// Bytes that are charged now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Relaxed)
    }

    /// How often something did not fit.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }

    /// An empty charge, to be grown.
    pub fn charge(&self) -> Charge {
        Charge { budget: self.clone(), bytes: 0 }
    }

    /// A charge for so many bytes that are about to be held. Few are not counted ([`UNCOUNTED`]).
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn reserve(&self, bytes: u64) -> Result<Charge, NoRoom> {
        let mut charge = self.charge();
        if bytes > UNCOUNTED as u64 {
            charge.grow(bytes)?;
        }
        Ok(charge)
    }

    /// Bytes that carry a charge for themselves, which goes with the last piece of them. Few are not counted.
    ///
    /// # Errors
    /// [`NoRoom`].
    #[cfg(feature = "http")]
    pub fn carry(&self, bytes: bytes::Bytes) -> Result<bytes::Bytes, NoRoom> {
        if bytes.len() <= UNCOUNTED {
            return Ok(bytes);
        }
        Ok(self.reserve(bytes.len() as u64)?.carried_by(bytes))
    }

    fn take(&self, bytes: u64, limit: u64) -> bool {
        let used = &self.0.used;
        let before = used.fetch_add(bytes, Relaxed);
        let fits = before.checked_add(bytes).is_some_and(|used| used <= limit);
        if !fits {
            used.fetch_sub(bytes, Relaxed);
            self.0.refused.fetch_add(1, Relaxed);
        }
        fits
    }
}

/// A share in a budget. Given back when dropped.
#[derive(Debug)]
#[must_use = "a charge that is dropped is given back"]
pub struct Charge {
    budget: Budget,
    bytes: u64,
}

/// There is no room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {limit} bytes that this host has for the bodies of all calls under way are in use")]
pub struct NoRoom {
    /// The limit of the budget in bytes.
    pub limit: u64,
}

impl From<NoRoom> for CallError {
    fn from(error: NoRoom) -> Self {
        Self::NoRoom { target: "host".to_owned(), what: error.to_string(), begun: false }
    }
}

impl NoRoom {
    /// The end of a call whose result does not fit: it was carried out, and is not to be made again elsewhere.
    #[must_use]
    pub fn of_result(self) -> CallError {
        CallError::NoRoom { target: "host".to_owned(), what: self.to_string(), begun: true }
    }
}

impl Charge {
    /// Takes so many bytes more, or none.
    ///
    /// # Errors
    /// [`NoRoom`] when all that is charged would be above the limit.
    pub fn grow(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let limit = self.budget.limit();
        let whole = self.bytes.saturating_add(bytes);
        let most = if whole <= SMALL { limit } else { limit - limit / 8 };
        if !self.budget.take(bytes, most) {
            return Err(NoRoom { limit });
        }
        self.bytes = whole;
        Ok(())
    }

    /// Gives a part of it back.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.0.used.fetch_sub(bytes, Relaxed);
    }

    /// Shrinks to so many bytes, or grows to them.
    ///
    /// # Errors
    /// As for [`Charge::grow`].
    pub fn resize(&mut self, bytes: u64) -> Result<(), NoRoom> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.grow(more),
            None => {
                self.shrink(self.bytes - bytes);
                Ok(())
            }
        }
    }

    /// Lets bytes carry it: it is given back when the last piece of them is dropped.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn carried_by(self, bytes: bytes::Bytes) -> bytes::Bytes {
        struct Carrier(bytes::Bytes, #[expect(dead_code, reason = "dropped with the bytes")] Charge);
        impl AsRef<[u8]> for Carrier {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        if self.bytes == 0 { bytes } else { bytes::Bytes::from_owner(Carrier(bytes, self)) }
    }

    /// Bytes that it has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_charges_together_stay_below_the_limit_and_come_back() {
        let budget = Budget::new(80 << 20);
        let mut charges: Vec<_> = (0..8).map(|_| budget.charge()).collect();
        let fitted = charges.iter_mut().filter_map(|charge| charge.grow(10 << 20).ok()).count();
        assert_eq!((fitted, budget.used(), budget.refused()), (7, 70 << 20, 1), "an eighth is left");
        let mut small = budget.charge();
        small.grow(SMALL).expect("to small ones");
        assert_eq!(small.grow(1).expect_err("no longer small").limit, 80 << 20);
        charges.clear();
        small.resize(10 << 20).expect("there is room again");
        small.resize(1).expect("less always fits");
        assert_eq!((small.bytes(), budget.used()), (1, 1));
        drop(small);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn bytes_carry_their_charge_to_their_end() {
        let budget = Budget::new(1 << 20);
        let mut charge = budget.charge();
        charge.grow(100).expect("fits");
        let bytes = charge.carried_by(vec![7; 100].into());
        let piece = bytes.slice(1..2);
        drop(bytes);
        assert_eq!((budget.used(), &piece[..]), (100, &[7][..]));
        drop(piece);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_held_is_charged_and_few_bytes_are_not() {
        let budget = Budget::new(1 << 20);
        let few = budget.carry(vec![7; UNCOUNTED].into()).expect("fits");
        assert_eq!((budget.used(), few.len()), (0, UNCOUNTED));
        let more = budget.carry(vec![7; UNCOUNTED + 1].into()).expect("fits");
        assert_eq!(budget.used(), more.len() as u64);
        assert_eq!(budget.carry(vec![7; 1 << 20].into()).expect_err("too much"), NoRoom { limit: 1 << 20 });
        drop(more);
        assert_eq!((budget.used(), budget.reserve(7).expect("fits").bytes()), (0, 0));
        assert!(matches!(NoRoom { limit: 7 }.of_result(), CallError::NoRoom { begun: true, .. }));
    }

    #[test]
    fn what_is_larger_than_any_number_is_refused() {
        let budget = Budget::new(u64::MAX);
        let mut charge = budget.charge();
        charge.grow(SMALL).expect("fits");
        charge.grow(u64::MAX).expect_err("does not");
        assert_eq!(budget.used(), SMALL);
    }

    #[test]
    fn a_body_without_room_is_busy_and_was_not_begun() {
        let error = CallError::from(NoRoom { limit: 7 });
        assert_eq!(error.code(), "busy");
        assert!(matches!(error, CallError::NoRoom { begun: false, .. }), "{error}");
    }
}
