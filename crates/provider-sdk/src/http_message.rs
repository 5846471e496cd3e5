//! HTTP requests as `HttpServer.HandleRequest` messages, and the answers back.
//!
//! For whoever hands a request to an actor that cannot take it as a stream: a module, or an actor on another host.
//! Invariant: the body is never buffered beyond its bound.

use std::{collections::BTreeMap, time::Instant};

use bytes::Bytes;
use contracts::{
    CallError, TraceContext, codec,
    httpserver::{Headers, HttpRequest, HttpResponse},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};

use crate::HttpBody;

const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// Reads the whole request and encodes it. Header values that are not UTF-8 are replaced where they are not.
///
/// # Errors
/// [`CallError::LimitExceeded`] for a body of more than `max_body` bytes, [`CallError::DeadlineExceeded`] when it does
/// not arrive in time, [`CallError::Malformed`] when it breaks off.
pub async fn encode_request(
    request: http::Request<HttpBody>,
    max_body: u64,
    deadline: Instant,
) -> Result<Bytes, CallError> {
    let (parts, body) = request.into_parts();
    let body = tokio::time::timeout_at(deadline.into(), collect(body, max_body))
        .await
        .map_err(|_| CallError::DeadlineExceeded { step: "reading the request body".to_owned() })??;
    let message = HttpRequest {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query_string: parts.uri.query().unwrap_or_default().to_owned(),
        header: headers(&parts.headers),
        body,
    };
    codec::encode(&message).map(Bytes::from)
}

async fn collect(mut body: HttpBody, max: u64) -> Result<Vec<u8>, CallError> {
    // What a peer announces is believed up to here.
    const MOST_RESERVED: u64 = 1 << 20;
    let expected = body.size_hint().lower().min(max).min(MOST_RESERVED);
    let mut whole = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let what = "request body".to_owned();
            CallError::Malformed { what, reason: error.to_string() }
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if (whole.len() + data.len()) as u64 > max {
            return Err(CallError::LimitExceeded { limit: format!("a request body of {max} bytes") });
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

/// Decodes an answer.
///
/// # Errors
/// [`CallError::Malformed`] when it is no HTTP response: not decodable, or with an impossible status or header.
pub fn decode_response(payload: &[u8]) -> Result<http::Response<HttpBody>, CallError> {
    let malformed = |reason: String| CallError::Malformed { what: "HTTP response".to_owned(), reason };
    let message: HttpResponse = codec::decode("HTTP response", payload)?;
    let body = Full::new(Bytes::from(message.body)).map_err(|never| match never {});
    let mut response = http::Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(message.status_code)
        .map_err(|_| malformed(format!("`{}` is not a status code", message.status_code)))?;
    for (name, values) in message.header {
        let parsed = HeaderName::try_from(&name).map_err(|_| malformed(format!("`{name}` is not a header name")))?;
        for value in values {
            let value = HeaderValue::try_from(value).map_err(|_| {
                malformed(format!("a value of header `{name}` has characters that no header can carry"))
            })?;
            response.headers_mut().append(&parsed, value);
        }
    }
    Ok(response)
}

/// The trace context that came with a request.
#[must_use]
pub fn trace(headers: &HeaderMap) -> TraceContext {
    let value = |name: &str| Some((name.to_owned(), headers.get(name)?.to_str().ok()?.to_owned()));
    TraceContext(TRACE_HEADERS.into_iter().filter_map(value).collect())
}

fn headers(headers: &HeaderMap) -> Headers {
    let mut message: Headers = BTreeMap::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        message.insert(name.as_str().to_owned(), values.collect());
    }
    message
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use http_body_util::StreamBody;

    use super::*;

    fn body(text: &str) -> HttpBody {
        Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed_unsync()
    }

    async fn encode(request: http::Request<HttpBody>) -> Result<Bytes, CallError> {
        encode_request(request, 10, Instant::now() + Duration::from_secs(10)).await
    }

    #[tokio::test]
    async fn a_request_becomes_a_message() {
        let request = http::Request::post("/a%20b?x=%31&y")
            .header("X-Multi", "1")
            .header("x-multi", "2")
            .header("x-bytes", HeaderValue::from_bytes(b"a\xff").unwrap())
            .body(body("hello"))
            .unwrap();
        let message: HttpRequest = codec::decode("request", &encode(request).await.unwrap()).unwrap();
        assert_eq!((message.method.as_str(), message.path.as_str()), ("POST", "/a%20b"));
        assert_eq!((message.query_string.as_str(), message.body.as_slice()), ("x=%31&y", b"hello".as_slice()));
        assert_eq!(message.header["x-multi"], ["1", "2"]);
        assert_eq!(message.header["x-bytes"], ["a\u{fffd}"]);
    }

    #[tokio::test]
    async fn a_body_is_bounded_and_must_come_whole() {
        let request = |body| http::Request::new(body);
        assert_eq!(encode(request(body("0123456789"))).await.err(), None);
        assert_eq!(encode(request(body("0123456789x"))).await.unwrap_err().code(), "limit_exceeded");
        let broken = StreamBody::new(futures_util::stream::iter([Err("lost".into())])).boxed_unsync();
        assert_eq!(encode(request(broken)).await.unwrap_err().code(), "malformed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_ends_with_the_deadline() {
        let never = StreamBody::new(futures_util::stream::pending()).boxed_unsync();
        let error = encode(http::Request::new(never)).await.unwrap_err();
        assert_eq!(error.to_string(), "deadline exceeded while reading the request body");
    }

    fn response(status_code: u16, header: &[(&str, &[&str])]) -> Result<http::Response<HttpBody>, CallError> {
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let header = header.iter().map(|(name, list)| ((*name).to_owned(), values(list))).collect();
        decode_response(&codec::encode(&HttpResponse { status_code, header, body: b"hi".to_vec() }).unwrap())
    }

    #[tokio::test]
    async fn a_message_becomes_a_response() {
        let response = response(201, &[("Set-Cookie", &["a", "b"]), ("x-none", &[])]).unwrap();
        assert_eq!(response.status(), 201);
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a", "b"]);
        assert_eq!(response.headers().len(), 2);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hi");
    }

    #[test]
    fn an_impossible_response_is_malformed() {
        let header = |name, value| response(200, &[(name, &[value])]);
        for (refused, words) in [
            (response(99, &[]), "`99` is not a status code"),
            (header("a b", "c"), "`a b` is not a header name"),
            (header("a", "b\r\nc: d"), "header `a` has characters"),
            (decode_response(b"\x01"), "malformed HTTP response"),
        ] {
            let error = refused.err().unwrap();
            assert!(error.code() == "malformed" && error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn the_trace_context_of_a_request_is_taken_along() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
        headers.insert("x-other", HeaderValue::from_static("1"));
        assert_eq!(trace(&headers).0, BTreeMap::from([("traceparent".to_owned(), "00-1-2-01".to_owned())]));
    }
}
