//! Outgoing HTTP of components, over an outbound that is the HTTP client.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::{
    CallError, codec,
    httpclient::{CONTRACT, HttpRequest, HttpResponse, REQUEST},
};
use runtime::{CallContext, GuestLimits, Outbound, OutboundCall};

use crate::script::{Arg, Script, Slot, call_once, link, text};
use crate::support;
use crate::support::limits;

const TYPES: &str = "wasi:http/types@0.2.0";
const OUTGOING: &str = "wasi:http/outgoing-handler@0.2.0";
const STREAMS: &str = "wasi:io/streams@0.2.0";
const POLL: &str = "wasi:io/poll@0.2.0";

/// Numbers of error codes, as the order of the standard has them.
const DESTINATION_UNAVAILABLE: u8 = 3;
const CONNECTION_READ_TIMEOUT: u8 = 9;
const CONNECTION_LIMIT_REACHED: u8 = 11;
const HTTP_REQUEST_DENIED: u8 = 15;
const HTTP_REQUEST_BODY_SIZE: u8 = 17;
const HTTP_RESPONSE_BODY_SIZE: u8 = 28;
const HTTP_RESPONSE_TIMEOUT: u8 = 33;
const HTTP_PROTOCOL_ERROR: u8 = 35;
const CONFIGURATION_ERROR: u8 = 37;
const INTERNAL_ERROR: u8 = 38;

const NONE: [Arg; 2] = [Arg::I32(0), Arg::I32(0)];

fn method(script: &mut Script, name: &str, arguments: &[Arg]) -> Slot {
    script.call(TYPES, name, arguments)
}

/// `POST http://example.test:8080/a?b` with this body; the request that is under way.
fn send(script: &mut Script, body: &[u8], options: [Arg; 2]) -> Arg {
    let fields = method(script, "[constructor]fields", &[]).at(0);
    method(script, "[method]fields.append", &[fields.clone(), text("x-one"), text("1")]);
    let request = method(script, "[constructor]outgoing-request", &[fields]).at(0);
    method(script, "[method]outgoing-request.set-method", &[request.clone(), Arg::I32(2), Arg::I32(0), Arg::I32(0)]);
    let scheme = [request.clone(), Arg::I32(1), Arg::I32(0), Arg::I32(0), Arg::I32(0)];
    method(script, "[method]outgoing-request.set-scheme", &scheme);
    let authority = [request.clone(), Arg::I32(1), text("example.test:8080")];
    method(script, "[method]outgoing-request.set-authority", &authority);
    let path = [request.clone(), Arg::I32(1), text("/a?b")];
    method(script, "[method]outgoing-request.set-path-with-query", &path);
    let outgoing = method(script, "[method]outgoing-request.body", std::slice::from_ref(&request)).at(4);
    let stream = method(script, "[method]outgoing-body.write", std::slice::from_ref(&outgoing)).at(4);
    let [some, options] = options;
    let sent = script.call(OUTGOING, "handle", &[request, some, options]).at(8);
    let write = [stream.clone(), Arg::Bytes(body.to_vec())];
    script.call(STREAMS, "[method]output-stream.blocking-write-and-flush", &write);
    script.drop(STREAMS, "output-stream", stream);
    let [none, no_trailers] = NONE;
    method(script, "[static]outgoing-body.finish", &[outgoing, none, no_trailers]);
    sent
}

/// Waits; tells whether there is an answer, and the number of the error if not. The answer's handle is at 24.
fn receive(script: &mut Script, sent: &Arg) -> Slot {
    let pollable = method(script, "[method]future-incoming-response.subscribe", std::slice::from_ref(sent)).at(0);
    script.call(POLL, "[method]pollable.block", std::slice::from_ref(&pollable));
    script.drop(POLL, "pollable", pollable);
    let answer = method(script, "[method]future-incoming-response.get", std::slice::from_ref(sent));
    script.tell(answer, 16, 1);
    script.tell(answer, 24, 1);
    answer
}

type Serve = dyn Fn(&HttpRequest) -> Result<HttpResponse, CallError> + Send + Sync;

