//! A client of either version of HTTP, and what it saw.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

use crate::shapes::{Method2, Shape};

/// What a client saw of one answer.
#[derive(Debug, Clone)]
pub struct Seen {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    /// It broke off.
    pub is_cut: bool,
}

impl Seen {
    /// The code in the line of a refusal.
    pub fn code(&self) -> &str {
        if self.status < 500 { "ok" } else { self.body.split(':').next().unwrap_or_default() }
    }
}

/// One request.
pub async fn ask(address: SocketAddr, version: Version, request: Request<Full<Bytes>>) -> Seen {
    timeout(std::time::Duration::from_secs(20), exchange(address, version, request)).await.expect("it ends")
}

async fn exchange(address: SocketAddr, version: Version, mut request: Request<Full<Bytes>>) -> Seen {
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("it listens"));
    let response = if version == Version::HTTP_2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        let target = format!("http://{address}{}", request.uri()).parse().expect("a target");
        *request.uri_mut() = target;
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        request.headers_mut().insert("host", address.to_string().parse().expect("a value"));
        sender.send_request(request).await
    };
    let (head, mut body) = response.expect("a head, whatever becomes of the body").into_parts();
    let (mut text, mut is_cut) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Err(_) => {
                is_cut = true;
                break;
            }
        }
    }
    let body = String::from_utf8_lossy(&text).into_owned();
    Seen { status: head.status.as_u16(), headers: head.headers, body, is_cut }
}

/// Checks what a client saw, where answers are held in memory on their way or not.
pub fn check(what: &str, shape: &Shape, seen: &Seen, is_held: bool) {
    let (status, is_cut) = if is_held { (shape.held_status, false) } else { (shape.status, shape.is_cut) };
    assert_eq!((seen.status, seen.is_cut), (status, is_cut), "{what}: {seen:?}");
    if status >= 500 && shape.code != "ok" {
        assert_eq!(seen.code(), shape.code, "{what}: {seen:?}");
    }
    if shape.method == Method2::Head || matches!(status, 204 | 205 | 304) {
        assert_eq!(seen.body, "", "{what}");
    }
    let length = seen.headers.get("content-length").map(|value| value.to_str().expect("text"));
    match status {
        204 => assert_eq!(length, None, "{what}"),
        205 => assert!(length.is_none_or(|length| length == "0"), "{what}"),
        _ => {}
    }
}
