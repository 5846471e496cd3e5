//! What a host must survive, and name: answers that end otherwise than they began, or are no answers at all.

use wasip2::{
    clocks::monotonic_clock::subscribe_duration,
    http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

const MILLISECOND: u64 = 1_000_000;

/// Answers the path if it is one of those that misbehave; gives back what it was to be answered with if it is not.
pub fn misbehave(path: &str, response: ResponseOutparam) -> Result<(), ResponseOutparam> {
    match path {
        "/trap" => std::process::abort(),
        "/spin" => loop {
            std::hint::spin_loop();
        },
        // Begins to answer, and traps.
        "/cut" => {
            let _body = begin(response, None, b"begun\n");
            std::process::abort()
        }
        // The same, once its answer has left.
        "/cut-late" => {
            let _body = begin(response, None, b"begun\n");
            pause(100);
            std::process::abort()
        }
        // Answers, and traps.
        "/late" => {
            let body = begin(response, None, b"all of it\n");
            let _ = OutgoingBody::finish(body, None);
            pause(100);
            std::process::abort()
        }
        "/unfinished" => drop(begin(response, None, b"begun\n")),
        "/short" => finish(begin(response, Some("10"), b"12345")),
        "/long" => finish(begin(response, Some("5"), b"0123456789")),
        "/stall" => {
            let _body = begin(response, None, b"begun\n");
            pause(3_600_000);
        }
        _ => return Err(response),
    }
    Ok(())
}

/// Waits.
pub fn pause(milliseconds: u64) {
    subscribe_duration(milliseconds * MILLISECOND).block();
}

/// Sends the head and the beginning of a body.
fn begin(response: ResponseOutparam, length: Option<&str>, text: &[u8]) -> OutgoingBody {
    let headers = Fields::new();
    if let Some(length) = length {
        let _ = headers.set("content-length", &[length.as_bytes().to_vec()]);
    }
    let head = OutgoingResponse::new(headers);
    let Ok(body) = head.body() else { unreachable!("the body of a fresh response is taken once") };
    ResponseOutparam::set(response, Ok(head));
    let Ok(out) = body.write() else { unreachable!("the stream of a fresh body is taken once") };
    // Too much of it is refused here.
    let _ = out.blocking_write_and_flush(text);
    drop(out);
    body
}

fn finish(body: OutgoingBody) {
    // A body of another length than announced is refused here.
    let _ = OutgoingBody::finish(body, None);
}
