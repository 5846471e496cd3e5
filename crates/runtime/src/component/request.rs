//! A request on its way into a component: what it may name, how large it may be, and the clock that its body moves.
//!
//! Invariant: no more of a body reaches a guest than was allowed, and whatever broke it off is known afterwards.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use contracts::{
    CallError,
    http_message::{self, HttpBody},
};
use http::header;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error as HttpError, WasiBody, p2::bindings::http::types::Scheme};

use crate::call::clock::Clock;

/// A request on its way into a guest.
pub(super) struct Request {
    pub(super) request: http::Request<HttpBody>,
    /// Most bytes of its body.
    pub(super) max_body: u64,
    pub(super) clock: Arc<Clock>,
}

/// The request as guests may see it: it names an authority that `wasi:http` takes, though neither HTTP/1.0 nor a message
/// need to name one.
pub(super) fn for_guest(mut request: http::Request<HttpBody>) -> Result<http::Request<HttpBody>, CallError> {
    let named = http_message::names_authority(request.uri(), request.headers());
    let named =
        named.map_err(|error| CallError::Malformed { what: "HTTP request".to_owned(), reason: error.to_string() })?;
    if !named {
        request.headers_mut().insert(header::HOST, http::HeaderValue::from_static("localhost"));
    }
    Ok(request)
}

/// The request as the guest's host functions want it.
pub(super) fn incoming(
    request: http::Request<HttpBody>,
    max_body: u64,
    clock: Arc<Clock>,
) -> (Scheme, http::Request<WasiBody>) {
    let scheme = if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) { Scheme::Https } else { Scheme::Http };
    (scheme, request.map(|body| bounded(body, max_body, clock)))
}

/// The body of a request, which is bounded, and moves the clock of its call.
pub(super) fn bounded(body: HttpBody, max_body: u64, clock: Arc<Clock>) -> WasiBody {
    let failed = |error: CallError| HttpError::InternalError(Some(error.to_string()));
    if body.is_end_stream() {
        return body.map_err(http_message::broken).map_err(failed).boxed_unsync();
    }
    Incoming { body, left: max_body, max_body, clock }.map_err(failed).boxed_unsync()
}

struct Incoming {
    body: HttpBody,
    left: u64,
    max_body: u64,
    clock: Arc<Clock>,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                self.clock.awaits_request();
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        self.clock.moved();
        let error = match frame {
            None => return Poll::Ready(None),
            Some(Err(error)) => http_message::broken(error),
            Some(Ok(frame)) => match self.left.checked_sub(frame.data_ref().map_or(0, |data| data.len() as u64)) {
                Some(left) => {
                    self.left = left;
                    return Poll::Ready(Some(Ok(frame)));
                }
                None => http_message::body_too_large(self.max_body),
            },
        };
        self.clock.request_failed(error.clone());
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
