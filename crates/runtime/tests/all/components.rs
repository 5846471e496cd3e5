//! Components: messages through `wasmcloud:bus/guest`, HTTP as a stream, and components that do harm.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use contracts::{
    CallError, codec,
    http_message::{HttpTerms, Time},
    httpserver::{HANDLE_REQUEST, HttpRequest, HttpResponse},
};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use runtime::{CallContext, Guest, GuestKind, GuestLimits, HttpBody, OutboundTarget, Watch};

use crate::support::{self, answering, context, eventually, limits, neighbour_answers, runtime, within};

async fn vectors_component() -> Guest {
    let wasm = &include_bytes!("../guests/component_actor.wasm")[..];
    runtime().load(wasm.into(), support::identity(), limits()).await.unwrap()
}

async fn http_guest_with(limits: GuestLimits) -> Guest {
    let wasm = &include_bytes!("../guests/http.wasm")[..];
    runtime().load(wasm.into(), support::identity(), limits).await.unwrap()
}

async fn http_guest() -> Guest {
    http_guest_with(limits()).await
}

fn empty() -> HttpBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn full(bytes: impl Into<Bytes>) -> HttpBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn request(path: &str, body: HttpBody) -> Request<HttpBody> {
    Request::post(path).header("host", "test").body(body).unwrap()
}

async fn ask_within(guest: &Guest, path: &str, context: CallContext) -> Result<Response<HttpBody>, CallError> {
    guest.handle_http(request(path, empty()), 1000, context).await
}

async fn ask(guest: &Guest, path: &str) -> Result<Response<HttpBody>, CallError> {
    ask_within(guest, path, context()).await
}

async fn text(response: Response<HttpBody>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Until the guest's task has noticed that nobody wants it any more.
async fn ends(guest: &Guest) {
    let over = async {
        while guest.running() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), over).await.expect("the guest ends");
}

#[tokio::test]
async fn the_vectors_component_takes_messages_and_calls_out() {
    let guest = vectors_component().await;
    assert_eq!(guest.kind(), GuestKind::Component);
    assert!(!guest.serves_http());
    let seen = Arc::new(Mutex::new(None));
    let context = answering({
        let seen = seen.clone();
        move |call| {
            *seen.lock().unwrap() = Some(call);
            Ok("value".into())
        }
    });
    assert_eq!(guest.call("Anything.Goes", "key".into(), context).await.unwrap(), "value");
    let seen = seen.lock().unwrap().take().unwrap();
    let target = OutboundTarget::Link { contract: "wasmcloud:keyvalue".to_owned(), link_name: "default".to_owned() };
    assert_eq!((seen.target, seen.operation.as_str(), seen.payload), (target, "KeyValue.Get", Bytes::from("key")));
}

#[tokio::test]
async fn what_a_component_reports_arrives_verbatim() {
    let guest = vectors_component().await;
    let failing = answering(|_| Err(CallError::Reported { message: "boom".to_owned() }));
    let error = guest.call("Anything.Goes", "key".into(), failing).await.unwrap_err();
    assert_eq!(error, CallError::Reported { message: "boom".to_owned() });
}

#[tokio::test]
async fn a_component_without_http_says_so() {
    let guest = vectors_component().await;
    assert_eq!(ask(&guest, "/h").await.err().unwrap().code(), "unsupported");
}

#[tokio::test]
async fn a_component_answers_http_as_a_stream() {
    let guest = http_guest().await;
    assert!(guest.serves_http());
    let answer = ask(&guest, "/h?query").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(text(answer).await, "hello");
    ends(&guest).await;
}

#[tokio::test]
async fn bodies_flow_both_ways_while_the_guest_runs() {
    let guest = http_guest().await;
    let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(1);
    let chunks = futures_util::stream::unfold(receive, |mut receive| async move {
        let chunk = receive.recv().await?;
        Some((Ok(http_body::Frame::data(chunk)), receive))
    });
    let echo = request("/e", StreamBody::new(chunks).boxed_unsync());
    let mut answer = guest.handle_http(echo, 1000, context()).await.unwrap().into_body();
    for chunk in ["one", "two", "three"] {
        send.send(chunk.into()).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), chunk);
    }
    drop(send);
    assert!(answer.frame().await.is_none());
    ends(&guest).await;
}

