//! What waits for the task of the store: changes for those that are known, and for strangers.
//!
//! Strangers are actors and providers of which no signed claims are known. Their changes wait in a line of their own, which
//! is short and refuses at once when it is full: whoever invents actors delays nobody else. Invariant: a change that
//! waits in the line of the known is taken before any of a stranger.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::command::Command;

/// Changes for the known that wait; more wait outside.
const KNOWN: usize = 256;
/// Changes for strangers that wait; more are refused.
pub(super) const STRANGERS: usize = 256;

/// The side that waits.
#[derive(Clone)]
pub(super) struct Lines {
    known: mpsc::Sender<Command>,
    strangers: mpsc::Sender<Command>,
}

/// Why a command was not taken into a line.
pub(super) enum NotQueued {
    /// Too many of strangers wait.
    Full,
    /// The host is stopping.
    Stopping,
}

impl Lines {
    pub(super) async fn known(&self, command: Command) -> Result<(), NotQueued> {
        self.known.send(command).await.map_err(|_| NotQueued::Stopping)
    }

    pub(super) fn stranger(&self, command: Command) -> Result<(), NotQueued> {
        self.strangers.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotQueued::Full,
            mpsc::error::TrySendError::Closed(_) => NotQueued::Stopping,
        })
    }
}

/// The side that takes.
pub(super) struct Queue {
    known: mpsc::Receiver<Command>,
    strangers: mpsc::Receiver<Command>,
    put_back: VecDeque<Command>,
}

pub(super) fn queue() -> (Lines, Queue) {
    let (known, known_out) = mpsc::channel(KNOWN);
    let (strangers, strangers_out) = mpsc::channel(STRANGERS);
    (Lines { known, strangers }, Queue { known: known_out, strangers: strangers_out, put_back: VecDeque::new() })
}

impl Queue {
    /// The next command; none when nobody is left who could send one. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Command> {
        if let Some(command) = self.put_back.pop_front() {
            return Some(command);
        }
        tokio::select! {
            biased;
            command = self.known.recv() => command,
            Some(command) = self.strangers.recv() => Some(command),
        }
    }

    /// One more that waits already.
    pub(super) fn more(&mut self) -> Option<Command> {
        self.known.try_recv().or_else(|_| self.strangers.try_recv()).ok()
    }

    /// Gives back the one that was taken last; it comes next.
    pub(super) fn put_back(&mut self, command: Command) {
        self.put_back.push_front(command);
    }
}
