//! HTTP/1.1 over the control socket of the host on this machine.
//!
//! `POST /{subject}` is a request, `GET /events` a stream of lines. Knows no message. Invariants: one connection per
//! request, closed when its answer is read or abandoned; answers are bounded in size and time.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, task::JoinHandle};

use super::{ConnectError, ControlError, SocketPath};

/// Response header with the typed code of a failed call.
pub const ERROR_HEADER: &str = "lattice-error";
/// Where the events are.
pub const EVENTS_PATH: &str = "/events";

/// Largest request and largest answer, in bytes: of a call there is room for more than an actor may be given by default.
pub const MAX_BODY: usize = 256 << 20;
const MAX_EVENT_LINE: usize = 4 << 20;

/// The control socket of one host.
#[derive(Debug, Clone)]
pub struct SocketClient {
    path: Arc<Path>,
}

/// What came back over the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketReply {
    /// An answer.
    Answer {
        /// The payload of the reply.
        body: Bytes,
        /// Code of the error that the payload reports, on RPC subjects.
        error_code: Option<String>,
    },
    /// Somebody handles the subject and has nothing to say, such as a host that declines an auction.
    Silence,
    /// Nobody handles the subject.
    Nobody,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Nobody listens on the socket.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request is larger than any host takes.
    #[error("the control socket takes requests of at most {MAX_BODY} bytes")]
    TooLarge,
    /// No complete answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The exchange broke off or was not what the protocol says.
    #[error("{0}")]
    Broken(String),
}

impl SocketError {
    pub(super) fn into_control(self, operation: &'static str) -> ControlError {
        match self {
            Self::Connect(error) => error.into(),
            Self::TimedOut(after) => ControlError::TimedOut { operation, after },
            Self::TooLarge => ControlError::Disconnected { reason: self.to_string() },
            Self::Broken(reason) => ControlError::Disconnected { reason },
        }
    }
}

/// Ends the connection when dropped.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SocketClient {
    /// The socket at this path; nothing is opened yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into().into() }
    }

    /// The path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends a request to a subject and reads the answer, all within `timeout`.
    ///
    /// # Errors
    /// [`SocketError`].
    pub async fn post(
        &self,
        subject: &str,
        headers: &[(&'static str, String)],
        payload: Bytes,
        timeout: Duration,
    ) -> Result<SocketReply, SocketError> {
        if payload.len() > MAX_BODY {
            return Err(SocketError::TooLarge);
        }
        let mut request = Request::builder().method(Method::POST).uri(subject_path(subject));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let exchange = async {
            let (response, _connection) = self.send(request, payload).await?;
            let status = response.status();
            let error_code =
                response.headers().get(ERROR_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let body = Limited::new(response.into_body(), MAX_BODY)
                .collect()
                .await
                .map_err(|error| SocketError::Broken(error.to_string()))?
                .to_bytes();
            match status {
                StatusCode::OK => Ok(SocketReply::Answer { body, error_code }),
                StatusCode::NO_CONTENT => Ok(SocketReply::Silence),
                StatusCode::NOT_FOUND => Ok(SocketReply::Nobody),
                status => Err(unexpected(status, &body)),
            }
        };
        // Boxed: the exchange is large and this future ends up inside many others.
        tokio::time::timeout(timeout, Box::pin(exchange)).await.map_err(|_| SocketError::TimedOut(timeout))?
    }

    /// The lines of the event stream, without their ends. It is in effect when this returns, and ends with the host.
    ///
    /// # Errors
    /// [`SocketError`].
    pub async fn event_lines(
        &self,
        timeout: Duration,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, SocketError> {
        let request = Request::builder().method(Method::GET).uri(EVENTS_PATH);
        let opening = Box::pin(self.send(request, Bytes::new()));
        let (response, connection) =
            tokio::time::timeout(timeout, opening).await.map_err(|_| SocketError::TimedOut(timeout))??;
        if response.status() != StatusCode::OK {
            return Err(unexpected(response.status(), b""));
        }
        let lines = Lines { body: response.into_body(), buffer: BytesMut::new(), _connection: connection };
        Ok(stream::unfold(lines, |mut lines| async move {
            let line = lines.next().await?;
            Some((line, lines))
        }))
    }

    async fn send(
        &self,
        request: hyper::http::request::Builder,
        payload: Bytes,
    ) -> Result<(Response<Incoming>, Connection), SocketError> {
        let broken = |error: hyper::Error| SocketError::Broken(error.to_string());
        let refused = |source| ConnectError::Socket { path: self.path.to_path_buf(), source };
        let reachable = SocketPath::of(&self.path).map_err(refused)?;
        let stream = UnixStream::connect(reachable.as_path()).await.map_err(refused)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection = Connection(tokio::spawn(async move {
            // How it ended is also told by the response or its body.
            connection.await.ok();
        }));
        let request = request
            .header(HOST, "host.sock")
            .body(Full::new(payload))
            .map_err(|error| SocketError::Broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok((response, connection))
    }
}

/// A body cut into lines.
struct Lines {
    body: Incoming,
    buffer: BytesMut,
    _connection: Connection,
}

impl Lines {
    /// The next line; `None` at the end of the stream or of a line that does not end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(searched + end + 1).freeze();
                line.truncate(searched + end);
                return Some(line);
            }
            searched = self.buffer.len();
            if searched > MAX_EVENT_LINE {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(data) = frame.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }
}

fn unexpected(status: StatusCode, body: &[u8]) -> SocketError {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    SocketError::Broken(
        format!("the host answered with status {status}: {text}").trim_end_matches([':', ' ']).to_owned(),
    )
}

/// The path of a subject; what a path cannot hold is percent-encoded.
fn subject_path(subject: &str) -> String {
    let mut path = String::with_capacity(subject.len() + 1);
    path.push('/');
    for byte in subject.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'$' => path.push(char::from(byte)),
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::subject_path;

    #[test]
    fn a_subject_is_one_path_segment() {
        assert_eq!(subject_path("wasmbus.ctl.default.ping.hosts"), "/wasmbus.ctl.default.ping.hosts");
        assert_eq!(subject_path("a/b?c#ü%"), "/a%2Fb%3Fc%23%C3%BC%25");
    }
}
