//! A web server that answers as a test says, also in ways no decent server would, and notes what it was asked.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query, or the whole address when a proxy was meant.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What is answered.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub content: Content,
}

pub enum Content {
    Whole(Bytes),
    /// Announces `of` bytes and breaks off after these.
    Broken {
        bytes: Bytes,
        of: u64,
    },
    /// No length announced.
    Chunked(Bytes),
    /// The same again and again, for ever.
    Endless(Bytes),
    /// Announced as a whole, and a byte of it every so often.
    Drips {
        bytes: Bytes,
        every: Duration,
    },
    /// Nothing, ever.
    Hangs,
}

impl Answer {
    pub fn new(status: u16, content: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), content: Content::Whole(content.into()) }
    }
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
    pub fn content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }
}

type Handler = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, io::Error>;

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(None, handler).await
    }

    pub async fn start_with(
        tls: Option<TlsAcceptor>,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, tls, Arc::new(handler), seen.clone()));
        Self { address, seen, task }
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panics").clone()
    }

    /// How many requests had this in their path.
    pub fn count(&self, part: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path.contains(part)).count()
    }

    /// From now on nobody listens here.
    pub async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Handler, seen: Arc<Mutex<Vec<Seen>>>) {
    // Dropped with this task, and the connections with them.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (tls, handler, seen) = (tls.clone(), handler.clone(), seen.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, handler, seen).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, handler, seen).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: Handler,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, seen) = (handler.clone(), seen.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            // HTTP/2 always says the whole address; in HTTP/1 only a proxy is told one.
            let path = match head.uri.scheme_str() {
                Some("https") => head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                _ => head.uri.to_string(),
            };
            let request = Seen { method: head.method.to_string(), path, headers: head.headers, body };
            seen.lock().expect("no panics").push(request.clone());
            let answer = handler(&request);
            if matches!(answer.content, Content::Hangs) {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(respond(answer))
        }
    });
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let frames = |pieces: Vec<io::Result<Bytes>>| stream::iter(pieces).map(|piece| piece.map(Frame::data));
    let body = match answer.content {
        Content::Whole(bytes) => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
        Content::Broken { bytes, of } => {
            response = response.header("content-length", of);
            // What is there goes out whenever there is nothing more for now; only then the connection ends.
            let gap = stream::once(async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                Err(io::Error::other("broken on purpose"))
            });
            BodyExt::boxed_unsync(StreamBody::new(frames(vec![Ok(bytes)]).chain(gap)))
        }
        Content::Chunked(bytes) => BodyExt::boxed_unsync(StreamBody::new(frames(vec![Ok(bytes)]))),
        Content::Endless(bytes) => {
            BodyExt::boxed_unsync(StreamBody::new(stream::repeat(bytes).map(|piece| Ok(Frame::data(piece)))))
        }
        Content::Drips { bytes, every } => {
            response = response.header("content-length", bytes.len());
            let drops = stream::unfold((bytes, tokio::time::interval(every)), |(mut rest, mut pace)| async move {
                pace.tick().await;
                let drop = (!rest.is_empty()).then(|| rest.split_to(1))?;
                Some((Ok(Frame::data(drop)), (rest, pace)))
            });
            BodyExt::boxed_unsync(StreamBody::new(drops))
        }
        Content::Hangs => Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync(),
    };
    response.body(body).expect("a response")
}