async fn run_with(
    script: Script,
    grants: &[&str],
    limits: GuestLimits,
    serve: Box<Serve>,
) -> Result<Vec<Bytes>, CallError> {
    let guest = script.try_load(grants, limits).await.unwrap();
    call_once(&guest, "Test.Run", Bytes::new(), move |call| {
        assert_eq!((call.target, call.operation.as_str()), (link(CONTRACT, "default"), REQUEST));
        let response = serve(&codec::decode("request", &call.payload)?)?;
        codec::encode(&response).map(Bytes::from)
    })
    .await
}

#[tokio::test]
async fn a_request_goes_over_the_link_and_its_answer_comes_back() {
    let mut script = Script::new();
    let sent = send(&mut script, b"body", NONE);
    let answer = receive(&mut script, &sent).at(24);
    let status = method(&mut script, "[method]incoming-response.status", std::slice::from_ref(&answer));
    script.tell(status, 0, 2);
    let headers = method(&mut script, "[method]incoming-response.headers", std::slice::from_ref(&answer)).at(0);
    let there = method(&mut script, "[method]fields.has", &[headers, text("x-two")]);
    script.tell(there, 0, 1);
    let body = method(&mut script, "[method]incoming-response.consume", &[answer]).at(4);
    let stream = method(&mut script, "[method]incoming-body.stream", &[body]).at(4);
    let read = script.call(STREAMS, "[method]input-stream.blocking-read", &[stream.clone(), Arg::I64(100)]);
    script.tell_list(read, 4);
    let end = script.call(STREAMS, "[method]input-stream.blocking-read", &[stream, Arg::I64(100)]);
    script.tell(end, 4, 1);

    let seen = Arc::new(Mutex::new(None));
    let serve = {
        let seen = seen.clone();
        Box::new(move |request: &HttpRequest| {
            *seen.lock().unwrap() = Some(request.clone());
            let header = [("x-two".to_owned(), vec!["2".to_owned()])].into();
            Ok(HttpResponse { status_code: 404, header, body: b"not here".to_vec() })
        })
    };
    let told = run_with(script, &[CONTRACT], limits(), serve).await.unwrap();
    let status = 404u16.to_le_bytes();
    assert_eq!(
        (&told[0], &told[2..]),
        (&Bytes::from_static(b"\0"), &[&status[..], b"\x01", b"not here", b"\x01"].map(Bytes::copy_from_slice)[..])
    );
    let headers = [("x-one".to_owned(), vec!["1".to_owned()])].into();
    let (method, url) = ("POST".to_owned(), "http://example.test:8080/a?b".to_owned());
    assert_eq!(seen.lock().unwrap().take().unwrap(), HttpRequest { method, url, headers, body: b"body".to_vec() });
}

/// The error code of a request with this body that ends like this.
async fn error_code(grants: &[&str], limits: GuestLimits, body: &[u8], end: CallError) -> u8 {
    let mut script = Script::new();
    let sent = send(&mut script, body, NONE);
    receive(&mut script, &sent);
    let told = run_with(script, grants, limits, Box::new(move |_| Err(end.clone()))).await.unwrap();
    assert_eq!(told[0], &b"\x01"[..], "an error");
    told[1][0]
}

#[tokio::test]
async fn without_a_grant_nothing_is_asked() {
    let never = CallError::HostFault { message: "it was asked".to_owned() };
    assert_eq!(error_code(&[], limits(), b"", never).await, HTTP_REQUEST_DENIED);
}

#[tokio::test]
async fn each_failure_has_its_error_code() {
    let (name, text) = ("provider".to_owned(), "why".to_owned());
    let not_linked = CallError::NotLinked { actor: name.clone(), contract: name.clone(), link_name: name.clone() };
    let cases = [
        (not_linked, HTTP_REQUEST_DENIED),
        (CallError::DeadlineExceeded { step: text.clone() }, HTTP_RESPONSE_TIMEOUT),
        (CallError::LimitExceeded { limit: text.clone() }, HTTP_RESPONSE_BODY_SIZE),
        (CallError::Busy { target: name.clone(), limit: 1 }, CONNECTION_LIMIT_REACHED),
        (CallError::NotRunning { target: name.clone() }, DESTINATION_UNAVAILABLE),
        (CallError::Unreachable { target: name.clone(), reason: text.clone() }, DESTINATION_UNAVAILABLE),
        (CallError::Unsupported { target: name.clone(), operation: name.clone() }, CONFIGURATION_ERROR),
        (CallError::Malformed { what: name, reason: text.clone() }, HTTP_PROTOCOL_ERROR),
        (CallError::Remote { code: "busy".to_owned(), message: text.clone() }, CONNECTION_LIMIT_REACHED),
        (CallError::Reported { message: text }, INTERNAL_ERROR),
    ];
    for (end, code) in cases {
        let shown = end.to_string();
        assert_eq!(error_code(&[CONTRACT], limits(), b"", end).await, code, "{shown}");
    }
}

