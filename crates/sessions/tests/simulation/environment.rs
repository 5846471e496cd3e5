//! The world of one process in the simulation.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Message, SubscribeError, client::PublishError};
use bytes::Bytes;
use contracts::CallError;
use futures_util::{Stream, StreamExt};
use sessions::{AskError, Environment, OutMessage};
use tokio::sync::{mpsc, watch};

use crate::{
    executor::{Executor, Group, Handle},
    network::Network,
};

/// When the simulation begins, seconds since 1970.
const BEGAN: u64 = 1_700_000_000;

pub struct Process {
    pub executor: Executor,
    pub network: Network,
    pub group: Group,
    pub connected: watch::Receiver<bool>,
    /// How far its clock is ahead, in seconds.
    pub ahead: u64,
}

pub struct Messages(mpsc::UnboundedReceiver<Message>);

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.0.poll_recv(context)
    }
}

impl Environment for Process {
    type Messages = Messages;
    type Task = Handle;

    fn now(&self) -> Instant {
        self.executor.now()
    }

    fn unix_now(&self) -> u64 {
        BEGAN + self.executor.elapsed().as_secs() + self.ahead
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Handle {
        self.executor.spawn(self.group, task)
    }

    fn spawn_apart(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(self.group, task);
    }

    async fn tasks_ended(&self) {
        while self.executor.running(self.group) > 0 {
            self.executor.sleep(Duration::from_millis(10)).await;
        }
    }

    async fn timeout_at<F: Future<Output: Send> + Send>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let mut sleep = self.executor.sleep(deadline.saturating_duration_since(self.now()));
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            Pin::new(&mut sleep).poll(context).map(|()| None)
        })
        .await
    }

    fn connected(&self) -> &watch::Receiver<bool> {
        &self.connected
    }

    fn new_inbox(&self) -> String {
        format!("_INBOX.{}.{}", self.group, self.executor.random(crate::random::Random::next))
    }

    fn max_payload(&self) -> usize {
        1 << 20
    }

    async fn subscribe(&self, subject: String) -> Result<Messages, SubscribeError> {
        Ok(Messages(self.network.subscribe(self.group, subject)))
    }

    async fn publish(&self, message: OutMessage) -> Result<(), PublishError> {
        // Now and then the connection takes nothing for a moment.
        if self.executor.random(|random| random.chance(10)) {
            self.executor.sleep(Duration::from_micros(50)).await;
        }
        self.network.publish(self.group, message);
        Ok(())
    }

    async fn flush(&self) {
        self.executor.sleep(Duration::from_micros(50)).await;
    }

    async fn ask(
        &self,
        subject: String,
        headers: HeaderMap,
        question: Bytes,
        within: Duration,
    ) -> Result<Bytes, AskError> {
        let reply = self.new_inbox();
        let mut answers = Messages(self.network.subscribe(self.group, reply.clone()));
        let message =
            OutMessage { reply: Some(reply.clone()), headers: Some(headers), ..OutMessage::new(subject, question) };
        self.publish(message).await.map_err(|error| AskError::NotSent { reason: error.to_string() })?;
        let answer = self.timeout_at(self.now() + within, answers.next()).await.flatten();
        self.network.unsubscribe(self.group, Some(&reply));
        match answer {
            Some(answer) if answer.status.is_some() => Err(AskError::NoResponders),
            Some(answer) => Ok(answer.payload),
            None => Err(AskError::TimedOut),
        }
    }

    async fn store(&self, id: &str, result: &Bytes) -> Result<(), CallError> {
        self.network.put(id.to_owned(), result.clone());
        Ok(())
    }

    async fn fetch(&self, id: &str, _: u64, _: Instant) -> Result<Bytes, CallError> {
        self.network.take(id).ok_or_else(|| CallError::HostFault { message: format!("no object `{id}`") })
    }
}
