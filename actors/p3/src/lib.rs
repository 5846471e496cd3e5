//! Example actor: a WASI 0.3 component that answers HTTP as streams.
//!
//! - `POST`: the request body, streamed back chunk by chunk while it arrives, with the trailers of the request and one of
//!   its own, `x-bytes`.
//! - `GET /out`: what `http://elsewhere.test/thing` answers.
//! - `GET /count`: how many requests this instance has begun; `GET /meet`: an answer once two are in it at once.
//! - `GET /clock?20`: so many milliseconds, waited by a clock of WASI 0.3, measured by one of WASI 0.2.
//! - `GET /reach?80`: how much of the machine there is: directories, a connection to that port, a name.
//! - What [`misbehave`] lists: what a host must survive.
//! - Any other `GET`: a greeting that names the path.

use std::{cell::Cell, fmt::Debug, future::poll_fn, pin::Pin, task::Poll, time::Instant};

use wasip3::wit_bindgen::rt::async_support::{FutureReader, StreamReader, StreamResult};
use wasip3::{
    clocks::monotonic_clock,
    exports,
    filesystem::preopens,
    http::{
        client,
        types::{ErrorCode, Fields, Method, Request, Response, Scheme, Trailers},
    },
    sockets::{
        ip_name_lookup::resolve_addresses,
        types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket},
    },
    spawn_local, wit_future, wit_stream,
};

/// Most bytes moved by one read.
const CHUNK: usize = 64 * 1024;

const MILLISECOND: u64 = 1_000_000;

type Answer = Result<Response, ErrorCode>;
/// How a body ends: with trailers or without.
type Ending = Result<Option<Trailers>, ErrorCode>;

struct Guest;

wasip3::http::service::export!(Guest);

thread_local! {
    static BEGUN: Cell<u32> = const { Cell::new(0) };
    static WAITING: Cell<u32> = const { Cell::new(0) };
}

impl exports::http::handler::Guest for Guest {
    async fn handle(request: Request) -> Answer {
        BEGUN.set(BEGUN.get() + 1);
        if matches!(request.get_method(), Method::Post) {
            return Ok(echo(request));
        }
        let path = request.get_path_with_query().unwrap_or_else(|| "/".to_owned());
        match path.as_str() {
            "/out" => ask_elsewhere().await,
            "/count" => Ok(text(&BEGUN.get().to_string())),
            "/meet" => Ok(meet().await),
            "/cut" => Ok(beginning(async { std::process::abort() })),
            "/unfinished" => Ok(beginning(forever())),
            _ => {
                if let Some(time) = path.strip_prefix("/clock?") {
                    return Ok(wait(time.parse().unwrap_or_default()).await);
                }
                if let Some(port) = path.strip_prefix("/reach?") {
                    return Ok(text(&reach(port.parse().unwrap_or_default()).await));
                }
                misbehave(&path).await;
                Ok(text(&format!("hello from a component of WASI 0.3: {path}\n")))
            }
        }
    }
}

/// Streams the request body into the response body.
fn echo(request: Request) -> Response {
    let headers = Fields::new();
    let content_type = request.get_headers().get("content-type");
    if !content_type.is_empty() {
        set(&headers, "content-type", &content_type);
    }
    // Dropped, it says that the request was taken well.
    let (_taken, result) = wit_future::new(|| Ok(()));
    let (mut input, received) = Request::consume_body(request, result);
    let (mut out, body) = wit_stream::new();
    let (ending, ended) = wit_future::new::<Ending>(|| Ok(None));
    spawn_local(async move {
        let mut count = 0_usize;
        while let Some(bytes) = next(&mut input).await {
            count += bytes.len();
            if !out.write_all(bytes).await.is_empty() {
                return;
            }
        }
        drop(out);
        let trailers = received.await.map(|trailers| {
            let trailers = trailers.map_or_else(Fields::new, |trailers| trailers.clone());
            set(&trailers, "x-bytes", &[count.to_string().into_bytes()]);
            Some(trailers)
        });
        // Nobody reads it when the client has gone.
        drop(ending.write(trailers).await);
    });
    response(headers, Some(body), ended)
}

