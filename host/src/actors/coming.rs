//! Between the last version of an actor and the next one: calls wait for what is on its way.
//!
//! A deployment manager replaces a version by two commands, in either order. Where the old one stops first, nothing of the
//! actor runs until the new one is loaded; what is called meanwhile is not lost. Nothing that was stopped runs on: a call
//! waits for code that may run, until its deadline, or until it is clear that none comes. Those that waited enter the new
//! version a few at a time, so that they do not fill its queue. Invariant: only so many calls wait, of one actor and of
//! all together.

use std::{ops::Deref, sync::Arc, time::Instant};

use claims::ActorId;
use contracts::CallError;
use tokio::{sync::OwnedSemaphorePermit, time::timeout_at};

use super::{Actors, RunningActor};

/// Calls that wait for one vacant actor, and for all of them.
pub(super) const MOST_WAITING: (usize, usize) = (4096, 16_384);
/// Calls that waited, and are in the new version at once.
pub(super) const AT_ONCE: usize = 32;

/// A version that was waited for. Kept for as long as the call runs: then the next one that waited enters.
pub struct Came {
    actor: Arc<RunningActor>,
    _turn: OwnedSemaphorePermit,
}

impl Deref for Came {
    type Target = Arc<RunningActor>;

    fn deref(&self) -> &Self::Target {
        &self.actor
    }
}

impl Actors {
    /// Waits for a vacant actor to run again. None when it is not vacant, or does not come.
    ///
    /// # Errors
    /// [`CallError::Busy`] when too many wait already, [`CallError::DeadlineExceeded`] when it takes too long.
    pub async fn coming(&self, id: &ActorId, contract: &str, deadline: Instant) -> Result<Option<Came>, CallError> {
        let (mut filled, own, door) = match self.slot(id) {
            Some(slot) => (slot.filled.subscribe(), slot.waiting.clone(), slot.door.clone()),
            None => return Ok(None),
        };
        let busy =
            |limit: usize| CallError::Busy { target: id.to_string(), limit: u32::try_from(limit).unwrap_or(u32::MAX) };
        let _own = own.try_acquire().map_err(|_| busy(MOST_WAITING.0))?;
        let _all = self.waiting.try_acquire().map_err(|_| busy(MOST_WAITING.1))?;
        let back = async {
            while self.for_call(id, contract).is_none() && filled.changed().await.is_ok() {}
            let turn = door.acquire_owned().await.ok()?;
            // It may have stopped again while others went before.
            Some(Came { actor: self.for_call(id, contract)?, _turn: turn })
        };
        let late = |_| CallError::DeadlineExceeded { step: format!("waiting for a version of `{id}` to start") };
        timeout_at(deadline.into(), back).await.map_err(late)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use claims::{KeyKind, PublicKey};
    use futures_util::FutureExt;

    use super::*;

    fn actor(byte: u8) -> ActorId {
        PublicKey::from_raw(KeyKind::Module, [byte; 32]).try_into().expect("an actor")
    }

    #[tokio::test]
    async fn only_so_many_calls_wait_and_all_of_them_hear_that_none_comes() {
        let (actors, far) = (Actors::default(), Instant::now() + Duration::from_secs(60));
        let ids: Vec<ActorId> = (1..=5).map(actor).collect();
        let vacancies: Vec<_> = ids.iter().map(|id| actors.vacate(*id)).collect();
        let mut waiting = Vec::new();
        for id in &ids[..4] {
            for _ in 0..MOST_WAITING.0 {
                let mut call = Box::pin(actors.coming(id, "", far));
                assert!((&mut call).now_or_never().is_none(), "it waits");
                waiting.push(call);
            }
            let own = actors.coming(id, "", far).await.err().expect("too many of this one");
            assert!(matches!(own, CallError::Busy { limit: 4096, .. }), "{own}");
        }
        let all = actors.coming(&ids[4], "", far).await.err().expect("too many of all");
        assert!(matches!(all, CallError::Busy { limit: 16_384, .. }), "{all}");
        for (id, vacancy) in ids.iter().zip(vacancies) {
            actors.close(id, vacancy);
        }
        for call in waiting {
            assert!(call.await.is_ok_and(|actor| actor.is_none()));
        }
        assert!(actors.coming(&ids[0], "", far).await.is_ok_and(|actor| actor.is_none()), "it is not vacant any more");
    }
}
