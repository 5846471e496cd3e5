//! What sessions need of the world around them: a broker, the time, and somebody who runs tasks.
//!
//! `nats.rs` is the one for hosts; tests bring a world of their own in which messages are lost and time is made up.
//! Messages are those of the NATS client, so that nothing is copied on the way of a call. Every use is monomorphised.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Message, SubscribeError, client::PublishError};
use bytes::Bytes;
use contracts::CallError;
use futures_util::Stream;
use tokio::sync::watch;

/// A broker, clocks, tasks and a store for what no message holds.
pub trait Environment: Send + Sync + Sized + 'static {
    /// What a subscription brings.
    type Messages: Stream<Item = Message> + Send + Unpin;
    /// A task that runs.
    type Task: Task;

    /// The time by which waits are counted.
    fn now(&self) -> Instant;

    /// Seconds since 1970.
    fn unix_now(&self) -> u64;

    /// Runs a task that [`Environment::tasks_ended`] waits for.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Self::Task;

    /// Runs a task that nobody waits for.
    fn spawn_apart(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Returns when no task runs.
    fn tasks_ended(&self) -> impl Future<Output = ()> + Send;

    /// What a future comes to, or none when that takes until `deadline`.
    fn timeout_at<F: Future<Output: Send> + Send>(
        &self,
        deadline: Instant,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send;

    /// Whether the broker is there; marked changed at every reconnect.
    fn connected(&self) -> &watch::Receiver<bool>;

    /// A subject that no other host listens on and nobody can guess.
    fn new_inbox(&self) -> String;

    /// Largest message that the broker takes, in bytes.
    fn max_payload(&self) -> usize;

    /// Subscribes; what was sent before is not seen.
    fn subscribe(&self, subject: String) -> impl Future<Output = Result<Self::Messages, SubscribeError>> + Send;

    /// Hands a message to the connection. A future that is dropped before it is ready has handed over nothing; messages
    /// leave in the order in which they were handed over.
    fn publish(&self, message: OutMessage) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// Returns when what was handed over is written.
    fn flush(&self) -> impl Future<Output = ()> + Send;

    /// Sends a question and waits for the answer.
    fn ask(
        &self,
        subject: String,
        headers: HeaderMap,
        question: Bytes,
        within: Duration,
    ) -> impl Future<Output = Result<Bytes, AskError>> + Send;

    /// Stores the large result of a call. Whoever [fetches](Environment::fetch) it has it deleted.
    fn store(&self, id: &str, result: &Bytes) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Fetches the large result of a call, of `length` bytes.
    fn fetch(&self, id: &str, length: u64, deadline: Instant) -> impl Future<Output = Result<Bytes, CallError>> + Send;
}

/// A task that runs.
pub trait Task: Send + 'static {
    /// Ends it where it stands.
    fn abort(&self);
}

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct OutMessage {
    /// Where it goes.
    pub subject: String,
    /// Where it is answered, and where the broker says that nobody takes it.
    pub reply: Option<String>,
    /// What stands beside it.
    pub headers: Option<HeaderMap>,
    /// What it says.
    pub payload: Bytes,
}

impl OutMessage {
    /// A message that nobody answers.
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { subject: subject.into(), reply: None, headers: None, payload: payload.into() }
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The broker knows nobody who would.
    #[error("nobody answers handshakes there")]
    NoResponders,
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// The connection takes nothing.
    #[error("the question cannot be sent: {reason}")]
    NotSent {
        /// What the client says.
        reason: String,
    },
}
