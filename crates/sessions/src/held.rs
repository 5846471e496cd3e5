//! A batch that arrived, for as long as a payload of it is held.
//!
//! Payloads are pieces of their batch, and keep all of it in memory: so the whole batch is charged, once, to the bodies of
//! all calls. Invariant: while there is no room for it, nothing of it stays but what is not worth counting.

use bytes::Bytes;
use contracts::{
    Budget,
    budget::{NoRoom, UNCOUNTED},
};

/// A batch, and whether there was room for it.
pub(super) struct Held {
    /// With its charge, if it has one.
    pub(super) batch: Bytes,
    room: Result<(), NoRoom>,
}

impl Held {
    pub(super) fn new(batch: &Bytes) -> Self {
        Self::within(batch, Budget::bodies())
    }

    fn within(batch: &Bytes, budget: &Budget) -> Self {
        match budget.carry(batch.clone()) {
            Ok(batch) => Self { batch, room: Ok(()) },
            Err(no_room) => Self { batch: batch.clone(), room: Err(no_room) },
        }
    }

    /// A payload of it, to be kept.
    ///
    /// # Errors
    /// [`NoRoom`] for one that is worth counting.
    pub(super) fn payload(&self, payload: Bytes) -> Result<Bytes, NoRoom> {
        match self.room {
            Ok(()) => Ok(payload),
            Err(no_room) if payload.len() > UNCOUNTED => Err(no_room),
            // By itself it holds nothing of its batch.
            Err(_) => Ok(Bytes::copy_from_slice(&payload)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_charged_until_its_last_payload_goes() {
        let (budget, batch) = (Budget::new(1 << 20), Bytes::from(vec![7; 100_000]));
        let held = Held::within(&batch, &budget);
        let payload = held.payload(held.batch.slice(..10)).expect("there is room");
        drop(held);
        assert_eq!(budget.used(), 100_000, "a payload holds its whole batch");
        drop(payload);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn without_room_small_payloads_go_on_and_others_are_refused() {
        let (budget, batch) = (Budget::new(1), Bytes::from(vec![7; 100_000]));
        let held = Held::within(&batch, &budget);
        assert_eq!(held.payload(held.batch.slice(..UNCOUNTED)).expect("not counted").len(), UNCOUNTED);
        assert_eq!(held.payload(held.batch.slice(..=UNCOUNTED)), Err(NoRoom { limit: 1 }));
        assert_eq!(budget.used(), 0);
    }
}
