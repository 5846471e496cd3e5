//! The body of a component's answer, which keeps the guest alive while it is read.
//!
//! Invariant: a body dropped before its end stops the guest; one that was read to its end lets the guest finish.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

use super::http::Running;

pub(super) struct GuestBody<B> {
    inner: B,
    /// Bytes still to come, where the guest announced them.
    remaining: Option<u64>,
    guest: Option<Running>,
}

impl<B: Body<Data = Bytes>> GuestBody<B> {
    pub(super) fn new(inner: B, headers: &HeaderMap, guest: Running) -> Self {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Self { inner, remaining: length, guest: Some(guest) };
        if length == Some(0) || body.inner.is_end_stream() {
            body.finish();
        }
        body
    }
}

impl<B> GuestBody<B> {
    fn finish(&mut self) {
        if let Some(guest) = self.guest.take() {
            guest.detach();
        }
    }
}

impl<B> Body for GuestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
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
        Poll::Ready(Some(frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(|| self.inner.size_hint(), SizeHint::with_exact)
    }
}
