//! HTTP as the message `HttpServer.HandleRequest` and back, for actors that cannot take a stream: modules, and actors
//! on other hosts. The time all this may take is the caller's business.
//!
//! Invariants: names of headers are lower-case in messages, the query stays as it came, and a body above its bound is
//! refused before it is held in memory; what is held is charged to the [budget of all bodies](Budget::bodies) for as long.

mod answer;
mod authority;
mod terms;

use std::error::Error;

pub(crate) use self::answer::fields as header_map;
pub use self::{
    answer::{MOST_FIELD_BYTES, MOST_FIELDS, check_head, check_response, check_status, has_body},
    authority::{NoAuthority, authority, names_authority},
    terms::{HttpTerms, Time},
};
use crate::{
    Budget, CallError, Charge, TraceContext,
    budget::UNCOUNTED,
    codec,
    httpserver::{Headers, HttpRequest, HttpResponse},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

/// Body of an HTTP request or response that streams.
pub type HttpBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// What belongs to one connection and not to the message; the server that sends the answer sets its own.
pub(crate) const CONNECTION_HEADERS: [HeaderName; 4] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, HeaderName::from_static("keep-alive")];

/// The refusal of a request body that is too large, which servers answer with 413.
#[must_use]
pub fn body_too_large(max_body: u64) -> CallError {
    CallError::LimitExceeded { limit: format!("request body of more than {max_body} bytes") }
}

/// Whether the request announces a body above the bound.
#[must_use]
pub fn announces_more_than(headers: &HeaderMap, max_body: u64) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > max_body)
}

/// The trace context that came with a request.
#[must_use]
pub fn trace(headers: &HeaderMap) -> TraceContext {
    let value = |name: &str| Some((name.to_owned(), headers.get(name)?.to_str().ok()?.to_owned()));
    TraceContext::new(TRACE_HEADERS.into_iter().filter_map(value).collect())
}

/// Puts a trace context into the headers, in place of any that was there.
pub fn set_trace(headers: &mut HeaderMap, trace: &TraceContext) {
    for name in TRACE_HEADERS {
        match trace.0.get(name).and_then(|value| HeaderValue::from_str(value).ok()) {
            Some(value) => headers.insert(name, value),
            None => headers.remove(name),
        };
    }
}

/// Reads the body and encodes the whole request. Header values that are not UTF-8 are replaced where they are not.
///
/// # Errors
/// [`CallError::LimitExceeded`] for a body of more than `max_body` bytes, [`CallError::Malformed`] when it breaks off,
/// [`CallError::NoRoom`] while too many bodies are under way.
pub async fn encode_request(request: Request<HttpBody>, max_body: u64) -> Result<Bytes, CallError> {
    let (parts, body) = request.into_parts();
    if announces_more_than(&parts.headers, max_body) {
        return Err(body_too_large(max_body));
    }
    let (body, charge) = collect(body, max_body, Budget::bodies()).await?.ok_or_else(|| body_too_large(max_body))?;
    let message = HttpRequest {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query_string: parts.uri.query().unwrap_or_default().to_owned(),
        header: headers(&parts.headers),
        body: body.into(),
    };
    encoded(&message, message.body.len(), charge)
}

