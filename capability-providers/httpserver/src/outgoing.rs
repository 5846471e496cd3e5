//! An answer on its way out: made fit for any version of HTTP, and handed over in pieces.
//!
//! What a head says about its body is decided here once, and holds for HTTP/1.1 and HTTP/2 alike. Invariants: an actor
//! cannot break the framing of the connection its answer travels on; a body that fails is never taken for a
//! complete one;
//! the connection holds no more than a few pieces for a client that does not read, and these are charged to the bodies
//! of all calls: while there is no room for one, the answer waits.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use provider_sdk::{
    HttpBody,
    contracts::{
        Budget, CallError,
        http_message::{broken, has_body},
    },
    http_message::check_status,
};
use tokio::time::{Sleep, sleep};

use crate::{
    answer::{empty, failure},
    turn,
};

/// What is handed over at once, in bytes.
const PIECE: usize = 32 << 10;
/// How often an answer asks again for room.
const ROOM: Duration = Duration::from_millis(50);

/// What an actor may not say about the connection.
const CONNECTION: [&str; 6] = ["connection", "transfer-encoding", "upgrade", "te", "keep-alive", "proxy-connection"];

/// Takes away what would contradict the framing that the server chooses, and bodies where there are none. A
/// failure that
/// shows before anything left takes the place of the answer.
pub fn fit(response: Response<HttpBody>, to_head: bool, version: Version) -> Result<Response<HttpBody>, CallError> {
    check_status(response.status())?;
    let (mut parts, body) = response.into_parts();
    for name in CONNECTION {
        parts.headers.remove(name);
    }
    let exact = body.size_hint().exact();
    if has_body(to_head, parts.status) {
        if parts.headers.contains_key(header::CONTENT_LENGTH)
            && announced(&parts.headers).is_none_or(|length| exact.is_some_and(|exact| exact != length))
        {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        return Ok(Response::from_parts(parts, body));
    }
    let length = match parts.status {
        StatusCode::NO_CONTENT => None,
        StatusCode::RESET_CONTENT => Some(0),
        // It speaks of the body that the answer to GET would have.
        StatusCode::NOT_MODIFIED => announced(&parts.headers),
        _ => announced(&parts.headers).or(exact),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(length) = length {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let body = match length {
        Some(length) if parts.status == StatusCode::NOT_MODIFIED && version < Version::HTTP_2 => {
            Named(length).boxed_unsync()
        }
        _ => empty(),
    };
    Ok(Response::from_parts(parts, body))
}

/// A body that is never sent. The server of HTTP/1.1 takes the length out of the head of an answer without a body.
struct Named(u64);

impl Body for Named {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// The one length that the head names.
fn announced(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let (first, second) = (lengths.next(), lengths.next());
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let first = first.and_then(|value| value.to_str().ok().filter(is_number)?.parse().ok());
    first.filter(|_| second.is_none())
}

/// A body that is sent.
pub struct Outgoing {
    body: HttpBody,
    /// What was seen of it before its head went out.
    first: Option<Frame<Bytes>>,
    /// What is there of a frame and was not handed over.
    rest: Bytes,
    /// Bytes still to come, where the head says so.
    due: Option<u64>,
    /// Why there is no more, told after what came before has left.
    failed: Option<Box<dyn Error + Send + Sync>>,
    /// None when it is over, or nothing that could stand still.
    sent: Option<turn::Body>,
    /// Wakes it to ask again for room for its next piece.
    later: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    /// The body of an answer. A failure that shows before any of it has left becomes the answer.
    pub fn begin(
        mut response: Response<HttpBody>,
        pause: Duration,
        begin: impl FnOnce(Duration) -> turn::Body,
    ) -> Response<Self> {
        let mut first = None;
        let is_small = response.body().size_hint().exact().is_some_and(|exact| exact <= PIECE as u64)
            || response.status() == StatusCode::NOT_MODIFIED;
        if !response.body().is_end_stream() && !is_small {
            match response.body_mut().frame().now_or_never() {
                Some(Some(Ok(frame))) => first = Some(frame),
                Some(Some(Err(error))) => response = failure(&broken(error)),
                Some(None) | None => {}
            }
        }
        let is_over = first.is_none() && response.body().is_end_stream();
        let due = announced(response.headers()).filter(|_| !is_over);
        let sent = (!is_over && !is_small).then(|| begin(pause));
        response.map(|body| Self { body, first, rest: Bytes::new(), due, failed: None, sent, later: None })
    }

    /// Hands over a piece of what is there, once there is room for it in the connection.
    fn piece(&mut self, cx: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        let length = self.rest.len().min(PIECE);
        let Ok(piece) = Budget::bodies().carry(self.rest.slice(..length)) else { return self.wait(cx) };
        self.rest.advance(length);
        if let Some(sent) = &self.sent {
            sent.turn().moved();
            sent.turn().handed(&piece);
        }
        Poll::Ready(Frame::data(piece))
    }

    /// Asks again a little later. A client is waited for no longer than its pause, as if it did not read.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let mut later = Box::pin(sleep(ROOM));
        if later.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        self.later = Some(later);
        Poll::Pending
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let body = &mut *self;
        if !body.rest.is_empty() {
            return body.piece(cx).map(|piece| Some(Ok(piece)));
        }
        if let Some(error) = body.failed.take() {
            body.sent = None;
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match body.first.take() {
            Some(frame) => Some(Ok(frame)),
            None => ready!(Pin::new(&mut body.body).poll_frame(cx)),
        };
        let failed = match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match body.due.map(|due| due.checked_sub(length)) {
                    Some(None) => "the answer is longer than its head says".into(),
                    due => {
                        body.due = due.flatten();
                        return match frame.into_data() {
                            Ok(data) => {
                                body.rest = data;
                                body.piece(cx).map(|piece| Some(Ok(piece)))
                            }
                            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
                        };
                    }
                }
            }
            None if body.due.is_some_and(|due| due > 0) => "the answer is shorter than its head says".into(),
            None => {
                body.sent = None;
                return Poll::Ready(None);
            }
            Some(Err(error)) => error,
        };
        // The connection throws away what it has not sent when it hears of a failure, so it gets a turn before.
        body.failed = Some(failed);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.first.is_none() && self.failed.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.rest.len() + self.first.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
        let (inner, held) = (self.body.size_hint(), held as u64);
        match inner.exact() {
            Some(exact) => SizeHint::with_exact(exact.saturating_add(held)),
            None => SizeHint::default(),
        }
    }
}
