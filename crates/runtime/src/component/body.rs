//! The body of a component's answer, which keeps the guest alive while it is read.
//!
//! A short body is usually complete before its head goes out; it then has a length and needs no guest. Invariants: a
//! body dropped before its end stops the guest; one that was read to its end lets the guest finish; no more than
//! [`EARLY`] bytes and one frame are held for a reader that does not come; a body that breaks off says why its guest
//! ended, and whoever watches the call hears the same.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use contracts::CallError;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

use super::running::Running;
use crate::call::clock::Clock;
use crate::call::watch::Watch;

/// What is gathered of a body before its head goes out, in bytes, unless the guest makes a pause before.
const EARLY: u64 = 32 << 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many bytes the guest says that a body has, if it says so.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

pub(super) struct GuestBody<B, W: Watch> {
    /// What was gathered.
    early: VecDeque<Frame<Bytes>>,
    /// Where more comes from; None when there is no more.
    inner: Option<B>,
    /// Bytes the guest has yet to write, where it announced how many.
    due: Option<u64>,
    /// Bytes the reader has yet to take, where they are known.
    left: Option<u64>,
    /// Nobody reads it: the answer is one without a body.
    is_unread: bool,
    /// Why there is no more, where that is not the end: the guest may know a better reason.
    broken: Option<String>,
    guest: Option<Running>,
    clock: Arc<Clock>,
    watch: Option<W>,
}

/// What a look at the guest's side brought.
enum Next {
    Frame(Frame<Bytes>),
    End,
    Broken,
}

impl<B, W> GuestBody<B, W>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Failure>,
    W: Watch,
{
    /// The body with what the guest writes of it until it makes a pause. Whatever the guest still has to do it does in
    /// a task of its own. `is_unread` for an answer that has none.
    ///
    /// # Errors
    /// The guest failed, or broke its answer off, before any of it left.
    pub(super) async fn begin(
        inner: B,
        headers: &HeaderMap,
        is_unread: bool,
        guest: Running,
        clock: Arc<Clock>,
    ) -> Result<Self, CallError> {
        let due = announced(headers).filter(|_| !is_unread);
        let (early, inner, guest) = (VecDeque::new(), Some(inner), Some(guest));
        let mut body = Self { early, inner, due, left: due, is_unread, broken: None, guest, clock, watch: None };
        poll_fn(|cx| {
            body.gather(cx);
            Poll::Ready(())
        })
        .await;
        if body.broken.is_some() {
            return Err(poll_fn(|cx| body.poll_cause(cx)).await);
        }
        if let Some(guest) = &mut body.guest {
            if let Some(Err(error)) = guest.over() {
                return Err(error.clone());
            }
            guest.leave();
        }
        body.clock.answered();
        Ok(body)
    }

    /// Tells `watch` what becomes of the answer.
    pub(super) fn watched(mut self, watch: Option<W>) -> Self {
        self.watch = watch;
        let is_empty = self.early.is_empty() && self.inner.as_ref().is_none_or(Body::is_end_stream);
        if self.left == Some(0) || is_empty {
            self.finish();
        }
        self
    }

    /// How many bytes it has, when that is known before any was taken.
    pub(super) fn length(&self) -> Option<u64> {
        self.left
    }

    fn gather(&mut self, cx: &mut Context<'_>) {
        let (mut bytes, mut only_data, mut has_worked) = (0, true, false);
        while bytes < EARLY {
            match self.poll_inner(cx) {
                Poll::Ready(Next::Frame(frame)) => {
                    bytes += length(&frame);
                    only_data &= frame.is_data();
                    self.early.push_back(frame);
                    has_worked = false;
                }
                Poll::Ready(Next::End) => {
                    self.left = only_data.then_some(bytes);
                    return;
                }
                Poll::Ready(Next::Broken) => return,
                Poll::Pending if has_worked => return,
                Poll::Pending => {
                    if let Some(guest) = &mut self.guest {
                        guest.work(cx);
                    }
                    has_worked = true;
                }
            }
        }
    }

    /// The next frame of the guest, within the length it announced.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(Next::End) };
        let broken = match ready!(Pin::new(inner).poll_frame(cx)) {
            Some(Ok(frame)) => match self.due.map(|due| due.checked_sub(length(&frame))) {
                Some(None) => "longer than its `content-length` says".to_owned(),
                due => {
                    self.due = due.flatten();
                    return Poll::Ready(Next::Frame(frame));
                }
            },
            None if self.due.is_some_and(|due| due > 0) => "shorter than its `content-length` says".to_owned(),
            Some(Err(error)) if !self.is_unread => format!("it was not finished: {}", error.into()),
            None | Some(Err(_)) => {
                self.inner = None;
                return Poll::Ready(Next::End);
            }
        };
        (self.inner, self.broken) = (None, Some(broken));
        Poll::Ready(Next::Broken)
    }

    /// Why the answer is broken: as its guest ended, if that was badly.
    fn poll_cause(&mut self, cx: &mut Context<'_>) -> Poll<CallError> {
        let ended = match &mut self.guest {
            Some(guest) => ready!(guest.poll_ended(cx)),
            None => Ok(()),
        };
        self.guest = None;
        let reason = self.broken.take().unwrap_or_default();
        let error = ended.err().or_else(|| self.clock.request_error());
        let error = error.unwrap_or(CallError::Malformed { what: "HTTP response".to_owned(), reason });
        if let Some(watch) = self.watch.take() {
            watch.ended(Err(&error));
        }
        Poll::Ready(error)
    }

    fn finish(&mut self) {
        if let Some(guest) = self.guest.take() {
            guest.let_go(self.watch.take());
        }
    }
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

impl<B, W> Body for GuestBody<B, W>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Failure>,
    W: Watch,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let body = &mut *self;
        let frame = match body.early.pop_front() {
            Some(frame) => frame,
            None if body.broken.is_some() => return body.poll_cause(cx).map(|error| Some(Err(error.into()))),
            None => match ready!(body.poll_inner(cx)) {
                Next::Frame(frame) => frame,
                Next::End => {
                    body.finish();
                    return Poll::Ready(None);
                }
                Next::Broken => return body.poll_cause(cx).map(|error| Some(Err(error.into()))),
            },
        };
        if !body.is_unread {
            body.clock.moved();
        }
        if let Some(left) = &mut body.left {
            *left = left.saturating_sub(length(&frame));
            // Servers stop reading here, without asking for the end.
            if *left == 0 {
                body.finish();
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_empty() && self.broken.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (self.left, &self.inner) {
            (Some(left), _) => SizeHint::with_exact(left),
            (None, Some(inner)) if self.early.is_empty() => inner.size_hint(),
            (None, _) => SizeHint::default(),
        }
    }
}
