//! Asking over HTTP, with a connection per request and a time limit.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::eventually;

/// More than any deadline a test sets for a call.
const LIMIT: Duration = Duration::from_secs(10);

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Whole body, as text.
    pub body: String,
}

/// One GET, whatever comes of it.
///
/// # Errors
/// When there is no complete answer within 10 s, and why.
pub async fn try_get(address: SocketAddr, path: &str) -> Result<Answer, String> {
    ask(address, Request::get(path), Bytes::new()).await
}

/// One GET that is answered in the end with 200: a link that was just put takes a moment to be served.
///
/// # Panics
/// When there is no such answer.
pub async fn get(address: SocketAddr, path: &str) -> String {
    eventually(&format!("200 for http://{address}{path}"), || async {
        match try_get(address, path).await {
            Ok(answer) if answer.status == StatusCode::OK => Ok(answer.body),
            Ok(answer) => Err(format!("{answer:?}")),
            Err(error) => Err(error),
        }
    })
    .await
}

/// One POST, whatever comes of it.
///
/// # Errors
/// As [`try_get`].
pub async fn post(address: SocketAddr, path: &str, body: impl Into<Bytes>) -> Result<Answer, String> {
    ask(address, Request::post(path), body.into()).await
}

/// One request with any headers, whatever comes of it.
///
/// # Errors
/// As [`try_get`].
pub async fn ask(address: SocketAddr, request: http::request::Builder, body: Bytes) -> Result<Answer, String> {
    let request =
        request.header("host", address.to_string()).body(Full::new(body)).map_err(|error| error.to_string())?;
    let exchange = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let connection = tokio::spawn(connection);
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            Ok(Answer { status: head.status, headers: head.headers, body })
        }
        .await;
        connection.abort();
        answer
    };
    timeout(LIMIT, exchange).await.map_err(|_| format!("no complete answer within {LIMIT:?}"))?
}
