//! One listening socket and its connections.
//!
//! Speaks HTTP/1.1 and, by prior knowledge, HTTP/2 without TLS. Knows no links beyond its route table. Invariant: every
//! connection is a task of the accept task, which ends only after the last of them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use provider_sdk::{Actors, LinkRefused, claims::ActorId};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    alarm::Alarm,
    connections::{Connections, Place},
    detach::detached,
    limits::{Limits, WINDOW},
    routing::Route,
    serve::{Shared, serve},
    stream::{Refusal, Stream},
    turn::{Due, Places, Turn, Watch},
};

const BACKLOG: u32 = 1024;
/// Pause after the operating system could not give us a connection (out of file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Streams of one HTTP/2 connection that run at once.
const STREAMS: u32 = 256;
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// What one stream of HTTP/2 has in its connection, in bytes, for a client that does not read.
const SEND_BUFFER: usize = 64 << 10;
/// Time for an HTTP/2 client to hear that its connection ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A listener that serves its routes.
pub struct Ingress {
    address: SocketAddr,
    shared: Arc<Shared>,
    closing: CloseOnDrop,
    released: oneshot::Receiver<()>,
    accepting: JoinHandle<()>,
}

/// A closed listener whose last requests run.
pub struct Draining(JoinHandle<()>);

impl Ingress {
    /// Opens the socket and starts accepting; the port counts as ours when this returns.
    pub fn bind(address: SocketAddr, actors: Arc<dyn Actors>, limits: Limits) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let shared = Arc::new(Shared { routes: RwLock::default(), actors, limits });
        let closing = Arc::new(Closing::default());
        let (release, released) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), Arc::clone(&closing), release));
        Ok(Self { address, shared, closing: CloseOnDrop(closing), released, accepting })
    }

    /// Serves a route, in place of the one its actor had here.
    pub fn put(&mut self, route: Arc<Route>) -> Result<(), LinkRefused> {
        let mut routes = self.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        let changed = routes.with(route).map_err(|taken| LinkRefused::Unavailable {
            reason: format!(
                "`{}` serves actor `{}` already; give one of them a `host` or `path` of its own, or another address",
                self.address, taken.by
            ),
        })?;
        *routes = Arc::new(changed);
        Ok(())
    }

    /// Stops serving an actor; true when nobody is left.
    pub fn remove(&mut self, actor: &ActorId) -> bool {
        let mut routes = self.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        *routes = Arc::new(routes.without(actor));
        routes.is_empty()
    }

    /// Whether connections are being accepted.
    pub fn is_listening(&self) -> bool {
        !self.accepting.is_finished()
    }

    /// Releases the port, which is free when this returns. Idle connections end; requests that run go on, for
    /// as long as
    /// `drain` says.
    pub async fn close(self, drain: Duration) -> Draining {
        self.closing.0.drain(drain);
        drop(self.closing);
        // An error means that the accept task has ended, and the socket with it.
        let _ = self.released.await;
        Draining(self.accepting)
    }
}

impl Draining {
    /// Waits for the last connection, at most as long as was said.
    pub async fn wait(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the accept task failed");
        }
    }
}

