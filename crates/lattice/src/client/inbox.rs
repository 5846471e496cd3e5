//! A subscription whose waiting messages are bounded in bytes.
//!
//! The client library keeps up to 65,536 messages of a subscription that nobody takes, of up to the broker's payload limit each:
//! 64 GiB. An [`Inbox`] empties that queue whenever it is polled and keeps what waits itself, up to a bound of its own and one
//! for all inboxes of the process. That one is apart from the bodies of all calls: while those are at their bound, requests are
//! still taken, and told so. Invariants: a message that is alone is handed on without being kept; order is kept; what does
//! not fit is dropped, counted and told in the log, never what waits already. Nothing is lost when a wait is given up.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use async_nats::{Message, Subscriber};
use contracts::{Budget, Charge};
use futures_util::{Stream, StreamExt, future::poll_fn};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may wait in one inbox of requests, events or links.
pub const INBOX_BYTES: usize = 16 << 20;
/// Bytes that may wait in one inbox of calls, of which many with large payloads may come at once.
pub const CALLS_INBOX_BYTES: usize = 128 << 20;
/// Bytes that may wait in all inboxes of the process, or as many as the bodies of all calls may have, if that is less.
pub const ALL_INBOXES_BYTES: u64 = 256 << 20;
/// What a message takes beside its subject, headers and payload.
const OVERHEAD: usize = 128;
/// Messages that are taken over in one poll; then others have their turn.
const PER_POLL: usize = 1024;

/// Messages that no inbox of this process had room for.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// A subscription, and what waits in it. A stream of its messages; it ends with the subscription.
pub struct Inbox<S = Subscriber> {
    name: &'static str,
    source: S,
    waiting: VecDeque<(Message, Charge)>,
    bytes: usize,
    limit: usize,
    budget: Budget,
    dropped: u64,
    ended: bool,
}

impl Inbox {
    /// How many messages of this process were dropped because there was no room for them.
    #[must_use]
    pub fn all_dropped() -> u64 {
        DROPPED.load(Relaxed)
    }

    /// The subscription, to end it or to have it end after so many messages.
    pub fn subscription(&mut self) -> &mut Subscriber {
        &mut self.source
    }
}

impl<S: Stream<Item = Message> + Unpin> Inbox<S> {
    /// The messages of a subscription; `name` is what the log calls it.
    pub fn new(name: &'static str, source: S) -> Self {
        let (waiting, budget) = (VecDeque::new(), all_inboxes().clone());
        Self { name, source, waiting, bytes: 0, limit: INBOX_BYTES, budget, dropped: 0, ended: false }
    }

    /// The same, for calls.
    pub fn of_calls(name: &'static str, source: S) -> Self {
        Self { limit: CALLS_INBOX_BYTES, ..Self::new(name, source) }
    }

    /// The next message, and a place for it: the place first. None when no more come.
    pub async fn next_with(&mut self, places: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, Message)> {
        let mut place = std::pin::pin!(places.clone().acquire_owned());
        let place = poll_fn(|cx| {
            self.take_over(cx);
            place.as_mut().poll(cx)
        });
        let place = place.await.ok()?;
        Some((place, self.next().await?))
    }

    /// The next message, or, where the caller takes none now, an end to waiting that does not come: the bound is kept meanwhile.
    pub async fn next_when(&mut self, takes: bool) -> Option<Message> {
        match takes {
            true => self.next().await,
            false => {
                poll_fn(|cx| {
                    self.take_over(cx);
                    Poll::Pending
                })
                .await
            }
        }
    }

    /// Takes over what has come, as far as there is room.
    fn take_over(&mut self, cx: &mut Context<'_>) {
        for _ in 0..PER_POLL {
            match self.poll_source(cx) {
                Poll::Ready(Some(message)) => self.keep(message),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.source.poll_next_unpin(cx);
        self.ended = matches!(polled, Poll::Ready(None));
        polled
    }

    fn keep(&mut self, message: Message) {
        let bytes = size(&message);
        let mut charge = self.budget.charge();
        if self.bytes + bytes > self.limit || charge.grow(bytes as u64).is_err() {
            return self.drop_one();
        }
        self.bytes += bytes;
        self.waiting.push_back((message, charge));
    }

    fn drop_one(&mut self) {
        DROPPED.fetch_add(1, Relaxed);
        self.dropped += 1;
        // The first, the second, the fourth …: a flood does not fill the log.
        if self.dropped.is_power_of_two() {
            tracing::warn!(
                inbox = self.name,
                dropped = self.dropped,
                waiting_bytes = self.bytes,
                "messages from NATS come faster than they are taken; what does not fit is dropped"
            );
        }
    }
}

impl<S: Stream<Item = Message> + Unpin> Stream for Inbox<S> {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let inbox = &mut *self;
        let first = match inbox.waiting.pop_front() {
            Some((message, _)) => {
                inbox.bytes -= size(&message);
                message
            }
            None => match inbox.poll_source(cx) {
                Poll::Ready(Some(message)) => message,
                other => return other,
            },
        };
        inbox.take_over(cx);
        Poll::Ready(Some(first))
    }
}

fn all_inboxes() -> &'static Budget {
    static ALL: LazyLock<Budget> = LazyLock::new(|| Budget::new(ALL_INBOXES_BYTES.min(Budget::bodies().limit())));
    &ALL
}

