//! Example actor: says back what it was asked.
//!
//! - `HttpServer.HandleRequest`: 200 and a JSON object with the request's method, path, query, headers and body.
//! - `Echo.Relay`: calls another actor and gives its answer back.
//! - Any other operation: the argument, unchanged.
//!
//! A waPC module without any SDK: `wapc` is the whole distance between this file and the host.

mod http;
mod relay;
#[expect(unsafe_code, reason = "the waPC imports are raw; every unsafe block of this crate is in this file")]
mod wapc;

/// Answers one call; the error text goes to the caller verbatim.
fn handle(operation: &str, payload: Vec<u8>) -> Result<Vec<u8>, String> {
    match operation {
        contracts::httpserver::HANDLE_REQUEST => http::describe(&payload),
        relay::OPERATION => relay::relay(&payload),
        _ => Ok(payload),
    }
}
