//! A guest at work on an HTTP answer: first in the task of whoever waits for the answer, then in one of its own.
//!
//! Most guests are over when their answer is, and so cost neither a task nor a wake-up from one thread to another.
//! Invariant: dropping it stops the guest, unless it was let go.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use contracts::CallError;
use tokio::task::JoinHandle;

use crate::call::watch::Watch;

type Ended = Result<(), CallError>;

/// A guest, wherever it works.
pub(super) struct Running(State);

enum State {
    /// With whoever polls it.
    Here(Pin<Box<dyn Future<Output = Ended> + Send>>),
    /// In a task of its own.
    There(JoinHandle<Ended>),
    /// Over, and how. None once that was asked.
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

    /// How it ended, if it is known to be over.
    pub(super) fn over(&self) -> Option<Result<(), &CallError>> {
        match &self.0 {
            State::Over(Some(ended)) => Some(ended.as_ref().copied()),
            State::Over(None) => Some(Ok(())),
            State::Here(_) | State::There(_) => None,
        }
    }

    /// From here on it works in a task of its own.
    pub(super) fn leave(&mut self) {
        if let State::Here(work) = std::mem::replace(&mut self.0, State::Over(None)) {
            self.0 = State::There(tokio::spawn(work));
        }
    }

    /// Lets it come to its own end, of which `watch` is told.
    pub(super) fn let_go(mut self, watch: Option<impl Watch>) {
        match std::mem::replace(&mut self.0, State::Over(None)) {
            State::Over(ended) => {
                if let Some(watch) = watch {
                    watch.ended_afterwards(ended.as_ref().map_or(Ok(()), |ended| ended.as_ref().copied()));
                }
            }
            running => {
                tokio::spawn(async move {
                    let ended = Self(running).ended().await;
                    if let Some(watch) = watch {
                        watch.ended_afterwards(ended.as_ref().copied());
                    }
                });
            }
        }
    }

    /// Waits for its end.
    pub(super) async fn ended(mut self) -> Ended {
        std::future::poll_fn(|cx| self.poll_ended(cx)).await
    }

    /// The same, for whoever polls. To be asked once.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let ended = match &mut self.0 {
            State::Here(work) => ready!(work.as_mut().poll(cx)),
            State::There(task) => match ready!(Pin::new(task).poll(cx)) {
                Ok(ended) => ended,
                Err(error) => Err(CallError::HostFault { message: error.to_string() }),
            },
            State::Over(ended) => ended.take().unwrap_or(Ok(())),
        };
        self.0 = State::Over(None);
        Poll::Ready(ended)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let State::There(task) = &self.0 {
            task.abort();
        }
    }
}
