//! The clients over the control socket, against a small HTTP server in place of a host.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use claims::{ActorId, HostId, KeyKind, KeyPair};
use contracts::CallError;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use lattice::{
    LatticeId,
    client::{ControlClient, RpcClient},
    control::{Ack, AuctionActor, HostSummary, encode},
    event::{ConfigChanged, Event, EventData},
    invocation::{Entity, Invocation, InvocationResponse},
    subject::{ControlRoot, ControlSubject, RpcSubject},
};
use tempfile::TempDir;
use tokio::{net::UnixListener, task::JoinHandle};

const TIMEOUT: Duration = Duration::from_secs(60);

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// One request: method, path, body.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    method: String,
    path: String,
    body: Bytes,
}

struct FakeHost {
    directory: TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl FakeHost {
    fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket(directory.path())).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                    async move {
                        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let asked = Asked { method, path, body };
                        log.lock().unwrap().push(asked.clone());
                        Ok::<_, Infallible>(answer(&asked))
                    }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { directory, asked, task }
    }

    fn socket(&self) -> PathBuf {
        socket(self.directory.path())
    }

    fn control(&self) -> ControlClient {
        ControlClient::socket(self.socket(), root(), TIMEOUT)
    }

    fn rpc(&self) -> RpcClient {
        RpcClient::socket(self.socket(), LatticeId::default())
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("host.sock")
}

fn root() -> ControlRoot {
    ControlRoot::new(LatticeId::default())
}

fn host_id() -> HostId {
    KeyPair::generate(KeyKind::Server).public().try_into().unwrap()
}

fn actor_id() -> ActorId {
    KeyPair::generate(KeyKind::Module).public().try_into().unwrap()
}

fn answer(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).body(Full::new(body.into()).boxed()).unwrap()
}

fn ok(body: impl Into<Bytes>) -> Answer {
    answer(StatusCode::OK, body)
}

fn call(to: ActorId, payload: Bytes) -> Invocation {
    let cluster = KeyPair::generate(KeyKind::Cluster);
    Invocation::issue(Entity::actor(&to), Entity::actor(&to), "Test.Do", payload, &cluster, &host_id(), 0).unwrap()
}

#[tokio::test]
async fn a_request_is_a_post_to_its_subject() {
    let id = host_id();
    let host = FakeHost::start(move |_| ok(encode(&HostSummary { peers: Some(vec![]), ..HostSummary::new(id) })));
    let hosts = host.control().hosts().await.unwrap();
    assert_eq!((hosts.replies[0].id, hosts.complete), (id, true));
    let path = "/wasmbus.ctl.default.ping.hosts".to_owned();
    assert_eq!(host.asked(), [Asked { method: "POST".into(), path, body: Bytes::new() }]);
}

#[tokio::test]
async fn the_body_is_the_payload_and_a_refusal_is_passed_on() {
    let host = FakeHost::start(|_| ok(encode(&Ack::refused("not today"))));
    let id = host_id();
    let error = host.control().put_label(&id, "a", "b").await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("refused", "not today"));
    assert_eq!(host.asked()[0].path, format!("/{}", ControlSubject::PutLabel(id).render(&root())));
    assert_eq!(host.asked()[0].body, r#"{"key":"a","value":"b"}"#);
}

