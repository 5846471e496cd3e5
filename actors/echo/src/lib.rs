//! Example actor: says back what it was asked.
//!
//! - `HttpServer.HandleRequest`: 200 and a JSON object with the request's method, path, query, headers and body.
//! - `Echo.Relay`: calls another actor and gives its answer back.
//! - Any other operation: the argument, unchanged.
//!
//! It keeps Rust's own allocator, as most modules do that are not made for this host.

mod http;
mod relay;

actor_sdk::module!(handle);

/// Answers one call; the error text goes to the caller verbatim.
fn handle(operation: &str, payload: Vec<u8>) -> Result<Vec<u8>, String> {
    match operation {
        contracts::httpserver::HANDLE_REQUEST => http::describe(&payload),
        relay::OPERATION => relay::relay(&payload),
        _ => Ok(payload),
    }
}