#[tokio::test]
async fn a_request_body_has_a_bound() {
    let guest = http_guest().await;
    let announced = Request::post("/e").header("content-length", "1001").body(full("")).unwrap();
    let error = guest.handle_http(announced, 1000, context()).await.err().unwrap();
    assert_eq!(error, CallError::LimitExceeded { limit: "request body of more than 1000 bytes".to_owned() });
    // Not announced, so the guest has begun: it sees a broken stream, and its answer stays incomplete for that reason.
    let unannounced = guest.handle_http(request("/e", full(vec![1; 1001])), 1000, context()).await.err().unwrap();
    assert_eq!(unannounced, error);
    ends(&guest).await;
}

#[tokio::test]
async fn a_request_may_come_as_a_message() {
    let guest = http_guest().await;
    let message = HttpRequest { method: "POST".into(), path: "/e".into(), body: b"body".into(), ..Default::default() };
    let answer = guest.call(HANDLE_REQUEST, codec::encode(&message).unwrap().into(), context()).await.unwrap();
    let answer: HttpResponse = codec::decode("response", &answer).unwrap();
    assert_eq!((answer.status_code, &answer.body[..]), (200, &b"body"[..]));

    let large = HttpRequest { body: vec![0; 2000], ..message };
    let guest = http_guest_with(GuestLimits { response_bytes: 1000, ..limits() }).await;
    let error = guest.call(HANDLE_REQUEST, codec::encode(&large).unwrap().into(), context()).await.unwrap_err();
    assert_eq!(error.code(), "limit_exceeded");
    assert_eq!(guest.call(HANDLE_REQUEST, "nonsense".into(), context()).await.unwrap_err().code(), "malformed");
    ends(&guest).await;
}

#[tokio::test]
async fn a_module_gets_http_as_a_message() {
    let wasm = &include_bytes!("../guests/wapc_actor.wasm")[..];
    let guest = runtime().load(wasm.into(), support::identity(), limits()).await.unwrap();
    let answer = ask(&guest, "/").await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(text(answer).await, "hello from wapc\n");
    let error = guest.handle_http(request("/", full(vec![0; 1001])), 1000, context()).await.err().unwrap();
    assert_eq!(error.code(), "limit_exceeded");
}

#[tokio::test]
async fn nothing_is_granted_to_a_component() {
    let guest = http_guest().await;
    assert_eq!(text(ask(&guest, "/v").await.unwrap()).await, "hello", "no environment");
    assert_eq!(text(ask(&guest, "/o").await.unwrap()).await, "denied", "no outgoing HTTP");
}

#[tokio::test]
async fn what_ends_before_the_head_is_a_typed_error() {
    let guest = http_guest().await;
    match ask(&guest, "/t").await.err().unwrap() {
        CallError::Trap { message } => assert!(message.contains("unreachable"), "{message}"),
        other => panic!("expected a trap, got {other:?}"),
    }
    let silent = CallError::Reported { message: "the guest ended without an answer".to_owned() };
    assert_eq!(ask(&guest, "/n").await.err().unwrap(), silent);
    let memory = CallError::LimitExceeded { limit: "`memory_bytes` of 8388608".to_owned() };
    assert_eq!(ask(&guest, "/m").await.err().unwrap(), memory);
    let handles = CallError::LimitExceeded { limit: "`component_handles`".to_owned() };
    assert_eq!(ask(&guest, "/r").await.err().unwrap(), handles);
    assert_eq!(guest.running(), 0);
    neighbour_answers().await;
}

#[tokio::test]
async fn neither_computing_nor_sleeping_outlasts_the_deadline() {
    let guest = http_guest().await;
    for path in ["/s", "/p"] {
        let error = ask_within(&guest, path, within(Duration::from_millis(100))).await.err().unwrap();
        assert_eq!(error.code(), "deadline_exceeded", "{path}");
    }
    eventually("all have ended", || guest.running() == 0).await;
    neighbour_answers().await;
}

#[tokio::test]
async fn a_guest_that_fails_after_its_head_breaks_the_body_off_with_the_cause() {
    let guest = http_guest().await;
    let answer = ask_within(&guest, "/w", within(Duration::from_millis(200))).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    let error = body.frame().await.unwrap().unwrap_err().downcast::<CallError>().unwrap();
    assert_eq!(error.code(), "deadline_exceeded");
    // Where nothing of the answer has left, there is none. Another guest: one that computed for long goes on beside its caller,
    // who may have the head before it fails.
    let guest = http_guest().await;
    let error = ask(&guest, "/l").await.err().unwrap();
    assert_eq!(error.code(), "trap");
    ends(&guest).await;
}

