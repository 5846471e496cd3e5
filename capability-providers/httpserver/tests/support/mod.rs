//! A provider with fake actors behind it, and clients that speak to it over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use provider_sdk::{
    Actors, HttpBody, HttpTerms, LinkRefused, Provider, Start,
    claims::{ActorId, KeyKind, ProviderId, PublicKey},
    contracts::{CallError, TraceContext, httpserver::CONTRACT},
    lattice::Link,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, Semaphore},
};

/// Nothing in these tests takes longer unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// An actor by number.
pub fn actor(number: u8) -> ActorId {
    ActorId::try_from(PublicKey::from_raw(KeyKind::Module, [number; 32])).unwrap()
}

/// An address on which nobody listens.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A link of an actor to the provider.
pub fn link(actor: ActorId, values: &[(&str, &str)]) -> Link {
    Link {
        actor_id: actor,
        provider_id: ProviderId::well_known("httpserver"),
        contract_id: CONTRACT.parse().unwrap(),
        link_name: "default".parse().unwrap(),
        values: values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

/// A provider with its fake actors.
pub struct World {
    pub provider: Arc<dyn Provider>,
    pub actors: Arc<FakeActors>,
}

impl World {
    pub fn new() -> Self {
        Self::with_config(None)
    }

    pub fn with_config(config: Option<&str>) -> Self {
        let actors = Arc::new(FakeActors::default());
        let start = Start {
            actors: actors.clone(),
            link_name: "default".parse().unwrap(),
            config: config.map(str::to_owned),
            data_dir: None,
        };
        let provider = (provider_httpserver::BUILTIN.start)(start).unwrap();
        Self { provider, actors }
    }

    /// Links an actor on a free address with further values.
    pub async fn linked(&self, number: u8, values: &[(&str, &str)]) -> SocketAddr {
        let address = free_address();
        self.put(number, address, values).await.unwrap();
        address
    }

    pub async fn put(&self, number: u8, address: SocketAddr, values: &[(&str, &str)]) -> Result<(), LinkRefused> {
        let address = address.to_string();
        let values: Vec<_> = [("address", address.as_str())].into_iter().chain(values.iter().copied()).collect();
        soon(self.provider.put_link(&link(actor(number), &values))).await
    }
}

/// Actors that answer by path, see [`FakeActors::answer`].
pub struct FakeActors {
    /// Requests to `/hang`, `/gate` or `/held` which have begun and not ended.
    running: Arc<Count>,
    /// Each permit lets one request to `/gate` go on.
    pub gate: Semaphore,
}

impl Default for FakeActors {
    fn default() -> Self {
        Self { running: Arc::default(), gate: Semaphore::new(0) }
    }
}

#[derive(Default)]
struct Count {
    running: AtomicUsize,
    /// Told whenever `running` changes.
    changed: Notify,
}

struct Running(Arc<Count>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl FakeActors {
    fn begin(&self) -> Running {
        self.running.running.fetch_add(1, Ordering::SeqCst);
        self.running.changed.notify_waiters();
        Running(self.running.clone())
    }

    /// Waits until this many requests to `/hang`, `/gate` or `/held` are running.
    pub async fn running(&self, count: usize) {
        soon(async {
            loop {
                let changed = self.running.changed.notified();
                if self.running.running.load(Ordering::SeqCst) == count {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    async fn answer(&self, actor: &ActorId, request: Request<HttpBody>) -> Result<Response<HttpBody>, CallError> {
        let path = request.uri().path().to_owned();
        let respond = Response::builder();
        match path.as_str() {
            "/hang" => {
                let _running = self.begin();
                std::future::pending().await
            }
            "/gate" => {
                let _running = self.begin();
                self.gate.acquire().await.unwrap().forget();
                Ok(respond.body(full("through")).unwrap())
            }
            "/stream" => Ok(respond.body(request.into_body()).unwrap()),
            "/swallow" => match request.into_body().collect().await {
                Ok(body) => Ok(respond.body(full(body.to_bytes().len().to_string())).unwrap()),
                Err(error) => Err(provider_sdk::contracts::http_message::broken(error)),
            },
            "/wrong-length" => Ok(respond
                .header(header::CONTENT_LENGTH, "2")
                .header(header::TRANSFER_ENCODING, "chunked")
                .header(header::CONNECTION, "upgrade")
                .body(full("longer than two"))
                .unwrap()),
            "/two-lengths" => Ok(respond
                .header(header::CONTENT_LENGTH, "3")
                .header(header::CONTENT_LENGTH, "4")
                .body(full("abc"))
                .unwrap()),
            "/informational" => Ok(respond.status(StatusCode::SWITCHING_PROTOCOLS).body(full("")).unwrap()),
            "/head-length" => Ok(respond.header(header::CONTENT_LENGTH, "1234").body(full("")).unwrap()),
            "/endless" => {
                let body = http_body_util::StreamBody::new(futures_util::stream::pending());
                Ok(respond.body(body.boxed_unsync()).unwrap())
            }
            "/held" => {
                let running = self.begin();
                let chunk = move |()| {
                    let _held = &running;
                    std::future::ready(Some((Ok(http_body::Frame::data(Bytes::from(vec![0; 64 << 10]))), ())))
                };
                let chunks = futures_util::stream::unfold((), chunk);
                Ok(respond.body(http_body_util::StreamBody::new(Box::pin(chunks)).boxed_unsync()).unwrap())
            }
            "/ticks" => {
                let tick = |number| async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    (number < 8).then(|| (Ok(http_body::Frame::data(Bytes::from_static(b"."))), number + 1))
                };
                let ticks = futures_util::stream::unfold(0, tick);
                Ok(respond.body(http_body_util::StreamBody::new(Box::pin(ticks)).boxed_unsync()).unwrap())
            }
            "/broken-at-once" => {
                let error = CallError::Trap { message: "unreachable".to_owned() };
                let frames = [Err(Box::<dyn std::error::Error + Send + Sync>::from(error))];
                let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
                Ok(respond.body(body.boxed_unsync()).unwrap())
            }
            "/short" => {
                let frames = [Ok(http_body::Frame::data(Bytes::from_static(b"begun")))];
                let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
                Ok(respond.header(header::CONTENT_LENGTH, "10").body(body.boxed_unsync()).unwrap())
            }
            path if path.starts_with("/status/") => {
                let status: u16 = path["/status/".len()..].parse().unwrap();
                let mut respond = respond.status(status);
                if request.uri().query() == Some("length") {
                    respond = respond.header(header::CONTENT_LENGTH, "99");
                }
                Ok(respond.body(full("body")).unwrap())
            }
            "/own-cache" => Ok(respond.header(header::CACHE_CONTROL, "no-store").body(full("")).unwrap()),
            "/failing-body" => {
                let frames = [Ok(http_body::Frame::data(Bytes::from_static(b"begun"))), Err("lost".into())];
                let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
                Ok(respond.body(body.boxed_unsync()).unwrap())
            }
            _ => match path.strip_prefix("/fail/") {
                Some(code) => Err(failure(code)),
                None => describe(actor, request).await,
            },
        }
    }
}

#[async_trait]
impl Actors for FakeActors {
    async fn call(
        &self,
        _: &ActorId,
        operation: &str,
        _: Bytes,
        _: Instant,
        _: TraceContext,
    ) -> Result<Bytes, CallError> {
        Err(CallError::Unsupported { target: "fake".to_owned(), operation: operation.to_owned() })
    }

    async fn handle_http(
        &self,
        actor: &ActorId,
        request: Request<HttpBody>,
        _: HttpTerms,
    ) -> Result<Response<HttpBody>, CallError> {
        self.answer(actor, request).await
    }
}

/// The errors that `/fail/{code}` produces; any other code comes from another host.
fn failure(code: &str) -> CallError {
    let target = || "MABC".to_owned();
    match code {
        "busy" => CallError::Busy { target: target(), limit: 3 },
        "deadline_exceeded" => CallError::DeadlineExceeded { step: "running the guest".to_owned() },
        "not_running" => CallError::NotRunning { target: target() },
        "trap" => CallError::Trap { message: "unreachable".to_owned() },
        "limit_exceeded" => CallError::LimitExceeded { limit: "memory of 64 MiB".to_owned() },
        code => CallError::Remote { code: code.replace("remote_", ""), message: "from elsewhere".to_owned() },
    }
}

/// What an actor saw, line by line.
async fn describe(actor: &ActorId, request: Request<HttpBody>) -> Result<Response<HttpBody>, CallError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut text = format!("actor {actor}\ntarget {} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        text += &format!("header {name}: {}\n", value.to_str().unwrap());
    }
    text += &format!("body {}\n", String::from_utf8_lossy(&body));
    Ok(Response::builder().header("x-from", "actor").body(full(&text)).unwrap())
}

/// A body that is known as a whole.
pub fn full(text: impl Into<String>) -> HttpBody {
    Full::new(Bytes::from(text.into())).map_err(|never| match never {}).boxed_unsync()
}

/// Fails the test instead of hanging it.
pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("this ends soon")
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Self {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body: String::from_utf8(soon(body.collect()).await.unwrap().to_bytes().to_vec()).unwrap(),
        }
    }
}

/// A request without body.
pub fn request(method: Method, address: SocketAddr, path: &str) -> Request<HttpBody> {
    let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::builder().method(method).uri(path).header(header::HOST, address.to_string()).body(empty).unwrap()
}

/// One HTTP/1.1 connection.
pub struct Client(hyper::client::conn::http1::SendRequest<HttpBody>);

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TokioIo::new(soon(TcpStream::connect(address)).await.unwrap());
        let (client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    pub async fn try_send(&mut self, request: Request<HttpBody>) -> hyper::Result<Response<Incoming>> {
        soon(async {
            self.0.ready().await?;
            self.0.send_request(request).await
        })
        .await
    }

    pub async fn send(&mut self, request: Request<HttpBody>) -> Answer {
        Answer::read(self.try_send(request).await.unwrap()).await
    }
}

/// Sends one request on a connection of its own.
pub async fn send(address: SocketAddr, request: Request<HttpBody>) -> Answer {
    Client::connect(address).await.send(request).await
}

/// `GET` on a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, request(Method::GET, address, path)).await
}

/// `POST` with a body on a connection of its own.
pub async fn post(address: SocketAddr, path: &str, body: HttpBody) -> Answer {
    send(address, request(Method::POST, address, path).map(|_| body)).await
}

/// Sends one request over HTTP/2 without TLS.
pub async fn send_http2(address: SocketAddr, request: Request<HttpBody>) -> Answer {
    let stream = TokioIo::new(soon(TcpStream::connect(address)).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    Answer::read(soon(client.send_request(request)).await.unwrap()).await
}

/// Sends bytes as they are and reads until the other side closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = soon(TcpStream::connect(address)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end like any other.
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}
