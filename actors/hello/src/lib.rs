//! Example actor: a WASI 0.2 component that answers HTTP as streams.
//!
//! - `GET` (and any other method): a greeting that names the path.
//! - `POST`: the request body, streamed back chunk by chunk while it arrives.
//! - `GET /ticks?N`: N server-sent events, one in a quarter of a second.
//! - `GET /status/N`: an answer with that status, and a body where there should be none.
//! - `GET /trap` traps and `GET /spin` never returns; these and the others in [`misbehave`] are what a host must survive.

mod misbehave;

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::{InputStream, OutputStream, StreamError},
};

/// Most bytes moved by one host call; what a host buffers per call is its own business.
const CHUNK: u64 = 64 * 1024;
/// Most bytes that the interface takes in one blocking write.
const WRITE: usize = 4096;

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_else(|| "/".to_owned());
        if matches!(request.method(), Method::Post) {
            return echo_body(&request, response);
        }
        let Err(response) = misbehave::misbehave(&path, response) else { return };
        if let Some(count) = path.strip_prefix("/ticks?").and_then(|count| count.parse().ok()) {
            let events = [b"text/event-stream".to_vec()];
            return answer(response, 200, &events, |out| ticks(out, count));
        }
        let status = path.strip_prefix("/status/").and_then(|status| status.parse().ok()).unwrap_or(200);
        let text = format!("hello from a component: {path}\n");
        answer(response, status, &[], |out| write_all(out, text.as_bytes()));
    }
}

wasip2::http::proxy::export!(Hello);

/// Streams the request body into the response body.
fn echo_body(request: &IncomingRequest, response: ResponseOutparam) {
    let Ok(body) = request.consume() else { unreachable!("the body of a fresh request is taken once") };
    let Ok(input) = body.stream() else { unreachable!("the stream of a fresh body is taken once") };
    answer(response, 200, &request.headers().get("content-type"), |out| copy(&input, out));
}

/// Sends the response head, then the body as `write` produces it. A client that goes away ends the body early.
fn answer(
    response: ResponseOutparam,
    status: u16,
    content_type: &[Vec<u8>],
    write: impl FnOnce(&OutputStream) -> Result<(), StreamError>,
) {
    let headers = Fields::new();
    let plain = [b"text/plain; charset=utf-8".to_vec()];
    let content_type = if content_type.is_empty() { &plain } else { content_type };
    if headers.set("content-type", content_type).is_err() {
        unreachable!("`content-type` is a header every host lets a guest set");
    }
    let head = OutgoingResponse::new(headers);
    // A status that is none is refused here, and stays 200.
    let _ = head.set_status_code(status);
    let Ok(body) = head.body() else { unreachable!("the body of a fresh response is taken once") };
    ResponseOutparam::set(response, Ok(head));

    let Ok(out) = body.write() else { unreachable!("the stream of a fresh body is taken once") };
    let written = write(&out);
    drop(out);
    if written.is_ok() {
        // A failure to finish means that the client is gone; there is nobody left to tell.
        let _ = OutgoingBody::finish(body, None);
    }
}

/// Writes text of any length.
fn write_all(out: &OutputStream, text: &[u8]) -> Result<(), StreamError> {
    text.chunks(WRITE).try_for_each(|piece| out.blocking_write_and_flush(piece))
}

fn ticks(out: &OutputStream, count: u32) -> Result<(), StreamError> {
    for number in 0..count {
        misbehave::pause(250);
        write_all(out, format!("data: {number}\n\n").as_bytes())?;
    }
    Ok(())
}

/// Moves bytes until the input ends, without copying them through the guest.
fn copy(input: &InputStream, out: &OutputStream) -> Result<(), StreamError> {
    loop {
        match out.blocking_splice(input, CHUNK) {
            Ok(_) => {}
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
