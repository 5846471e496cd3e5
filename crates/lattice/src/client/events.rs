//! The events of a lattice as a stream.
//!
//! Owns subscribing; what an event is stands in [`crate::event`]. Invariants: a stream is in effect before its owner
//! gets it; what is no event is skipped, not an end.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_nats::Client;
use futures_util::{Stream, StreamExt, future};

use super::{
    ControlError,
    control::{Transport, connected},
};
use crate::{LatticeId, event::Event, subject};

/// What happens in a lattice, as it happens. Ends when the connection is closed for good or the host of the socket is
/// gone. Dropping it ends the subscription.
pub struct EventStream(Pin<Box<dyn Stream<Item = Event> + Send>>);

impl EventStream {
    /// The next event; `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }

    pub(super) async fn open(
        transport: &Transport,
        lattice: &LatticeId,
        timeout: Duration,
    ) -> Result<Self, ControlError> {
        match transport {
            Transport::Nats(client, _) => {
                connected(client)?;
                let opening = subscribe(client, subject::events(lattice));
                let subscription = tokio::time::timeout(timeout, opening)
                    .await
                    .map_err(|_| ControlError::TimedOut { operation: "events", after: timeout })??;
                Ok(Self::of(subscription.map(|message| message.payload)))
            }
            Transport::Socket(socket) => {
                let lines = socket.event_lines(timeout).await.map_err(|error| error.into_control("events"))?;
                Ok(Self::of(lines))
            }
        }
    }

    fn of(payloads: impl Stream<Item = bytes::Bytes> + Send + 'static) -> Self {
        Self(Box::pin(payloads.filter_map(|payload| {
            future::ready(match Event::from_json(&payload) {
                Ok(event) => Some(event),
                Err(error) => {
                    tracing::debug!(%error, "skipped what is no event");
                    None
                }
            })
        })))
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.as_mut().poll_next(context)
    }
}

/// Subscribes, and waits until a message of ours has been to the server and back: the subscription went before it.
async fn subscribe(client: &Client, subject: String) -> Result<async_nats::Subscriber, ControlError> {
    let lost = |error: &dyn std::fmt::Display| ControlError::Disconnected { reason: error.to_string() };
    let subscription = client.subscribe(subject).await.map_err(|error| lost(&error))?;
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
    client.publish(inbox, bytes::Bytes::new()).await.map_err(|error| lost(&error))?;
    echo.next().await.ok_or_else(|| lost(&"the subscription ended"))?;
    Ok(subscription)
}
