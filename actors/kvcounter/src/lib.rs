//! Example actor: counts requests in a key-value store.
//!
//! `HttpServer.HandleRequest`: adds one to the counter that the path names, and answers with a JSON object: 200 and
//! `{"counter": N}`, or 503 and `{"error": "…"}` with what the host said.
//!
//! A waPC module; `kvcounter-component` is the same as a component.

use actor_sdk::wapc;
use contracts::{
    codec,
    httpserver::{HANDLE_REQUEST, Headers, HttpRequest, HttpResponse},
    keyvalue::{CONTRACT, INCREMENT, IncrementRequest},
};
use serde_json::{Value, json};

actor_sdk::module!(handle);

/// Answers one call; the error text goes to the caller verbatim.
fn handle(operation: &str, payload: Vec<u8>) -> Result<Vec<u8>, String> {
    if operation != HANDLE_REQUEST {
        return Err(format!("`{operation}` is not an operation of this actor"));
    }
    let request: HttpRequest = codec::decode("HTTP request", &payload).map_err(|error| error.to_string())?;
    let (status, body) = match increment(&request.path) {
        Ok(counter) => (200, json!({ "counter": counter })),
        Err(error) => (503, json!({ "error": error })),
    };
    respond(status, &body)
}

/// Adds one to a counter; what it is then.
fn increment(path: &str) -> Result<i64, String> {
    let key = format!("counter:{}", path.trim_start_matches('/'));
    let argument = codec::encode(&IncrementRequest { key, value: 1 }).map_err(|error| error.to_string())?;
    let answer = wapc::host_call("default", CONTRACT, INCREMENT, &argument)?;
    codec::decode("result of the store", &answer).map_err(|error| error.to_string())
}

fn respond(status_code: u16, body: &Value) -> Result<Vec<u8>, String> {
    let header = Headers::from([("content-type".to_owned(), vec!["application/json".to_owned()])]);
    let body = format!("{body}\n").into_bytes();
    codec::encode(&HttpResponse { status_code, header, body }).map_err(|error| error.to_string())
}
