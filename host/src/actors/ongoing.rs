//! A call that may outlive the answer to it: counted once, when all of it is over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::CallError;

use super::ActorCalls;
use crate::meters::CallMeter;

/// A call of an actor under way, which keeps its meter. Dropped without an end, it was abandoned by its caller.
#[must_use = "a call that is not ended counts as cancelled"]
pub struct Ongoing {
    calls: Arc<ActorCalls>,
    row: usize,
    began: Instant,
    took: Option<Duration>,
    outcome: Option<usize>,
}

impl ActorCalls {
    /// A call begins that the actor got.
    pub fn arrive(self: &Arc<Self>, contract: &str, operation: &str) -> Ongoing {
        let row = self.arrived.index(contract, operation);
        Ongoing { calls: self.clone(), row, began: Instant::now(), took: None, outcome: None }
    }
}

impl Ongoing {
    /// The head of a streamed answer is there, until which its time is measured.
    pub fn answered(&mut self) {
        self.took = Some(self.began.elapsed());
    }

    /// The call ended.
    pub fn end(mut self, outcome: Result<(), &CallError>) {
        self.outcome = Some(CallMeter::outcome_of(outcome));
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        let took = self.took.unwrap_or_else(|| self.began.elapsed());
        self.calls.arrived.count(self.row, self.outcome, took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_counted_once_by_how_all_of_it_ended() {
        let calls = Arc::new(ActorCalls::default());
        let trap = CallError::Trap { message: String::new() };
        for outcome in [Ok(()), Err(&trap)] {
            let mut call = calls.arrive("c", "o");
            call.answered();
            call.end(outcome);
        }
        drop(calls.arrive("c", "o"));
        let counted = calls.arrived.counted();
        let counted: Vec<_> = counted.iter().map(|row| (row.outcome, row.count)).collect();
        assert_eq!(counted, [("ok", 1), ("trap", 1), ("cancelled", 1)]);
        assert_eq!(calls.arrived.duration.snapshot().count, 3);
    }
}
