//! Standard streams of guests: output that becomes log lines, and output that is the result of the call.
//!
//! Neither is connected to the host's own streams. Invariant: both hold a bounded number of bytes, whatever is written.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError},
};

use crate::{
    actor::logs::{LINE_BYTES, Level, Logs},
    error::ended::Breach,
    limits::names::Limit,
};

/// How much a guest may write at once.
const WRITE_BYTES: usize = 64 << 10;

/// Where written bytes go.
trait Sink: Send + 'static {
    fn accept(&mut self, bytes: &[u8]) -> Result<(), Breach>;
}

/// A guest's output stream into a sink; clones share it.
pub(crate) struct Output<S> {
    sink: Arc<Mutex<S>>,
}

/// Lines for the log.
pub(crate) struct LogLines {
    logs: Logs,
    level: Level,
    stream: &'static str,
    partial: Vec<u8>,
}

/// The result of a call.
pub(crate) struct Collected {
    bytes: BytesMut,
    limit: u32,
}

impl Output<LogLines> {
    /// Output line by line into the log.
    pub(crate) fn log(logs: Logs, level: Level, stream: &'static str) -> Self {
        Self::new(LogLines { logs, level, stream, partial: Vec::new() })
    }
}

impl Output<Collected> {
    /// Output kept as result, `limit` bytes at most.
    pub(crate) fn collect(limit: u32) -> Self {
        Self::new(Collected { bytes: BytesMut::new(), limit })
    }

    /// Takes what was written so far.
    pub(crate) fn take(&self) -> Bytes {
        std::mem::take(&mut self.lock().bytes).freeze()
    }
}

impl<S> Output<S> {
    fn new(sink: S) -> Self {
        Self { sink: Arc::new(Mutex::new(sink)) }
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Output<S> {
    fn clone(&self) -> Self {
        Self { sink: self.sink.clone() }
    }
}

impl Sink for LogLines {
    fn accept(&mut self, bytes: &[u8]) -> Result<(), Breach> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES - self.partial.len();
            self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.flush();
            }
        }
        Ok(())
    }
}

impl LogLines {
    fn flush(&mut self) {
        let text = String::from_utf8_lossy(&self.partial);
        let text = text.trim_end_matches(['\r', '\n']);
        if !text.is_empty() {
            self.logs.line(self.level, self.stream, text);
        }
        self.partial.clear();
    }
}

impl Drop for LogLines {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Sink for Collected {
    fn accept(&mut self, bytes: &[u8]) -> Result<(), Breach> {
        if self.bytes.len() + bytes.len() > self.limit as usize {
            return Err(Breach::limit(Limit::Response, self.limit));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl<S: Sink> OutputStream for Output<S> {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.lock().accept(&bytes).map_err(|breach| StreamError::Trap(breach.into()))
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait::async_trait]
impl<S: Sink> Pollable for Output<S> {
    async fn ready(&mut self) {}
}

impl<S: Sink> AsyncWrite for Output<S> {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.lock().accept(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl<S> IsTerminal for Output<S> {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl<S: Sink> StdoutStream for Output<S> {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_above_its_limit_is_refused_and_not_kept() {
        let mut output = Output::collect(4);
        output.write(Bytes::from_static(b"1234")).expect("fits");
        assert!(matches!(output.write(Bytes::from_static(b"5")), Err(StreamError::Trap(_))));
        assert_eq!(output.take(), "1234");
    }
}
