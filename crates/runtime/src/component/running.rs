//! A guest at work on an HTTP answer: first in the task of whoever waits for the answer, then in one of its own.
//!
//! Most guests are over when their answer is, and so cost neither a task nor a wake-up from one thread to another.
//! Invariant: dropping it stops the guest, unless it was let go.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use contracts::CallError;
use tokio::task::JoinHandle;

type Ended = Result<(), CallError>;

/// A guest, wherever it works.
pub(super) struct Running(State);

enum State {
    /// With whoever polls it.
    Here(Pin<Box<dyn Future<Output = Ended> + Send>>),
    /// In a task of its own.
    There(JoinHandle<Ended>),
    /// Over, and how. None once that was asked, or nobody wants to know any more.
    Over(Option<Ended>),
}

impl Running {
    /// A guest that has not begun.
    pub(super) fn new(work: impl Future<Output = Ended> + Send + 'static) -> Self {
        Self(State::Here(Box::pin(work)))
    }

    /// Lets it work here until it waits for something, which then wakes the task of `cx`.
    pub(super) fn work(&mut self, cx: &mut Context<'_>) {
        if let State::Here(work) = &mut self.0
            && let Poll::Ready(ended) = work.as_mut().poll(cx)
        {
            self.0 = State::Over(Some(ended));
        }
    }

    /// From here on it works in a task of its own.
    pub(super) fn leave(&mut self) {
        if let State::Here(work) = std::mem::replace(&mut self.0, State::Over(None)) {
            self.0 = State::There(tokio::spawn(work));
        }
    }

    /// Lets it come to its own end.
    pub(super) fn let_go(mut self) {
        match std::mem::replace(&mut self.0, State::Over(None)) {
            State::Here(work) => drop(tokio::spawn(work)),
            State::There(_) | State::Over(_) => {}
        }
    }

    /// Waits for its end.
    pub(super) async fn ended(mut self) -> Ended {
        match std::mem::replace(&mut self.0, State::Over(None)) {
            State::Here(work) => work.await,
            State::There(task) => task.await.map_err(|error| CallError::HostFault { message: error.to_string() })?,
            State::Over(ended) => ended.unwrap_or(Ok(())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let State::There(task) = &self.0 {
            task.abort();
        }
    }
}