fn size(message: &Message) -> usize {
    message.length.max(message.payload.len()) + OVERHEAD
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{FutureExt, stream};
    use tokio::sync::mpsc;

    use super::*;

    fn message(number: usize, length: usize) -> Message {
        Message {
            subject: number.to_string().into(),
            reply: None,
            payload: Bytes::from(vec![0; length]),
            headers: None,
            status: None,
            description: None,
            length,
        }
    }

    fn numbered(message: &Message) -> usize {
        message.subject.parse().expect("a number")
    }

    fn fed() -> (mpsc::UnboundedSender<Message>, Inbox<impl Stream<Item = Message> + Unpin>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let source = Box::pin(stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|message| (message, receiver))
        }));
        (sender, Inbox::new("test", source))
    }

    #[tokio::test]
    async fn messages_come_in_order_and_end_with_the_subscription() {
        let (sender, mut inbox) = fed();
        for number in 0..3000 {
            sender.send(message(number, 10)).expect("it is open");
        }
        drop(sender);
        let taken: Vec<_> = inbox.by_ref().map(|message| numbered(&message)).collect().await;
        assert_eq!(taken, (0..3000).collect::<Vec<_>>());
        assert!(inbox.next().await.is_none(), "it has ended for good");
        assert_eq!((inbox.bytes, inbox.dropped), (0, 0));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_what_waits_is_kept() {
        let (sender, mut inbox) = fed();
        let places = Arc::new(Semaphore::new(0));
        for number in 0..40 {
            sender.send(message(number, 1 << 20)).expect("it is open");
        }
        assert!(inbox.next_with(&places).now_or_never().is_none(), "there is no place");
        assert!(inbox.bytes <= INBOX_BYTES && inbox.bytes > INBOX_BYTES - (2 << 20), "{}", inbox.bytes);
        assert_eq!(inbox.dropped as usize, 40 - inbox.waiting.len());
        let kept = inbox.waiting.len();
        assert!(inbox.next_when(false).now_or_never().is_none());
        places.add_permits(1);
        let (place, first) = inbox.next_with(&places).await.expect("a place and a message");
        assert_eq!((numbered(&first), places.available_permits()), (0, 0));
        drop((place, sender));
        let rest: Vec<_> = inbox.by_ref().map(|message| numbered(&message)).collect().await;
        assert_eq!(rest, (1..kept).collect::<Vec<_>>());
        assert_eq!(inbox.bytes, 0);
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_wakes_who_waits_for_the_next_message() {
        let (sender, mut inbox) = fed();
        (0..10).for_each(|number| sender.send(message(number, 1)).expect("it is open"));
        let places = Arc::new(Semaphore::new(2));
        let one = inbox.next_with(&places).await.expect("a place");
        let two = inbox.next_with(&places).await.expect("a place");
        assert!(inbox.next_with(&places).now_or_never().is_none(), "all places are taken");
        let (next, ()) = tokio::join!(inbox.next_with(&places), async {
            tokio::task::yield_now().await;
            drop(one);
        });
        assert_eq!(numbered(&next.expect("a place again").1), 2, "and no message is lost");
        assert_eq!(numbered(&two.1), 1);
    }

    #[tokio::test]
    async fn all_inboxes_have_one_bound_together() {
        let budget = Budget::new(40 << 20);
        let mut all: Vec<_> = (0..4).map(|_| fed()).collect();
        for (sender, inbox) in &mut all {
            inbox.budget = budget.clone();
            for number in 0..15 {
                sender.send(message(number, 1 << 20)).expect("it is open");
            }
            assert!(inbox.next_when(false).now_or_never().is_none());
        }
        let waiting: usize = all.iter().map(|(_, inbox)| inbox.bytes).sum();
        assert!(waiting as u64 <= budget.limit() && waiting > 30 << 20, "{waiting}");
        assert!(all.iter().any(|(_, inbox)| inbox.dropped > 0), "one of them had no room");
        assert!(Inbox::all_dropped() > 0);
        drop(all);
        assert_eq!(budget.used(), 0, "what is dropped is given back");
    }
}
