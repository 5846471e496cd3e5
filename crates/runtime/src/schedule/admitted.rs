//! Leave to run, held while an instance is alive.
//!
//! Invariant: what was counted when a call was let in is given back with this, once.

use std::sync::Arc;

use super::{Schedule, admission::Permit};

/// Held while an instance is alive.
pub(crate) struct Admitted {
    schedule: Arc<Schedule>,
    own_deadline: bool,
    _permit: Permit,
}

impl Admitted {
    /// For a call that has a permit of its actor and was counted by the ticker.
    pub(crate) fn new(schedule: Arc<Schedule>, permit: Permit, own_deadline: bool) -> Self {
        Self { schedule, own_deadline, _permit: permit }
    }

    /// Where a guest that computes for long goes on.
    pub(crate) fn schedule(&self) -> &Arc<Schedule> {
        &self.schedule
    }

    /// Whether the call's time is bounded by the actor's own limit.
    pub(crate) fn own_deadline(&self) -> bool {
        self.own_deadline
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.schedule.ticker.leave();
    }
}