#[tokio::test]
async fn revocations_go_over_the_socket_as_well() {
    let host = FakeHost::start(|asked| match asked.path.ends_with("revocations.put") {
        true => ok(encode(&Ack::accepted())),
        false => ok(r#"{"lists":[{"signer":"C","number":3,"token":"t"}]}"#),
    });
    host.control().put_revocations("t").await.unwrap();
    assert_eq!(host.asked()[0].body, r#"{"token":"t"}"#);
    let lists = host.control().revocations().await.unwrap();
    assert_eq!((lists.len(), lists[0].number, lists[0].token.as_str()), (1, 3, "t"));
}

#[tokio::test]
async fn a_host_that_sends_pages_without_end_is_given_up_on() {
    let host = FakeHost::start(|_| ok(r#"{"lists":[],"more":"again"}"#));
    let error = host.control().revocations().await.unwrap_err();
    assert_eq!(error.code(), "undecodable_reply");
    assert_eq!(host.asked().len(), 512);
}

#[tokio::test]
async fn a_subject_that_nobody_handles_is_told_apart_from_a_silent_one() {
    let host = FakeHost::start(|asked| match asked.path.ends_with("auction.actor") {
        true => answer(StatusCode::NO_CONTENT, ""),
        false => answer(StatusCode::NOT_FOUND, ""),
    });
    let control = host.control();
    assert_eq!(control.claims().await.unwrap_err().code(), "no_host");
    assert_eq!(control.inventory(&host_id()).await.unwrap_err().code(), "host_absent");
    let auction = AuctionActor { actor_ref: "x".into(), constraints: [].into() };
    assert_eq!(control.first_actor_bid(&auction).await.unwrap(), None);
}

#[tokio::test]
async fn without_a_host_the_socket_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket(directory.path());
    let control = ControlClient::socket(&path, root(), TIMEOUT);
    for leftover in [false, true] {
        if leftover {
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        }
        let error = control.claims().await.unwrap_err();
        assert_eq!(error.code(), "control_socket_unreachable");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_costs_the_timeout() {
    let directory = tempfile::tempdir().unwrap();
    let _silent = UnixListener::bind(socket(directory.path())).unwrap();
    let timeout = Duration::from_millis(100);
    let started = Instant::now();
    let control = ControlClient::socket(socket(directory.path()), root(), timeout);
    assert_eq!(control.claims().await.unwrap_err().to_string(), "no answer to `get claims` within 100ms");
    assert!(started.elapsed() >= timeout && started.elapsed() < TIMEOUT / 2);
    assert_eq!(control.events().await.err().unwrap().code(), "timed_out");
}

#[tokio::test]
async fn a_fault_of_the_host_is_told_with_its_words() {
    let host = FakeHost::start(|_| answer(StatusCode::INTERNAL_SERVER_ERROR, "out of cheese"));
    let error = host.control().claims().await.unwrap_err();
    assert_eq!(error.code(), "disconnected");
    assert!(error.to_string().contains("out of cheese"), "{error}");
}

#[tokio::test]
async fn events_come_as_lines_in_any_pieces_until_the_host_is_gone() {
    let event = |key: &str| {
        let data = EventData::ConfigSet(ConfigChanged { entity_id: "M".into(), key: key.into() });
        Event::new(&host_id(), SystemTime::now(), data)
    };
    let (one, two) = (event("one"), event("two"));
    let text = [&one.to_json()[..], b"\n", b"nonsense\n\n", &two.to_json(), b"\n"].concat();
    let pieces: Vec<Bytes> = text.chunks(7).map(Bytes::copy_from_slice).collect();
    let host = FakeHost::start(move |asked| {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/events"));
        let frames = pieces.clone().into_iter().map(|piece| Ok(Frame::data(piece)));
        Response::new(BodyExt::boxed(StreamBody::new(stream::iter(frames).chain(stream::pending()))))
    });
    let mut events = host.control().events().await.unwrap();
    assert_eq!(events.next().await.unwrap().id, one.id);
    assert_eq!(events.next().await.unwrap().id, two.id);
    drop(host);
    assert_eq!(tokio::time::timeout(TIMEOUT, events.next()).await.unwrap(), None);
}

#[tokio::test]
async fn calls_of_any_size_travel_in_the_message() {
    let host = FakeHost::start(|asked| {
        let call = Invocation::decode(&asked.body).unwrap();
        ok(InvocationResponse::success(&call.id, call.msg).encode())
    });
    let actor = actor_id();
    let payload = Bytes::from(vec![7; 5_000_000]);
    let result = host.rpc().invoke(&RpcSubject::Actor(actor), call(actor, payload.clone()), TIMEOUT).await.unwrap();
    assert!(result == payload);
    assert_eq!(host.asked()[0].path, format!("/wasmbus.rpc.default.{actor}"));
}

#[tokio::test]
async fn a_failed_call_keeps_its_code() {
    let host = FakeHost::start(|asked| {
        let call = Invocation::decode(&asked.body).unwrap();
        let mut answer = ok(InvocationResponse::failure(&call.id, "busy now").encode());
        answer.headers_mut().insert("lattice-error", "busy".parse().unwrap());
        answer
    });
    let actor = actor_id();
    let error = host.rpc().invoke(&RpcSubject::Actor(actor), call(actor, Bytes::new()), TIMEOUT).await.unwrap_err();
    assert_eq!(error, CallError::Remote { code: "busy".into(), message: "busy now".into() });
}

#[tokio::test]
async fn calls_say_whether_the_target_or_the_host_is_missing() {
    let host = FakeHost::start(|_| answer(StatusCode::NOT_FOUND, ""));
    let (actor, rpc) = (actor_id(), host.rpc());
    let invoke = async || rpc.invoke(&RpcSubject::Actor(actor), call(actor, Bytes::new()), TIMEOUT).await;
    assert_eq!(invoke().await.unwrap_err(), CallError::NotRunning { target: actor.to_string() });
    std::fs::remove_file(host.socket()).unwrap();
    assert_eq!(invoke().await.unwrap_err().code(), "unreachable");
}