/// Decodes a guest's answer. `head_only` is for the answer to HEAD, whose length header speaks of another body.
///
/// # Errors
/// [`CallError::Malformed`] when it is no HTTP response: not decodable, or with an impossible status or header.
pub fn decode_response(message: &[u8], head_only: bool) -> Result<Response<HttpBody>, CallError> {
    let message: HttpResponse = codec::decode("HTTP response", message)?;
    let status = answer::status(message.status_code)?;
    check_status(status)?;
    let mut headers = header_map("HTTP response", &message.header)?;
    for name in CONNECTION_HEADERS {
        headers.remove(name);
    }
    // Of these two answers it speaks of a body that is not sent.
    if !head_only && status != StatusCode::NOT_MODIFIED {
        headers.remove(header::CONTENT_LENGTH);
    }
    let body = Full::new(held(message.body)?).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The request in a message, as a stream for a component.
///
/// # Errors
/// [`CallError::Malformed`] when it is none.
pub fn decode_request(message: &[u8]) -> Result<Request<HttpBody>, CallError> {
    const WHAT: &str = "HTTP request";
    let message: HttpRequest = codec::decode(WHAT, message)?;
    let path = if message.path.is_empty() { "/" } else { message.path.as_str() };
    if !path.starts_with('/') {
        return Err(malformed(WHAT, format!("`{path:.80}` is no path")));
    }
    let target = match message.query_string.as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    let body = Full::new(held(message.body)?).map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::builder()
        .method(message.method.as_str())
        .uri(target)
        .body(body)
        .map_err(|error| malformed(WHAT, error.to_string()))?;
    *request.headers_mut() = header_map(WHAT, &message.header)?;
    names_authority(request.uri(), request.headers()).map_err(|error| malformed(WHAT, error.to_string()))?;
    Ok(request)
}

/// The answer of a component as a message; `limit` bounds its body.
///
/// # Errors
/// [`CallError::LimitExceeded`] for a larger body; what the body says when it breaks off, else [`CallError::Malformed`].
pub async fn encode_response(response: Response<HttpBody>, limit: u32) -> Result<Bytes, CallError> {
    let (parts, body) = response.into_parts();
    let (body, charge) = collect(body, u64::from(limit), Budget::bodies())
        .await?
        .ok_or_else(|| CallError::LimitExceeded { limit: format!("`response_bytes` of {limit}") })?;
    let message =
        HttpResponse { status_code: parts.status.as_u16(), header: headers(&parts.headers), body: body.into() };
    encoded(&message, message.body.len(), charge)
}

/// The message, which carries the charge of the body it was made of. For a moment there are both.
pub(crate) fn encoded(message: &impl serde::Serialize, body: usize, mut charge: Charge) -> Result<Bytes, CallError> {
    charge.grow(charge.bytes())?;
    let message = codec::encode(message).map(Bytes::from)?;
    charge.resize(if body > UNCOUNTED { message.len() as u64 } else { 0 })?;
    Ok(charge.carried_by(message))
}

/// A body that is held until it was sent.
fn held(body: impl Into<Bytes>) -> Result<Bytes, CallError> {
    Ok(Budget::bodies().carry(body.into())?)
}

/// The whole body and what is charged for it, or none when it is larger than `limit`.
pub(crate) async fn collect(
    mut body: HttpBody,
    limit: u64,
    budget: &Budget,
) -> Result<Option<(Bytes, Charge)>, CallError> {
    let (mut all, mut charge) = (BytesMut::new(), budget.charge());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken)?;
        let Ok(data) = frame.into_data() else { continue };
        if (all.len() + data.len()) as u64 > limit {
            return Ok(None);
        }
        let length = all.len() + data.len();
        if length > UNCOUNTED {
            charge.resize(length as u64)?;
        }
        if all.is_empty() && body.is_end_stream() {
            return Ok(Some((data, charge)));
        }
        all.extend_from_slice(&data);
    }
    Ok(Some((all.freeze(), charge)))
}

/// Why a body broke off: as whoever made it says, if it does say so in our terms.
#[must_use]
pub fn broken(error: Box<dyn Error + Send + Sync>) -> CallError {
    match error.downcast::<CallError>() {
        Ok(error) => *error,
        Err(error) => malformed("HTTP body", chain(&*error)),
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

pub(crate) fn headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str().to_owned()).or_default().push(value);
    }
    headers
}

