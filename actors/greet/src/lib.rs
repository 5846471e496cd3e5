//! Example actor: answers HTTP with a greeting that names the path, as `hello` does in the form of a component.
//!
//! Its memory comes from an [`Arena`], so that a fresh instance does not begin by growing.

use actor_sdk::Arena;
use contracts::{
    codec,
    httpserver::{HANDLE_REQUEST, Headers, HttpRequest, HttpResponse},
};

#[global_allocator]
static MEMORY: Arena<{ 64 << 10 }> = Arena::new();

actor_sdk::module!(handle);

fn handle(operation: &str, payload: Vec<u8>) -> Result<Vec<u8>, String> {
    if operation != HANDLE_REQUEST {
        return Err(format!("unknown operation `{operation}`; this actor answers `{HANDLE_REQUEST}`"));
    }
    let request: HttpRequest = codec::decode("HTTP request", &payload).map_err(|error| error.to_string())?;
    let header = Headers::from([("content-type".to_owned(), vec!["text/plain; charset=utf-8".to_owned()])]);
    let body = format!("hello from a module: {}\n", request.path).into_bytes();
    codec::encode(&HttpResponse { status_code: 200, header, body }).map_err(|error| error.to_string())
}
