//! The body of a component's answer, which keeps the guest alive while it is read.
//!
//! A short body is usually complete before its head goes out; it then has a length and needs no guest. Invariants: a
//! body dropped before its end stops the guest; one that was read to its end lets the guest finish; no more than
//! [`EARLY`] bytes and one frame are held for a reader that does not come.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

use super::running::Running;

/// What is gathered of a body before its head goes out, in bytes, unless the guest makes a pause before.
const EARLY: u64 = 32 << 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many bytes the guest says that a body has, if it says so.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

pub(super) struct GuestBody<B> {
    /// What was gathered.
    early: VecDeque<Result<Frame<Bytes>, Failure>>,
    /// Where more comes from; None when everything was gathered.
    inner: Option<B>,
    /// Bytes still to come, where the guest announced them.
    remaining: Option<u64>,
    guest: Option<Running>,
}

impl<B> GuestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Failure>,
{
    /// The body with what the guest writes of it until it makes a pause. Whatever the guest still has to do it does in
    /// a task of its own.
    pub(super) async fn begin(inner: B, headers: &HeaderMap, mut guest: Running) -> Self {
        let remaining = announced(headers);
        let mut body = Self { early: VecDeque::new(), inner: Some(inner), remaining, guest: None };
        poll_fn(|cx| {
            body.gather(&mut guest, cx);
            Poll::Ready(())
        })
        .await;
        guest.leave();
        body.guest = Some(guest);
        if remaining == Some(0) || body.inner.as_ref().is_none_or(Body::is_end_stream) {
            body.finish();
        }
        body
    }

    fn gather(&mut self, guest: &mut Running, cx: &mut Context<'_>) {
        let Some(inner) = &mut self.inner else { return };
        let (mut bytes, mut only_data, mut has_worked) = (0, true, false);
        while bytes < EARLY {
            match Pin::new(&mut *inner).poll_frame(cx) {
                Poll::Ready(Some(frame)) => {
                    let data = frame.as_ref().ok().and_then(Frame::data_ref);
                    bytes += data.map_or(0, |data| data.len() as u64);
                    only_data &= data.is_some();
                    self.early.push_back(frame.map_err(Into::into));
                    has_worked = false;
                }
                Poll::Ready(None) => {
                    self.inner = None;
                    self.remaining = self.remaining.or(only_data.then_some(bytes));
                    return;
                }
                Poll::Pending if has_worked => return,
                Poll::Pending => {
                    guest.work(cx);
                    has_worked = true;
                }
            }
        }
    }

    fn finish(&mut self) {
        if let Some(guest) = self.guest.take() {
            guest.let_go();
        }
    }
}

impl<B> Body for GuestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Failure>,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let next = match (self.early.pop_front(), &mut self.inner) {
            (None, Some(inner)) => ready!(Pin::new(inner).poll_frame(cx)).map(|frame| frame.map_err(Into::into)),
            (early, _) => early,
        };
        let Some(frame) = next else {
            self.finish();
            return Poll::Ready(None);
        };
        let sent = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(sent);
            // Servers stop reading here, without asking for the end.
            if *remaining == 0 {
                self.finish();
            }
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_empty() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (self.remaining, &self.inner) {
            (Some(remaining), _) => SizeHint::with_exact(remaining),
            (None, Some(inner)) if self.early.is_empty() => inner.size_hint(),
            (None, _) => SizeHint::default(),
        }
    }
}