/// Tells what it was told.
struct Told(tokio::sync::mpsc::UnboundedSender<(bool, String)>);

impl Watch for Told {
    fn ended(self, outcome: Result<(), &CallError>) {
        self.0.send((false, outcome.map_or_else(|error| error.code().to_owned(), |()| "ok".to_owned()))).unwrap();
    }

    fn ended_afterwards(self, outcome: Result<(), &CallError>) {
        self.0.send((true, outcome.map_or_else(|error| error.code().to_owned(), |()| "ok".to_owned()))).unwrap();
    }
}

#[tokio::test]
async fn whoever_watches_hears_once_how_all_of_it_ended() {
    let guest = http_guest_with(GuestLimits { cpu_time: Duration::from_millis(100), ..limits() }).await;
    let time = |name| Time { limit: Duration::from_secs(5), name };
    let terms = HttpTerms { max_body: 1000, head: time("head"), pause: time("pause") };
    for (path, expected) in [
        ("/h", Some((true, "ok"))),
        ("/l", None), // told to whoever asked
        ("/w", Some((false, "limit_exceeded"))),
        ("/a", Some((true, "limit_exceeded"))),
    ] {
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let mut watch = Some(Told(told));
        let answer = guest.answer_http(request(path, empty()), terms, context(), &mut watch).await;
        assert_eq!(watch.is_none(), answer.is_ok(), "{path}: taken with the answer");
        drop(watch);
        if let Ok(answer) = answer {
            let _ = answer.into_body().collect().await;
        }
        let heard = hears.recv().await;
        assert_eq!(heard.as_ref().map(|(late, code)| (*late, code.as_str())), expected, "{path}");
        assert_eq!(hears.recv().await, None, "{path}: once");
    }
    // One who leaves is no failure of the guest.
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let mut watch = Some(Told(told));
    drop(guest.answer_http(request("/w", empty()), terms, context(), &mut watch).await.unwrap());
    assert_eq!(hears.recv().await, None);
}

#[tokio::test]
async fn an_answer_that_stands_still_is_cut_with_the_name_of_the_limit() {
    let guest = http_guest().await;
    let terms = HttpTerms {
        max_body: 0,
        head: Time { limit: Duration::from_secs(20), name: "head" },
        pause: Time { limit: Duration::from_millis(100), name: "`idle_ms` of the link" },
    };
    let answer = guest.answer_http(request("/w", empty()), terms, context(), &mut None::<()>).await.unwrap();
    let error = answer.into_body().collect().await.unwrap_err().downcast::<CallError>().unwrap();
    assert!(error.to_string().contains("stood still for 100ms (`idle_ms` of the link)"), "{error}");
}

#[tokio::test]
async fn a_request_that_names_nobody_is_malformed_and_no_fault_of_the_host() {
    let guest = http_guest().await;
    for host in ["a b", "b\u{fc}cher.test", "u@a", ""] {
        let mut request = request("/h", empty());
        *request.uri_mut() = "/h".parse().unwrap();
        request.headers_mut().insert("host", http::HeaderValue::from_bytes(host.as_bytes()).unwrap());
        let error = guest.handle_http(request, 1000, context()).await.err().unwrap();
        assert_eq!(error.code(), "malformed", "{host}: {error}");
    }
}

#[tokio::test]
async fn a_body_nobody_reads_ends_the_guest() {
    let guest = http_guest().await;
    let answer = ask(&guest, "/w").await.unwrap();
    assert_eq!(guest.running(), 1);
    drop(answer);
    ends(&guest).await;
}

#[tokio::test]
async fn a_guest_may_go_on_after_its_answer_is_complete_until_the_deadline() {
    let guest = http_guest().await;
    let answer = ask_within(&guest, "/a", within(Duration::from_millis(300))).await.unwrap();
    assert_eq!(text(answer).await, "hello");
    assert_eq!(guest.running(), 1, "still at work");
    ends(&guest).await;
}

