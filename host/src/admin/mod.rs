//! The admin pages: `/livez`, `/readyz`, `/metrics` and `/inventory`, read-only, over HTTP/1.1.
//!
//! Off unless an address is given. Nothing here changes the host, and no page has a secret in it. Invariant: a client,
//! slow or hostile, holds one of [`CONNECTIONS`] for no longer than [`EXCHANGE`], and nothing else of the host.

mod page;
mod readiness;
mod sources;
mod text;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lattice_state::buckets::StoreState;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use self::readiness::Facts;
pub use self::sources::Sources;
use crate::{process::lifetime::Lifetime, settings::AdminAddress, workloads::Workloads};

/// Connections served at once; more wait in the system's queue.
const CONNECTIONS: usize = 32;
/// Longest time from the start of a connection to its end. Each carries one request.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Longest wait for the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// Largest head of a request, bytes.
const HEAD_BYTES: usize = 16 << 10;
/// How long answers under way may take once the host has ended everything else.
const LAST_WORDS: Duration = Duration::from_millis(200);

type Page = Response<Full<Bytes>>;

/// The pages of one host.
pub struct Pages {
    sources: Arc<Sources>,
    workloads: Arc<Workloads>,
    store: watch::Receiver<StoreState>,
    synced: watch::Receiver<bool>,
    life: Lifetime,
    /// Pages that cost something are made one at a time.
    making: Semaphore,
}

/// Opens the address.
///
/// # Errors
/// The system's reason.
pub async fn open(address: AdminAddress) -> io::Result<TcpListener> {
    TcpListener::bind(address.0).await
}

impl Pages {
    /// Of a host with these rooms.
    #[must_use]
    pub fn new(
        sources: Arc<Sources>,
        workloads: Arc<Workloads>,
        store: watch::Receiver<StoreState>,
        synced: watch::Receiver<bool>,
        life: Lifetime,
    ) -> Arc<Self> {
        Arc::new(Self { sources, workloads, store, synced, life, making: Semaphore::new(1) })
    }
}

/// Serves until the host has ended everything else: while it stops, `/readyz` says so.
pub async fn serve(pages: Arc<Pages>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = pages.life.publishing.cancelled() => return,
            accepted = accepted => accepted,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, _))) => {
                pages.life.spawn(connection(pages.clone(), stream, place));
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "cannot accept on the admin address");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (Err(_), _) => return,
        }
    }
}

async fn connection(pages: Arc<Pages>, stream: TcpStream, _place: OwnedSemaphorePermit) {
    let ended = pages.life.publishing.clone();
    let service = service_fn(move |request| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(pages.answer(&request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).keep_alive(false);
    let exchange = http.serve_connection(TokioIo::new(stream), service);
    let last_words = async {
        ended.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        outcome = tokio::time::timeout(EXCHANGE, exchange) => if let Ok(Err(error)) = outcome {
            tracing::debug!(%error, "admin connection ended");
        },
        () = last_words => {}
    }
}

impl Pages {
    async fn answer(&self, request: &Request<Incoming>) -> Page {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness(),
            "/metrics" => self.made(text::MEDIA_TYPE, page::render).await,
            "/inventory" => self.made(JSON, |sources, _| json(&sources.inventory.everything())).await,
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /inventory\n"),
        }
    }

    fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn readiness(&self) -> Page {
        let facts = Facts {
            stopping: self.life.is_stopping(),
            synced: self.is_synced() || self.sources.nats.is_none(),
            resuming: self.workloads.resuming.left(),
        };
        let mut readiness = facts.judge();
        if let Some(reason) = self.store.borrow().refusal() {
            readiness.name_refusal(reason);
        }
        let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        page(status, JSON, json(&readiness))
    }

    /// A page about everything that runs, made where it holds nobody up.
    async fn made(&self, media_type: &'static str, make: fn(&Sources, bool) -> String) -> Page {
        let _turn = self.making.acquire().await;
        let (sources, synced) = (self.sources.clone(), self.is_synced());
        match tokio::task::spawn_blocking(move || make(&sources, synced)).await {
            Ok(body) => page(StatusCode::OK, media_type, body),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made\n"),
        }
    }
}

const JSON: &str = "application/json";

fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("plain data is JSON");
    text.push('\n');
    text
}

fn text(status: StatusCode, body: &str) -> Page {
    page(status, "text/plain; charset=utf-8", body.to_owned())
}

fn page(status: StatusCode, media_type: &'static str, body: String) -> Page {
    let mut page = Response::new(Full::new(body.into()));
    *page.status_mut() = status;
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
