//! Example actor: counts requests in a key-value store, as a WASI 0.2 component over `wasi:keyvalue`.
//!
//! Any request adds one to the counter that the path names. The answer is a JSON object: 200 and `{"counter": N}`, or 503
//! and `{"error": "…"}` with what the host said. `kvcounter` is the same as a waPC module.

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

use crate::bindings::wasi::keyvalue::{
    atomics,
    store::{self, Error},
};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "counter", generate_all });
}

struct Counter;

impl Guest for Counter {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        match increment(path) {
            Ok(counter) => answer(response, 200, &format!("{{\"counter\":{counter}}}\n")),
            Err(error) => answer(response, 503, &format!("{{\"error\":{}}}\n", quoted(&error))),
        }
    }
}

wasip2::http::proxy::export!(Counter);

/// Adds one to a counter; what it is then.
fn increment(path: &str) -> Result<i64, String> {
    let bucket = store::open("").map_err(sentence)?;
    atomics::increment(&bucket, &format!("counter:{}", path.trim_start_matches('/')), 1).map_err(sentence)
}

fn sentence(error: Error) -> String {
    match error {
        Error::NoSuchStore => "there is no link to a key-value store".to_owned(),
        Error::AccessDenied => "the signed claims do not grant key-value stores".to_owned(),
        Error::Other(sentence) => sentence,
    }
}

/// Text as JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Sends a response. A client that goes away ends the body early.
fn answer(response: ResponseOutparam, status: u16, text: &str) {
    let headers = Fields::new();
    if headers.set("content-type", &[b"application/json".to_vec()]).is_err() {
        unreachable!("`content-type` is a header every host lets a guest set");
    }
    let head = OutgoingResponse::new(headers);
    if head.set_status_code(status).is_err() {
        unreachable!("200 and 503 are statuses");
    }
    let Ok(body) = head.body() else { unreachable!("the body of a fresh response is taken once") };
    ResponseOutparam::set(response, Ok(head));
    let Ok(out) = body.write() else { unreachable!("the stream of a fresh body is taken once") };
    // The interface takes so much in one blocking write.
    let written = text.as_bytes().chunks(4096).try_for_each(|piece| out.blocking_write_and_flush(piece));
    drop(out);
    if written.is_ok() {
        // A failure to finish means that the client is gone; there is nobody left to tell.
        let _ = OutgoingBody::finish(body, None);
    }
}
