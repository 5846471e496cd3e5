//! The environment of a host: its RPC connection to NATS, the clocks of the machine, and tokio.

use std::{
    future::Future,
    time::{Duration, Instant, SystemTime},
};

use async_nats::{Client, HeaderMap, RequestErrorKind, SubscribeError, client::PublishError};
use bytes::Bytes;
use contracts::CallError;
use lattice::client::{Inbox, RpcResponder};
use tokio::{sync::watch, task::AbortHandle};
use tokio_util::task::TaskTracker;

use crate::environment::{AskError, Environment, OutMessage, Task};

/// Sessions over NATS.
pub struct Nats {
    /// The connection that carries calls.
    pub client: Client,
    /// Whether it is up.
    pub connected: watch::Receiver<bool>,
    /// Results that are too large for a message.
    pub large: RpcResponder,
    /// Where everything runs.
    pub tasks: TaskTracker,
}

impl Environment for Nats {
    type Messages = Inbox;
    type Task = AbortHandle;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_now(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(task).abort_handle()
    }

    fn spawn_apart(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    async fn tasks_ended(&self) {
        self.tasks.wait().await;
    }

    async fn timeout_at<F: Future<Output: Send> + Send>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        tokio::time::timeout_at(deadline.into(), future).await.ok()
    }

    fn connected(&self) -> &watch::Receiver<bool> {
        &self.connected
    }

    fn new_inbox(&self) -> String {
        self.client.new_inbox()
    }

    fn max_payload(&self) -> usize {
        match self.client.max_payload() {
            0 => usize::MAX,
            most => most,
        }
    }

    async fn subscribe(&self, subject: String) -> Result<Inbox, SubscribeError> {
        Ok(Inbox::of_calls("sessions", self.client.subscribe(subject).await?))
    }

    async fn publish(&self, message: OutMessage) -> Result<(), PublishError> {
        let OutMessage { subject, reply, headers, payload } = message;
        match (reply, headers) {
            (None, None) => self.client.publish(subject, payload).await,
            (Some(reply), None) => self.client.publish_with_reply(subject, reply, payload).await,
            (None, Some(headers)) => self.client.publish_with_headers(subject, headers, payload).await,
            (Some(reply), Some(headers)) => {
                self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
        }
    }

    async fn flush(&self) {
        self.client.flush().await.ok();
    }

    async fn ask(
        &self,
        subject: String,
        headers: HeaderMap,
        question: Bytes,
        within: Duration,
    ) -> Result<Bytes, AskError> {
        let request = async_nats::Request::new().headers(headers).payload(question).timeout(Some(within));
        let answer = self.client.send_request(subject, request).await.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => AskError::NoResponders,
            RequestErrorKind::TimedOut => AskError::TimedOut,
            _ => AskError::NotSent { reason: error.to_string() },
        })?;
        Ok(answer.payload)
    }

    async fn store(&self, id: &str, result: &Bytes) -> Result<(), CallError> {
        // The caller deletes it. One that is gone does not: those are the broker's to clean up, as for any call.
        self.large.store_large(id, result).await?.keep();
        Ok(())
    }

    async fn fetch(&self, id: &str, length: u64, deadline: Instant) -> Result<Bytes, CallError> {
        self.large.fetch_large(id, length, deadline).await
    }
}

impl Task for AbortHandle {
    fn abort(&self) {
        AbortHandle::abort(self);
    }
}
