//! Standard output and error of a program: those of this process, as the system has them.
//!
//! Nothing is buffered here, the program does that; so each failure belongs to the write that it says it of. Invariant: why a
//! write failed is the system's reason, in modules and in components.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError},
};

/// How much a program may write at once.
const WRITE_BYTES: usize = 64 << 10;

/// One of the two.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Output,
    Error,
}

impl Stream {
    fn write_some(self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match self {
                Self::Output => write(io::stdout(), bytes),
                Self::Error => write(io::stderr(), bytes),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever started us shares a stream with us that does not wait. A program that is not asked to wait does.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                written => return written,
            }
        }
    }

    fn write_whole(self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write_some(bytes)?;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

#[cfg(unix)]
fn write(stream: impl std::os::fd::AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(stream, bytes)?)
}

#[cfg(not(unix))]
fn write(mut stream: impl io::Write, bytes: &[u8]) -> io::Result<usize> {
    let written = stream.write(bytes)?;
    stream.flush().map(|()| written)
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        // Not `Closed` for a reader that left: that says nothing of the reason.
        self.write_whole(&bytes).map_err(|error| StreamError::LastOperationFailed(error.into()))
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write_some(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        match self {
            Self::Output => io::IsTerminal::is_terminal(&io::stdout()),
            Self::Error => io::IsTerminal::is_terminal(&io::stderr()),
        }
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(*self)
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(*self)
    }
}
