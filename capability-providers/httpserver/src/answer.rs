//! Answers that the provider itself gives: refusals, and failed calls as HTTP.
//!
//! The body is one line of text, `code: sentence`. Owns the table from error code to status.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use provider_sdk::{HttpBody, contracts::CallError};

/// A text answer.
pub fn refusal(status: StatusCode, code: &str, sentence: &str) -> Response<HttpBody> {
    let body = Full::new(Bytes::from(format!("{code}: {sentence}\n"))).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if code == "busy" {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A request that no actor should see.
pub fn bad_request(sentence: &str) -> Response<HttpBody> {
    refusal(StatusCode::BAD_REQUEST, "bad_request", sentence)
}

/// No body.
pub fn empty() -> HttpBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A call that failed before anything of its answer had left.
pub fn failure(error: &CallError) -> Response<HttpBody> {
    refusal(status(error.code()), error.code(), &error.to_string())
}

/// The status for a stable error code, whoever reported it.
fn status(code: &str) -> StatusCode {
    match code {
        "busy" | "not_running" | "unreachable" => StatusCode::SERVICE_UNAVAILABLE,
        "deadline_exceeded" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