pub(crate) fn malformed(what: &str, reason: String) -> CallError {
    CallError::Malformed { what: what.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use http_body_util::StreamBody;

    use super::*;

    fn body(bytes: &'static str) -> HttpBody {
        Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test]
    async fn a_request_survives_the_message_with_its_raw_query() {
        let request =
            Request::post("/a/b?x=%20y&z").header("X-One", "1").header("x-one", "2").body(body("hi")).unwrap();
        let message = encode_request(request, 10).await.unwrap();
        let decoded: HttpRequest = codec::decode("request", &message).unwrap();
        assert_eq!((decoded.method.as_str(), decoded.path.as_str()), ("POST", "/a/b"));
        assert_eq!(decoded.query_string, "x=%20y&z");
        assert_eq!(decoded.header["x-one"], ["1", "2"]);
        let back = decode_request(&message).unwrap();
        assert_eq!(back.uri(), "/a/b?x=%20y&z");
        assert_eq!(back.headers().get_all("x-one").iter().count(), 2);
    }

    #[tokio::test]
    async fn a_body_above_the_bound_is_refused_whether_announced_or_not() {
        let refused = |request| async { encode_request(request, 3).await.unwrap_err() };
        let announced = Request::post("/").header("content-length", "4").body(body("")).unwrap();
        assert_eq!(refused(announced).await, body_too_large(3));
        let streamed = Request::post("/").body(body("1234")).unwrap();
        assert_eq!(refused(streamed).await, body_too_large(3));
    }

    #[test]
    fn an_answer_may_not_speak_for_the_connection() {
        let header = [("Connection", "close"), ("content-length", "99"), ("x", "y")];
        let header = header.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
        let message = HttpResponse { status_code: 204, header, body: Vec::new() };
        let message = codec::encode(&message).unwrap();
        let answer = decode_response(&message, false).unwrap();
        assert_eq!(answer.headers().len(), 1);
        assert_eq!(answer.status(), 204);
        assert_eq!(decode_response(&message, true).unwrap().headers()["content-length"], "99");
    }

    #[test]
    fn impossible_answers_are_malformed() {
        let answer = |status_code, name: &str| {
            let header = [(name.to_owned(), vec![String::new()])].into();
            decode_response(&codec::encode(&HttpResponse { status_code, header, body: Vec::new() }).unwrap(), false)
        };
        assert_eq!(answer(42, "x").unwrap_err().code(), "malformed");
        assert_eq!(answer(200, "no good").unwrap_err().code(), "malformed");
        assert_eq!(decode_response(b"\xc3", false).unwrap_err().code(), "malformed");
    }

    #[tokio::test]
    async fn a_body_is_charged_while_its_message_is_there_and_refused_where_there_is_no_room() {
        let budget = Budget::new(4 << 20);
        let streamed = |pieces: usize| {
            let frames = (0..pieces).map(|_| Ok(http_body::Frame::data(Bytes::from(vec![7; 512 << 10]))));
            StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>())).boxed_unsync()
        };
        let (body, charge) = collect(streamed(2), u64::MAX, &budget).await.unwrap().unwrap();
        assert_eq!((body.len(), budget.used()), (1 << 20, 1 << 20));
        let message = encoded(&serde_bytes::ByteBuf::from(body), 1 << 20, charge).unwrap();
        assert_eq!(budget.used(), message.len() as u64, "the body is gone");
        let refused = collect(streamed(8), u64::MAX, &budget).await.unwrap_err();
        assert!(matches!(refused, CallError::NoRoom { begun: false, .. }), "{refused}");
        drop(message);
        assert_eq!(budget.used(), 0);
        let (_, charge) = collect(body_of(UNCOUNTED), u64::MAX, &budget).await.unwrap().unwrap();
        assert_eq!(charge.bytes(), 0, "small ones are not counted");
    }

    fn body_of(length: usize) -> HttpBody {
        Full::new(Bytes::from(vec![7; length])).map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_malformed() {
        let broken = StreamBody::new(futures_util::stream::iter([Err("lost".into())])).boxed_unsync();
        assert_eq!(encode_request(Request::new(broken), 10).await.unwrap_err().code(), "malformed");
    }

    #[tokio::test]
    async fn a_body_that_says_why_it_breaks_off_is_believed() {
        let cause = CallError::Trap { message: "unreachable".to_owned() };
        let frames = [Err(Box::<dyn Error + Send + Sync>::from(cause.clone()))];
        let broken = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
        assert_eq!(encode_response(Response::new(broken), 10).await.unwrap_err(), cause);
    }

    #[test]
    fn a_request_that_no_component_could_take_is_malformed() {
        for (path, host) in [("/", "a b"), ("/", "b\u{fc}cher.test"), ("/", "u@a"), ("a", "a"), ("*", "a"), ("//", "")]
        {
            let header = [("host".to_owned(), vec![host.to_owned()])].into();
            let (method, path) = ("GET".to_owned(), path.to_owned());
            let request = HttpRequest { method, path, header, ..HttpRequest::default() };
            let decoded = decode_request(&codec::encode(&request).unwrap());
            assert_eq!(decoded.unwrap_err().code(), "malformed", "{request:?}");
        }
    }

    #[tokio::test]
    async fn values_that_are_not_text_are_replaced() {
        let value = HeaderValue::from_bytes(b"a\xff").unwrap();
        let request = Request::post("/").header("x-bytes", value).body(body("")).unwrap();
        let message: HttpRequest = codec::decode("request", &encode_request(request, 10).await.unwrap()).unwrap();
        assert_eq!(message.header["x-bytes"], ["a\u{fffd}"]);
    }

    #[test]
    fn the_trace_context_of_a_request_is_taken_along() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
        headers.insert("x-other", HeaderValue::from_static("1"));
        let only = [("traceparent".to_owned(), "00-1-2-01".to_owned())].into();
        assert_eq!(trace(&headers), TraceContext::new(only));
        set_trace(&mut headers, &TraceContext::new([("tracestate".to_owned(), "a=b".to_owned())].into()));
        assert_eq!(headers.get("traceparent"), None);
        assert_eq!(headers["tracestate"], "a=b");
    }
}
