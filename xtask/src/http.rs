//! The smallest HTTP client that can be trusted: one GET per connection over plain TCP, with a time limit.
//!
//! Demo and load need to know exactly what a connection did, so nothing is retried, pooled or followed here.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longest response that is read.
const MOST_BYTES: u64 = 16 << 20;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
}

/// Asks for `path`; `timeout` bounds each step of connecting, writing and reading.
///
/// # Errors
/// When there is no connection, no complete answer in time, or an answer that is not HTTP/1.1.
pub fn get(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?; // at once: `write!` would send it in pieces
    let mut bytes = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a complete HTTP/1.1 response"))
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let status = head.strip_prefix("http/1.1 ")?.get(..3)?.parse().ok()?;
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let rest = &bytes[end + 4..];
    let body = if header("transfer-encoding") == Some("chunked") {
        unchunk(rest)?
    } else {
        match header("content-length") {
            Some(length) => rest.get(..length.parse().ok()?)?.to_vec(),
            None => rest.to_vec(), // ends with the connection
        }
    };
    Some(Response { status, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Joins chunks; none when the last, empty one is missing: the answer was cut off.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let chunk = rest.get(end + 2..)?;
        body.extend_from_slice(chunk.get(..size)?);
        rest = chunk.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &[u8]) -> Option<String> {
        parse(bytes).map(|response| response.body)
    }

    #[test]
    fn bodies_by_length_by_chunks_and_by_the_end_of_the_connection() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").as_deref(), Some("hi"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\n!!!\r\n0\r\n\r\n";
        assert_eq!(body(chunked).as_deref(), Some("hi!!!"));
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n\r\nhi").as_deref(), Some("hi"));
    }

    #[test]
    fn an_answer_that_was_cut_off_is_no_answer() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"), None);
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"), None);
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Len"), None);
        assert_eq!(body(b""), None);
    }
}