#[tokio::test]
async fn a_component_that_logs_without_end_is_only_cut_short() {
    let guest = http_guest_with(GuestLimits { log_lines_per_call: 10, ..limits() }).await;
    assert_eq!(text(ask(&guest, "/g").await.unwrap()).await, "hello");
}

#[tokio::test]
async fn an_http_call_can_be_spawned() {
    let guest = http_guest().await;
    let call = tokio::spawn(async move { guest.handle_http(request("/h", empty()), 1000, context()).await });
    assert_eq!(text(call.await.unwrap().unwrap()).await, "hello");
}

/// A component whose `wasi:cli/run` does `body`, with `outer` around the core module.
fn running(outer: &str, imports: &str, with: &str, body: &str) -> String {
    format!(
        r#"(component
          {outer}
          (core module $main
            {imports}
            (func (export "run") (result i32) {body} (i32.const 0)))
          (core instance $main (instantiate $main {with}))
          (func $run (result (result)) (canon lift (core func $main "run")))
          (instance $export (export "run" (func $run)))
          (export "wasi:cli/run@0.2.3" (instance $export)))"#
    )
}

async fn limit_of(text: &str, limits: GuestLimits) -> String {
    let guest = support::load_with(text, limits).await;
    match guest.call("x", Bytes::new(), context()).await {
        Err(CallError::LimitExceeded { limit }) => limit,
        other => panic!("expected a broken limit, got {other:?}"),
    }
}

#[tokio::test]
async fn a_command_component_runs_for_a_message() {
    let guest = support::load(&running("", "", "", "")).await;
    assert_eq!(guest.call("x", Bytes::new(), context()).await.unwrap(), "");
}

#[tokio::test]
async fn core_instances_are_counted() {
    let outer = "(core module $m) (core instance (instantiate $m)) (core instance (instantiate $m))";
    let text = running(outer, "", "", "");
    support::load_with(&text, GuestLimits { core_instances: 3, ..limits() }).await;
    let limit = limit_of(&text, GuestLimits { core_instances: 2, ..limits() }).await;
    assert!(limit.starts_with("`core_instances`"), "{limit}");
}

#[tokio::test]
async fn handles_of_the_guests_own_resources_are_counted() {
    let outer = "(type $r (resource (rep i32))) (core func $new (canon resource.new $r))";
    let text = running(
        outer,
        r#"(import "e" "new" (func $new (param i32) (result i32)))"#,
        r#"(with "e" (instance (export "new" (func $new))))"#,
        "(loop $l (drop (call $new (i32.const 1))) (br $l))",
    );
    assert_eq!(limit_of(&text, limits()).await, "`component_handles`");
}

#[tokio::test]
async fn what_one_host_call_copies_is_bounded() {
    let outer = r#"
      (import "wasi:logging/logging" (instance $log
        (type $level (enum "trace" "debug" "info" "warn" "error" "critical"))
        (export "level" (type $l (eq $level)))
        (export "log" (func (param "level" $l) (param "context" string) (param "message" string)))))
      (core module $memory (memory (export "memory") 64))
      (core instance $memory (instantiate $memory))
      (alias core export $memory "memory" (core memory $shared))
      (core func $write (canon lower (func $log "log") (memory $shared)))"#;
    let text = running(
        outer,
        r#"(import "e" "log" (func $log (param i32 i32 i32 i32 i32)))"#,
        r#"(with "e" (instance (export "log" (func $write))))"#,
        "(call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2000000))",
    );
    assert_eq!(limit_of(&text, limits()).await, "`payload_bytes` in one call of a host function");
}

#[tokio::test]
async fn a_result_on_standard_output_is_bounded() {
    let wasm = &include_bytes!("../guests/component_actor.wasm")[..];
    let limits = GuestLimits { response_bytes: 10, ..limits() };
    let guest = runtime().load(wasm.into(), support::identity(), limits).await.unwrap();
    // Longer results of calls out are refused already, so let the host's refusal be what is too long.
    let answer = answering(|_| Ok("ten bytes.".into()));
    assert_eq!(guest.call("x", Bytes::new(), answer).await.unwrap(), "ten bytes.");
    let answer = answering(|_| Ok("eleven bytes".into()));
    let error = guest.call("x", Bytes::new(), answer).await.unwrap_err();
    assert!(error.to_string().contains("`response_bytes` of 10"), "{error}");
}
