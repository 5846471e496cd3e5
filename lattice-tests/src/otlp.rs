//! A receiver of spans, which reads what OTLP says.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use host::TracingConfig;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A protobuf message: its fields in order, numbers as little-endian bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                fields.push((tag >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).expect("a length"),
            kind => panic!("wire type {kind}"),
        };
        let (value, rest) = bytes.split_at(length);
        fields.push((tag >> 3, value.to_vec()));
        bytes = rest;
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        value |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint of more than 64 bits");
}

fn all(message: &[(u64, Vec<u8>)], field: u64) -> Vec<&[u8]> {
    message.iter().filter(|(number, _)| *number == field).map(|(_, value)| value.as_slice()).collect()
}

fn text(message: &[(u64, Vec<u8>)], field: u64) -> String {
    all(message, field).first().map(|value| String::from_utf8(value.to_vec()).expect("UTF-8")).unwrap_or_default()
}

fn number(message: &[(u64, Vec<u8>)], field: u64) -> u64 {
    all(message, field).first().map_or(0, |value| u64::from_le_bytes((*value).try_into().expect("eight bytes")))
}

fn attributes(message: &[(u64, Vec<u8>)], field: u64) -> BTreeMap<String, String> {
    let pair = |bytes: &[u8]| {
        let attribute = fields(bytes);
        (text(&attribute, 1), text(&fields(all(&attribute, 2)[0]), 1))
    };
    all(message, field).into_iter().map(pair).collect()
}

/// A span, as it was received.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "named as in OTLP")]
pub struct Span {
    pub service: String,
    pub instance: String,
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    pub parent: Vec<u8>,
    pub state: String,
    pub name: String,
    pub kind: u64,
    pub took: u64,
    pub attributes: BTreeMap<String, String>,
    pub error: String,
}

impl Span {
    /// Which hop it is of.
    #[must_use]
    pub fn hop(&self) -> &str {
        self.attributes.get("lattice.hop").map_or("", String::as_str)
    }
}

/// Every span of one request.
fn spans(body: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in all(&fields(body), 1) {
        let of_resource = fields(of_resource);
        let resource = attributes(&fields(all(&of_resource, 1)[0]), 1);
        for scoped in all(&of_resource, 2) {
            for span in all(&fields(scoped), 2) {
                let span = fields(span);
                let (began, ended) = (number(&span, 7), number(&span, 8));
                let status = all(&span, 15).first().map(|status| fields(status)).unwrap_or_default();
                spans.push(Span {
                    instance: resource["service.instance.id"].clone(),
                    service: resource["service.name"].clone(),
                    trace: all(&span, 1)[0].to_vec(),
                    id: all(&span, 2)[0].to_vec(),
                    parent: all(&span, 4).first().map(|id| id.to_vec()).unwrap_or_default(),
                    state: text(&span, 3),
                    name: text(&span, 5),
                    kind: number(&span, 6),
                    took: ended.checked_sub(began).expect("a span ends after it began"),
                    attributes: attributes(&span, 9),
                    error: text(&status, 2),
                });
            }
        }
    }
    spans
}

/// What the receiver asks for.
const TOKEN: &str = "Bearer of-a-test";

/// An OTLP/HTTP receiver.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Span>>>,
    away: Arc<AtomicBool>,
}

impl Receiver {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port for it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let receiver = Self { address, seen: Arc::default(), away: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = serving.clone();
                let service = service_fn(move |request| {
                    let receiver = receiver.clone();
                    async move { Ok::<_, Infallible>(receiver.take(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        receiver
    }

    async fn take(&self, request: Request<Incoming>) -> Response<Empty<Bytes>> {
        let mut response = Response::new(Empty::new());
        if self.away.load(Ordering::Relaxed) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        }
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        assert_eq!(request.headers()["authorization"], TOKEN);
        let body = request.collect().await.expect("a body").to_bytes();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(spans(&body));
        response
    }

    /// What hosts are told to send their spans here.
    #[must_use]
    pub fn config(&self, ratio: f64) -> TracingConfig {
        let headers = [(http::header::AUTHORIZATION, http::HeaderValue::from_static(TOKEN))].into_iter().collect();
        TracingConfig { endpoint: format!("http://{}/", self.address), headers, ratio }
    }

    /// Takes nothing for a while, or does again.
    pub fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// What it took.
    #[must_use]
    pub fn seen(&self) -> Vec<Span> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
