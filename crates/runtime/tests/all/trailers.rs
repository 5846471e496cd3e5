//! Trailers of HTTP, into a component and out of it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use runtime::HttpBody;

use crate::script::{self, Arg, Script};
use crate::support::{context, limits};

const TYPES: &str = "wasi:http/types@0.2.0";
const STREAMS: &str = "wasi:io/streams@0.2.0";
const POLL: &str = "wasi:io/poll@0.2.0";
const HANDLER: (&str, &str) = ("wasi:http/incoming-handler@0.2.0", "handle");

/// Reads the body of the request to its end; the answer to the question for its trailers, an option at 24.
fn read_request(script: &mut Script) -> script::Slot {
    let body = script.call(TYPES, "[method]incoming-request.consume", &[Arg::Parameter(0)]).at(4);
    let stream = script.call(TYPES, "[method]incoming-body.stream", std::slice::from_ref(&body)).at(4);
    for _ in 0..2 {
        script.call(STREAMS, "[method]input-stream.blocking-read", &[stream.clone(), Arg::I64(100)]);
    }
    script.drop(STREAMS, "input-stream", stream);
    let trailers = script.call(TYPES, "[static]incoming-body.finish", &[body]).at(0);
    let pollable = script.call(TYPES, "[method]future-trailers.subscribe", std::slice::from_ref(&trailers)).at(0);
    script.call(POLL, "[method]pollable.block", std::slice::from_ref(&pollable));
    script.drop(POLL, "pollable", pollable);
    script.call(TYPES, "[method]future-trailers.get", &[trailers])
}

/// Answers `hi` and then these trailers, an option.
fn answer(script: &mut Script, trailers: [Arg; 2]) {
    let fields = script.call(TYPES, "[constructor]fields", &[]).at(0);
    let response = script.call(TYPES, "[constructor]outgoing-response", &[fields]).at(0);
    let body = script.call(TYPES, "[method]outgoing-response.body", std::slice::from_ref(&response)).at(4);
    let zero = || Arg::I32(0);
    let ok = [Arg::Parameter(1), zero(), response, zero(), Arg::I64(0), zero(), zero(), zero(), zero()];
    script.call(TYPES, "[static]response-outparam.set", &ok);
    let stream = script.call(TYPES, "[method]outgoing-body.write", std::slice::from_ref(&body)).at(4);
    let write = [stream.clone(), script::text("hi")];
    script.call(STREAMS, "[method]output-stream.blocking-write-and-flush", &write);
    script.drop(STREAMS, "output-stream", stream);
    let [some, trailers] = trailers;
    script.call(TYPES, "[static]outgoing-body.finish", &[body, some, trailers]);
}

/// A body of one chunk, and trailers behind it.
fn with_trailers(chunk: &'static str, trailers: &[(&'static str, &'static str)]) -> HttpBody {
    let map: HeaderMap =
        trailers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
    let frames = [Ok(Frame::data(Bytes::from(chunk))), Ok(Frame::trailers(map))];
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

async fn ask(script: Script, body: HttpBody) -> Collected<Bytes> {
    let guest = script.try_load(&[], limits()).await.unwrap();
    let request = Request::post("/").header("host", "test").body(body).unwrap();
    let response = guest.handle_http(request, 1000, context()).await.unwrap();
    response.into_body().collect().await.unwrap()
}

#[tokio::test]
async fn trailers_come_in_and_go_out() {
    let mut script = Script::entered_by(HANDLER.0, HANDLER.1);
    let trailers = read_request(&mut script);
    answer(&mut script, [trailers.at(24), trailers.at(28)]);
    let answer = ask(script, with_trailers("body", &[("x-sum", "abc"), ("x-two", "2")])).await;
    let trailers = answer.trailers().unwrap();
    assert_eq!(
        (trailers.len(), &trailers["x-sum"], &trailers["x-two"]),
        (2, &"abc".parse().unwrap(), &"2".parse().unwrap())
    );
    assert_eq!(answer.to_bytes(), "hi");
}

#[tokio::test]
async fn a_request_without_trailers_has_none() {
    let mut script = Script::entered_by(HANDLER.0, HANDLER.1);
    let trailers = read_request(&mut script);
    answer(&mut script, [trailers.at(24), trailers.at(28)]);
    let body = Full::new(Bytes::from("body")).map_err(|never| match never {}).boxed_unsync();
    let answer = ask(script, body).await;
    assert!(answer.trailers().is_none());
    assert_eq!(answer.to_bytes(), "hi");
}

#[tokio::test]
async fn a_guest_makes_trailers_of_its_own() {
    let mut script = Script::entered_by(HANDLER.0, HANDLER.1);
    let fields = script.call(TYPES, "[constructor]fields", &[]).at(0);
    let sum = [fields.clone(), script::text("x-sum"), script::text("123")];
    script.call(TYPES, "[method]fields.append", &sum);
    answer(&mut script, [Arg::I32(1), fields]);
    let answer = ask(script, with_trailers("body", &[])).await;
    assert_eq!(answer.trailers().unwrap()["x-sum"], "123");
    assert_eq!(answer.to_bytes(), "hi");
}
