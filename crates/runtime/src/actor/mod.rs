//! An actor as its calls see it: who it is, what it may use, what it has broken, what it says.
//!
//! Knows no store and no code. Invariant: which limit ended a call is counted once, before its caller hears of it.

pub(crate) mod broken_limits;
pub(crate) mod identity;
pub(crate) mod local_grants;
pub(crate) mod log_rate;
pub(crate) mod logs;

use std::sync::Arc;

use contracts::CallError;

use self::{broken_limits::BrokenLimits, identity::Identity, local_grants::LocalGrants, log_rate::LogRate};
use crate::{
    error::ended::Failure,
    limits::{GuestLimits, names::Limit},
    schedule::{
        guest_memory::{GuestMemory, Share},
        runs_long::RunsLong,
    },
};

/// The actor as its calls see it; one per loaded guest.
pub(crate) struct Actor {
    pub(crate) identity: Identity,
    pub(crate) limits: GuestLimits,
    /// Whether its calls compute for long.
    pub(crate) runs_long: RunsLong,
    /// What it may have of this machine; nothing, unless it was loaded by hand.
    pub(crate) local: LocalGrants,
    pub(crate) broken_limits: BrokenLimits,
    pub(crate) log_rate: LogRate,
    /// What it has of the memory of all guests.
    pub(crate) memory: Arc<Share>,
}

impl Actor {
    pub(crate) fn new(
        identity: Identity,
        limits: GuestLimits,
        memory: Arc<Share>,
        broken_limits: BrokenLimits,
    ) -> Self {
        let (runs_long, local, log_rate) = Default::default();
        Self { identity, limits, runs_long, local, broken_limits, log_rate, memory }
    }

    /// For a program without a lattice: nobody signed it, so nothing is granted. Its id is a key that nobody has; memory
    /// is its own business.
    pub(crate) fn of_nobody(limits: GuestLimits) -> Self {
        let memory = GuestMemory::new(u64::MAX).share();
        Self::new(Identity::of_nobody(), limits, memory, BrokenLimits::new(Arc::default()))
    }

    pub(crate) fn id(&self) -> &str {
        self.identity.id.as_str()
    }

    /// Counts the limit that ended a call, if one did. Told by whoever waits for the end, of which there is one, while a
    /// guest may come to its end beside it. `own_deadline`: the call had no more time than the actor's own limit left it.
    pub(crate) fn count_breach<T>(&self, ended: &Result<T, Failure>, own_deadline: bool) {
        let Err(Failure { error, broken }) = ended else { return };
        let in_time = !own_deadline || !matches!(error, CallError::DeadlineExceeded { .. });
        if let Some(limit) = if in_time { *broken } else { Some(Limit::CallTime) } {
            self.broken_limits.count(limit);
        }
    }
}
