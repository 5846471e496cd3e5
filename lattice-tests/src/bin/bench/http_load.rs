//! The HTTP load: keep-alive connections with one request in flight each, the same for every server that is compared.
//!
//! Runs on a thread of its own so that it takes the same share of the machine whoever answers. Reads only as much of
//! HTTP as it takes to find the end of a response. Invariant: an answer that is not 200 fails the sample.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: bench.test\r\n\r\n";
/// A response that takes longer is a fault, not a figure.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests a second over `connections` connections for `slice`.
pub async fn requests_per_second(address: SocketAddr, connections: usize, slice: Duration) -> Result<f64> {
    let load = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
        runtime.block_on(run(address, connections, slice))
    };
    tokio::task::spawn_blocking(load).await.context("the load ended early")?
}

async fn run(address: SocketAddr, connections: usize, slice: Duration) -> Result<f64> {
    let mut open = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to `{address}`"))?;
        stream.set_nodelay(true)?;
        let mut connection = Connection { stream, buffer: Vec::with_capacity(16 << 10) };
        connection.ask().await?;
        open.push(connection);
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in open {
        tasks.spawn(async move {
            let mut answered = 0_u32;
            while started.elapsed() < slice {
                connection.ask().await?;
                answered += 1;
            }
            anyhow::Ok(answered)
        });
    }
    let mut answered = 0;
    let outcome = timeout(slice + PATIENCE, async {
        while let Some(ended) = tasks.join_next().await {
            answered += ended.context("a connection panicked")??;
        }
        anyhow::Ok(())
    });
    outcome.await.context("a response did not come")??;
    Ok(f64::from(answered) / started.elapsed().as_secs_f64())
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn ask(&mut self) -> Result<()> {
        self.stream.write_all(REQUEST).await.context("cannot send a request")?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.context("cannot read a response")?;
            ensure!(read > 0, "the server closed the connection");
            if is_complete(&self.buffer)? {
                return Ok(());
            }
        }
    }
}

/// Whether exactly one whole response with status 200 is there.
fn is_complete(bytes: &[u8]) -> Result<bool> {
    let Some(head_end) = find(bytes, b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = (&bytes[..head_end], &bytes[head_end + 4..]);
    if !head.starts_with(b"HTTP/1.1 200") {
        bail!("not answered with 200: {}", String::from_utf8_lossy(bytes));
    }
    let end = match header(head, b"content-length") {
        Some(length) => Some(std::str::from_utf8(length)?.parse().context("content-length")?),
        None => end_of_chunks(body)?,
    };
    let Some(end) = end else { return Ok(false) };
    ensure!(body.len() <= end, "more than one response to one request");
    Ok(body.len() == end)
}

/// The value of a header, without white space around it.
fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Where a chunked body ends, if it does.
fn end_of_chunks(body: &[u8]) -> Result<Option<usize>> {
    let mut at = 0;
    loop {
        let Some(line) = find(&body[at..], b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&body[at..at + line])?;
        let size = usize::from_str_radix(size.trim(), 16).with_context(|| format!("chunk size `{size}`"))?;
        at += line + 2 + size + 2; // a body without trailers ends with an empty chunk
        if size == 0 {
            return Ok(Some(at));
        }
        if at > body.len() {
            return Ok(None);
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_at_its_very_end() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
        let empty = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        for response in [sized, chunked, empty] {
            for end in 0..response.len() {
                assert!(!is_complete(&response.as_bytes()[..end]).expect("well-formed"), "{}", &response[..end]);
            }
            assert!(is_complete(response.as_bytes()).expect("well-formed"));
            assert!(is_complete(format!("{response}x").as_bytes()).is_err());
        }
    }

    #[test]
    fn another_status_is_an_error_with_what_was_said() {
        let error = is_complete(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").expect_err("not 200");
        assert!(error.to_string().contains("503 Busy"));
    }
}
