//! Asking an address what it is: a NATS server speaks first, with a line `INFO {…}`.

use std::time::Duration;

use semver::Version;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Longest greeting looked at; a real one has well under a kilobyte.
const GREETING_LIMIT: u64 = 64 * 1024;

/// What listens at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A NATS server.
    Nats {
        /// Its version, when it says one that can be read.
        version: Option<Version>,
        /// Whether it takes everybody: it asks neither for credentials nor for a certificate.
        open: bool,
    },
    /// Something accepts connections but does not greet like a NATS server.
    Other,
    /// Nothing answers.
    Closed,
}

/// Finds out what listens at `host:port`, within `patience` for each step.
pub async fn probe(host: &str, port: u16, patience: Duration) -> Probe {
    let Ok(Ok(stream)) = timeout(patience, TcpStream::connect((host, port))).await else { return Probe::Closed };
    let mut greeting = Vec::new();
    let mut reader = BufReader::new(stream.take(GREETING_LIMIT));
    match timeout(patience, reader.read_until(b'\n', &mut greeting)).await {
        Ok(Ok(_)) => parse_greeting(&greeting),
        _ => Probe::Other,
    }
}

fn parse_greeting(line: &[u8]) -> Probe {
    let Some(info) = line.strip_prefix(b"INFO ").and_then(|json| serde_json::from_slice::<Info>(json).ok()) else {
        return Probe::Other;
    };
    Probe::Nats { version: Version::parse(&info.version).ok(), open: !info.auth_required && !info.tls_verify }
}

#[derive(serde::Deserialize)]
struct Info {
    #[serde(default)]
    version: String,
    #[serde(default)]
    auth_required: bool,
    #[serde(default)]
    tls_verify: bool,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpSocket},
    };

    use super::*;

    async fn probe_of(greeting: &'static [u8]) -> Probe {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting).await.unwrap();
        });
        let found = probe("127.0.0.1", port, Duration::from_secs(10)).await;
        server.await.unwrap();
        found
    }

    #[tokio::test]
    async fn a_nats_server_is_known_by_its_greeting() {
        assert_eq!(
            probe_of(b"INFO {\"version\":\"2.10.7\",\"auth_required\":true} \r\n").await,
            Probe::Nats { version: Some(Version::new(2, 10, 7)), open: false }
        );
        assert_eq!(
            probe_of(b"INFO {\"tls_verify\":true} \r\n").await,
            Probe::Nats { version: None, open: false },
            "who has a certificate is known"
        );
        assert_eq!(probe_of(b"INFO {} \r\n").await, Probe::Nats { version: None, open: true });
    }

    #[tokio::test]
    async fn whatever_else_answers_is_not_a_nats_server() {
        assert_eq!(probe_of(b"SSH-2.0-OpenSSH_9.6\r\n").await, Probe::Other);
        assert_eq!(probe_of(b"").await, Probe::Other);
        assert_eq!(probe_of(b"INFO about something\r\n").await, Probe::Other);
    }

    #[tokio::test]
    async fn a_free_port_is_closed() {
        // Bound, so that nobody else gets the port, but not listening.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(probe("127.0.0.1", port, Duration::from_secs(10)).await, Probe::Closed);
    }
}
