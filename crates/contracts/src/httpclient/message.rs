//! HTTP as the message `HttpClient.Request` and back, for hosts whose guests think in requests and streams.
//!
//! Invariant: a body above its bound is refused before it is held in memory, and a provider's answer is checked like
//! anybody else's.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;

use super::{HttpRequest, HttpResponse};
use crate::{
    Budget, CallError, codec,
    http_message::{CONNECTION_HEADERS, HttpBody, body_too_large, collect, encoded, header_map, headers, malformed},
};

const WHAT: &str = "HTTP response";

/// Reads the body and encodes the whole request, whose URI must have scheme and authority. Header values that are not
/// UTF-8 are replaced where they are not.
///
/// # Errors
/// [`CallError::LimitExceeded`] for a body of more than `max_body` bytes, [`CallError::Malformed`] when it breaks off,
/// [`CallError::NoRoom`] while too many bodies are under way.
pub async fn encode_request(request: Request<HttpBody>, max_body: u64) -> Result<Bytes, CallError> {
    let (mut parts, body) = request.into_parts();
    let (body, charge) = collect(body, max_body, Budget::bodies()).await?.ok_or_else(|| body_too_large(max_body))?;
    // The provider makes these itself, out of the URL and of the body it has.
    for name in [header::HOST, header::CONTENT_LENGTH].iter().chain(&CONNECTION_HEADERS) {
        parts.headers.remove(name);
    }
    let message = HttpRequest {
        method: parts.method.as_str().to_owned(),
        url: parts.uri.to_string(),
        headers: headers(&parts.headers),
        body: body.into(),
    };
    encoded(&message, message.body.len(), charge)
}

/// Decodes a provider's answer, with values joined that it split at their commas.
///
/// # Errors
/// [`CallError::Malformed`] when it is no HTTP response: not decodable, or with an impossible status or header.
pub fn decode_response(message: &[u8]) -> Result<Response<Full<Bytes>>, CallError> {
    let mut message: HttpResponse = codec::decode(WHAT, message)?;
    message.join_split_values();
    let status = StatusCode::from_u16(message.status_code)
        .map_err(|_| malformed(WHAT, format!("status code {}", message.status_code)))?;
    let mut headers = header_map(WHAT, &message.header)?;
    for name in CONNECTION_HEADERS {
        headers.remove(name);
    }
    let mut response = Response::new(Full::new(Bytes::from(message.body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use http_body_util::BodyExt;

    use super::*;

    fn body(bytes: &'static str) -> HttpBody {
        Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test]
    async fn a_request_carries_its_url_and_leaves_the_connection_to_the_provider() {
        let request = Request::put("https://example.test:8443/a?b=%20")
            .header("host", "elsewhere")
            .header("content-length", "2")
            .header("connection", "close")
            .header("X-One", "1")
            .header("x-one", "2")
            .body(body("hi"));
        let message = encode_request(request.unwrap(), 2).await.unwrap();
        let message: HttpRequest = codec::decode("request", &message).unwrap();
        assert_eq!((message.method.as_str(), message.url.as_str()), ("PUT", "https://example.test:8443/a?b=%20"));
        assert_eq!(message.headers, [("x-one".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into());
        assert_eq!(message.body, b"hi");
    }

    #[tokio::test]
    async fn a_body_above_the_bound_is_refused() {
        let request = Request::post("http://example.test/").body(body("123")).unwrap();
        assert_eq!(encode_request(request, 2).await.unwrap_err(), body_too_large(2));
    }

    #[tokio::test]
    async fn an_answer_becomes_a_response() {
        let header = [("date", "Fri"), ("connection", "close")];
        let mut header: crate::httpserver::Headers =
            header.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
        header.get_mut("date").unwrap().push(" 20 Nov 2026 21:38:18 GMT".to_owned());
        let message = codec::encode(&HttpResponse { status_code: 201, header, body: b"yo".to_vec() }).unwrap();
        let response = decode_response(&message).unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()["date"], "Fri, 20 Nov 2026 21:38:18 GMT");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "yo");
    }

    #[test]
    fn impossible_answers_are_malformed() {
        let answer = |status_code, value: &str| {
            let header = [("x".to_owned(), vec![value.to_owned()])].into();
            decode_response(&codec::encode(&HttpResponse { status_code, header, body: Vec::new() }).unwrap())
        };
        assert!(answer(200, "y").is_ok());
        assert_eq!(answer(42, "y").unwrap_err().code(), "malformed");
        assert_eq!(answer(200, "a\r\nb").unwrap_err().code(), "malformed");
        assert_eq!(decode_response(b"").unwrap_err().code(), "malformed");
    }
}
