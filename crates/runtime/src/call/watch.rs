//! Whoever wants to know what becomes of a call over HTTP, also after the head of its answer is out.

use contracts::CallError;
use http::StatusCode;

/// Told once how a call ended. Dropped untold, its caller went.
pub trait Watch: Send + Unpin + 'static {
    /// The head of an answer is handed over; the body follows.
    fn answered(&mut self, status: StatusCode) {
        let _ = status;
    }

    /// The call is over: the guest has ended, and its answer is complete or never will be.
    fn ended(self, outcome: Result<(), &CallError>)
    where
        Self: Sized;

    /// The same, where its caller had the whole answer before.
    fn ended_afterwards(self, outcome: Result<(), &CallError>)
    where
        Self: Sized,
    {
        self.ended(outcome);
    }
}

/// Nobody wants to know.
impl Watch for () {
    fn ended(self, _: Result<(), &CallError>) {}
}
