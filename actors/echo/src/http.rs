//! `HttpServer.HandleRequest`: the request, described as JSON.

use contracts::{
    codec,
    httpserver::{Headers, HttpRequest, HttpResponse},
};
use serde::Serialize;

/// What the client reads.
#[derive(Serialize)]
struct Description<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a Headers,
    /// As text; bytes that are not UTF-8 are replaced.
    body: std::borrow::Cow<'a, str>,
}

/// Describes an encoded [`HttpRequest`] in an encoded [`HttpResponse`].
pub fn describe(payload: &[u8]) -> Result<Vec<u8>, String> {
    let request: HttpRequest = codec::decode("HTTP request", payload).map_err(|error| error.to_string())?;
    let description = Description {
        method: &request.method,
        path: &request.path,
        query: &request.query_string,
        headers: &request.header,
        body: String::from_utf8_lossy(&request.body),
    };
    let mut body = serde_json::to_vec(&description).map_err(|error| error.to_string())?;
    body.push(b'\n');
    let header = Headers::from([("content-type".to_owned(), vec!["application/json".to_owned()])]);
    codec::encode(&HttpResponse { status_code: 200, header, body }).map_err(|error| error.to_string())
}