/// An ingress that is dropped closes like one that is closed, only unobserved.
struct CloseOnDrop(Arc<Closing>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Tells every connection once that it should end.
#[derive(Default)]
struct Closing {
    closed: AtomicBool,
    told: Notify,
    /// Milliseconds for requests that run, and one more; zero where nobody said.
    drain: AtomicU64,
}

impl Closing {
    fn drain(&self, drain: Duration) {
        let millis = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
        self.drain.store(millis.saturating_add(1), Ordering::SeqCst);
    }

    fn time(&self, default: Duration) -> Duration {
        self.drain.load(Ordering::SeqCst).checked_sub(1).map_or(default, Duration::from_millis)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    async fn closed(&self) {
        let mut told = pin!(self.told.notified());
        // Counted from here on, so that a close between the check and the wait is not missed.
        told.as_mut().enable();
        if !self.is_closed() {
            told.await;
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, closing: Arc<Closing>, release: oneshot::Sender<()>) {
    let (mut connections, places) = (Connections::default(), Arc::<Places>::default());
    let mut closed = pin!(closing.closed());
    let mut waits: Option<(TcpStream, IpAddr)> = None;
    loop {
        tokio::select! {
            () = &mut closed => break,
            Some(()) = connections.ended() => {}
            () = places.left(), if waits.is_some() => {}
            accepted = listener.accept(), if waits.is_none() => match accepted {
                Ok((stream, peer)) => waits = Some((stream, peer.ip().to_canonical())),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        // Wanted before anybody is asked, so that none that becomes idle meanwhile is missed.
        places.want(waits.is_some());
        let Some((stream, client)) = waits.take() else { continue };
        match connections.place(client, &shared.limits) {
            Place::Free => {
                let turn = Turn::new(places.clone(), &shared.limits);
                let connection = connection(stream, turn.clone(), Arc::clone(&shared), Arc::clone(&closing));
                connections.begin(client, turn, connection);
                places.want(false);
            }
            Place::Later => waits = Some((stream, client)),
            Place::Refused => refuse(&stream, client),
        }
    }
    drop(listener);
    // Nobody waits for it when the ingress was dropped instead of closed.
    let _ = release.send(());
    let drain = Instant::now() + closing.time(shared.limits.drain);
    while let Ok(Some(())) = timeout_at(drain, connections.ended()).await {}
    if connections.count() > 0 {
        tracing::warn!(connections = connections.count(), "ending connections that still have requests running");
    }
    connections.shutdown().await;
}

/// A client all of whose connections are busy is told so, as far as it listens.
fn refuse(stream: &TcpStream, client: IpAddr) {
    tracing::debug!(%client, "too many connections of one client");
    let line = "busy: this address has as many connections as it may have, and all of them are in use\n";
    let _ = stream.try_write(&whole("503 Service Unavailable", "retry-after: 1\r\n", line));
}

/// A whole answer that ends its connection.
fn whole(status: &str, more: &str, line: &str) -> Bytes {
    let length = line.len();
    Bytes::from(format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{more}content-type: text/plain; charset=utf-8\r\n\
         content-length: {length}\r\n\r\n{line}"
    ))
}

/// What is said of a head that was not read.
fn say(refusal: Refusal) -> Bytes {
    match refusal {
        Refusal::Unreadable => whole("400 Bad Request", "", "bad_request: the head of the request is not HTTP/1.1\n"),
        Refusal::TooLarge => whole(
            "431 Request Header Fields Too Large",
            "",
            "head_too_large: the head of the request exceeds `max_header_bytes`, or 100 fields\n",
        ),
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// One connection, to its end. How a client breaks its connection is its own business and not logged as a problem.
async fn connection(stream: TcpStream, turn: Arc<Turn>, shared: Arc<Shared>, closing: Arc<Closing>) {
    let limits = shared.limits;
    let protocol = tokio::select! {
        protocol = timeout(limits.header_timeout, sniff(&stream)) => protocol,
        () = closing.closed() => return,
    };
    let Ok(Ok(protocol)) = protocol else { return };
    // Small answers should not wait for an acknowledgement; a socket that refuses works all the same.
    let _ = stream.set_nodelay(true);
    let stream = Stream::new(TokioIo::new(stream), turn.clone(), say);
    let (alarm, theirs) = (Alarm::default(), turn.clone());
    // Detached before the connection reads on, so that it can use its buffer again.
    let service = service_fn(move |request| serve(Arc::clone(&shared), theirs.clone(), detached(request)));
    let ended = match protocol {
        Protocol::Http1 => {
            let mut server = http1::Builder::new();
            server.timer(alarm.clone()).header_read_timeout(limits.header_timeout).max_buf_size(limits.header_bytes);
            let connection = pin!(server.serve_connection(stream, service));
            let watch = Watch::new(turn, alarm, None);
            until_closing(connection, &closing, watch, |connection| connection.graceful_shutdown()).await
        }
        Protocol::Http2 => {
            let mut server = http2::Builder::new(TokioExecutor::new());
            server
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(limits.header_timeout)
                // Larger than what is let through, so that the refusal is ours.
                .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX).saturating_mul(2))
                .max_send_buf_size(SEND_BUFFER)
                .initial_stream_window_size(WINDOW)
                .max_concurrent_streams(STREAMS);
            let connection = pin!(server.serve_connection(stream, service));
            let watch = Watch::new(turn, alarm, Some(limits.header_timeout));
            until_closing(connection, &closing, watch, |connection| connection.graceful_shutdown()).await
        }
    };
    match ended {
        None => tracing::debug!("a client took nothing of its answer, or asked for nothing, for too long"),
        Some(Err(error)) => tracing::debug!(%error, "connection ended early"),
        Some(Ok(())) => {}
    }
}

/// Runs a connection and shuts it down gracefully once when the listener closes, or when nothing is asked for too long.
/// Between, a look at one flag per poll is all that closing costs: the task's waker is registered for it at the
/// first poll
/// only. None when its client holds it up.
async fn until_closing<C: Future>(
    mut connection: Pin<&mut C>,
    closing: &Closing,
    mut watch: Watch,
    shut: fn(Pin<&mut C>),
) -> Option<C::Output> {
    let mut closed = pin!(closing.closed());
    let (mut registered, mut shutting) = (false, false);
    let mut last_words: Option<Pin<Box<tokio::time::Sleep>>> = None;
    std::future::poll_fn(|cx| {
        if !shutting && (!registered || closing.is_closed()) {
            registered = true;
            if closed.as_mut().poll(cx).is_ready() {
                shutting = true;
                shut(connection.as_mut());
            }
        }
        if let Poll::Ready(output) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if let Some(last_words) = &mut last_words {
            return last_words.as_mut().poll(cx).map(|()| None);
        }
        match watch.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Due::Stalled) => Poll::Ready(None),
            Poll::Ready(Due::Idle) => {
                shut(connection.as_mut());
                last_words = Some(Box::pin(sleep(LAST_WORDS)));
                // Both want to be asked again, now that something has changed.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

enum Protocol {
    Http1,
    Http2,
}

/// Looks at the first bytes without taking them. HTTP/2 is chosen only once its whole preface is there, because that
/// server would wait for the rest without limit.
async fn sniff(stream: &TcpStream) -> io::Result<Protocol> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    loop {
        let mut first = [0; PREFACE.len()];
        let length = stream.peek(&mut first).await?;
        if length == 0 || !PREFACE.starts_with(&first[..length]) {
            return Ok(Protocol::Http1);
        }
        if length == PREFACE.len() {
            return Ok(Protocol::Http2);
        }
        // A part of the preface is rare, and the arrival of the rest behind unread bytes cannot be awaited.
        sleep(Duration::from_millis(5)).await;
    }
}