#[tokio::test]
async fn the_body_of_a_request_is_bounded() {
    let never = CallError::HostFault { message: "it was asked".to_owned() };
    let limits = GuestLimits { payload_bytes: 1000, ..limits() };
    assert_eq!(error_code(&[CONTRACT], limits, &[0; 1001], never).await, HTTP_REQUEST_BODY_SIZE);
}

#[tokio::test]
async fn requests_count_as_host_calls() {
    let mut script = Script::new();
    let sent = send(&mut script, b"", NONE);
    // Telling is the second call, and one too many.
    receive(&mut script, &sent);
    let limits = GuestLimits { host_calls_per_call: 1, ..limits() };
    let serve = Box::new(|_: &HttpRequest| Ok(HttpResponse { status_code: 200, ..HttpResponse::default() }));
    let error = run_with(script, &[CONTRACT], limits, serve).await.unwrap_err();
    assert_eq!(error, CallError::LimitExceeded { limit: "`host_calls_per_call` of 1".to_owned() });
}

#[tokio::test]
async fn an_impossible_answer_is_a_protocol_error() {
    let mut script = Script::new();
    let sent = send(&mut script, b"", NONE);
    receive(&mut script, &sent);
    let odd = HttpResponse { status_code: 9, ..HttpResponse::default() };
    let told = run_with(script, &[CONTRACT], limits(), Box::new(move |_| Ok(odd.clone()))).await.unwrap();
    assert_eq!(told, [&[1][..], &[HTTP_PROTOCOL_ERROR]]);
}

#[tokio::test]
async fn a_guest_waits_for_the_answer_no_longer_than_it_wants() {
    let mut script = Script::new();
    let options = method(&mut script, "[constructor]request-options", &[]).at(0);
    let nanoseconds = Arg::I64(20_000_000);
    let time = [options.clone(), Arg::I32(1), nanoseconds];
    method(&mut script, "[method]request-options.set-first-byte-timeout", &time);
    let sent = send(&mut script, b"", [Arg::I32(1), options]);
    let pollable = method(&mut script, "[method]future-incoming-response.subscribe", std::slice::from_ref(&sent)).at(0);
    script.call(POLL, "[method]pollable.block", &[pollable]);
    let answer = method(&mut script, "[method]future-incoming-response.get", &[sent]);
    script.tell(answer, 24, 1);
    let guest = script.try_load(&[CONTRACT], limits()).await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let context = CallContext { outbound: Arc::new(Silent(told.clone())), ..support::context() };
    guest.call("Test.Run", Bytes::new(), context).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [&[CONNECTION_READ_TIMEOUT][..]]);
}

/// An HTTP client that never answers; what else is called is what the guest tells.
struct Silent(Arc<Mutex<Vec<Bytes>>>);

#[async_trait]
impl Outbound for Silent {
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
        if call.operation == REQUEST {
            std::future::pending::<()>().await;
        }
        self.0.lock().unwrap().push(call.payload);
        Ok(Bytes::new())
    }
}

#[tokio::test]
async fn headers_that_belong_to_the_connection_are_refused() {
    let mut script = Script::new();
    let fields = method(&mut script, "[constructor]fields", &[]).at(0);
    for (name, value) in [("host", "elsewhere"), ("Transfer-Encoding", "chunked"), ("x-mine", "yes")] {
        let appended = method(&mut script, "[method]fields.append", &[fields.clone(), text(name), text(value)]);
        script.tell(appended, 0, 1);
        script.tell(appended, 1, 1);
    }
    let told = run_with(script, &[CONTRACT], limits(), Box::new(|_| Ok(HttpResponse::default()))).await.unwrap();
    // `forbidden` twice, then ok.
    assert_eq!(told, [&b"\x01"[..], b"\x01", b"\x01", b"\x01", b"\0", b"\0"]);
}