/// Passes on what somebody else answers, to a request with a body.
async fn ask_elsewhere() -> Answer {
    let (mut out, body) = wit_stream::new();
    let (ending, ended) = wit_future::new::<Ending>(|| Ok(None));
    drop(ending);
    let (request, _sent) = Request::new(Fields::new(), Some(body), ended, None);
    let named = [
        request.set_method(&Method::Put),
        request.set_scheme(Some(&Scheme::Http)),
        request.set_authority(Some("elsewhere.test")),
        request.set_path_with_query(Some("/thing")),
    ];
    assert!(named.iter().all(Result::is_ok), "all of them are well formed");
    spawn_local(async move {
        out.write_all(b"question".to_vec()).await;
    });
    let answer = client::send(request).await?;
    let status = answer.get_status_code();
    let (_taken, result) = wit_future::new(|| Ok(()));
    let (mut body, _trailers) = Response::consume_body(answer, result);
    let mut bytes = Vec::new();
    while let Some(more) = next(&mut body).await {
        bytes.extend(more);
    }
    Ok(text(&format!("{status} {}", String::from_utf8_lossy(&bytes))))
}

/// Waits until another request is waiting in this very instance.
async fn meet() -> Response {
    WAITING.set(WAITING.get() + 1);
    while WAITING.get() < 2 {
        monotonic_clock::wait_for(MILLISECOND).await;
    }
    text("met")
}

async fn wait(milliseconds: u64) -> Response {
    let began = Instant::now();
    monotonic_clock::wait_for(milliseconds.saturating_mul(MILLISECOND)).await;
    text(&began.elapsed().as_millis().to_string())
}

/// What there is of the machine, which is nothing unless it was granted.
async fn reach(port: u16) -> String {
    let directories = preopens::get_directories().len();
    let here = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) });
    let connected = match TcpSocket::create(IpAddressFamily::Ipv4) {
        Ok(socket) => socket.connect(here).await,
        Err(error) => Err(error),
    };
    let named = resolve_addresses("localhost".to_owned()).await.map(drop);
    format!("{directories} {} {}", outcome(connected), outcome(named))
}

fn outcome<E: Debug>(result: Result<(), E>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |()| "done".to_owned())
}

/// An answer of which there is only the beginning; then `after` happens.
fn beginning(after: impl Future<Output = ()> + 'static) -> Response {
    let (mut out, body) = wit_stream::new();
    let (ending, ended) = wit_future::new::<Ending>(|| Ok(None));
    spawn_local(async move {
        out.write_all(b"the beginning".to_vec()).await;
        after.await;
        drop((out, ending));
    });
    response(Fields::new(), Some(body), ended)
}

/// What a host must survive.
#[expect(clippy::infinite_loop, reason = "that is what they are for")]
async fn misbehave(path: &str) {
    match path {
        "/trap" => std::process::abort(),
        "/spin" => loop {
            std::hint::spin_loop();
        },
        "/never" => forever().await,
        "/memory" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1_u8; 1 << 20]);
                std::hint::black_box(&kept);
            }
        }
        "/handles" => loop {
            std::mem::forget(Fields::new());
        },
        "/streams" => loop {
            std::mem::forget(wit_stream::new::<u8>());
        },
        "/tasks" => loop {
            // One that nobody waits for.
            let mut sleep = Box::pin(monotonic_clock::wait_for(1_000_000 * MILLISECOND));
            poll_once(sleep.as_mut()).await;
            std::mem::forget(sleep);
        },
        "/log" => loop {
            eprintln!("again and again");
        },
        "/busy" => loop {
            monotonic_clock::wait_for(0).await;
        },
        _ => {}
    }
}

async fn forever() {
    loop {
        monotonic_clock::wait_for(3_600_000 * MILLISECOND).await;
    }
}

/// Polls once, and leaves it at that.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        let _ = future.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// What comes next, until the end.
async fn next(stream: &mut StreamReader<u8>) -> Option<Vec<u8>> {
    let (result, bytes) = stream.read(Vec::with_capacity(CHUNK)).await;
    match result {
        StreamResult::Complete(_) => Some(bytes),
        StreamResult::Dropped | StreamResult::Cancelled => (!bytes.is_empty()).then_some(bytes),
    }
}

fn text(text: &str) -> Response {
    let headers = Fields::new();
    set(&headers, "content-type", &[b"text/plain; charset=utf-8".to_vec()]);
    let (mut out, body) = wit_stream::new();
    let (ending, ended) = wit_future::new::<Ending>(|| Ok(None));
    drop(ending);
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        out.write_all(text).await;
    });
    response(headers, Some(body), ended)
}

fn response(headers: Fields, body: Option<StreamReader<u8>>, ended: FutureReader<Ending>) -> Response {
    let (response, _sent) = Response::new(headers, body, ended);
    response
}

fn set(fields: &Fields, name: &str, values: &[Vec<u8>]) {
    assert!(fields.set(name, values).is_ok(), "`{name}` is a field that every host lets a guest set");
}
