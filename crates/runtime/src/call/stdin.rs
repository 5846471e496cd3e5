//! Standard input of guests: the argument of a call, and of the next call after it.
//!
//! Not connected to the host's own. Invariant: what was not read of one argument is never read with the next.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use wasmtime_wasi::{
    cli::{IsTerminal, StdinStream},
    p2::{InputStream, Pollable, StreamError},
};

/// An input stream; clones share it, and a guest may keep one from call to call.
#[derive(Clone, Default)]
pub(crate) struct Input {
    left: Arc<Mutex<Bytes>>,
}

impl Input {
    /// Begins with another argument.
    pub(crate) fn refill(&self, argument: Bytes) {
        *self.lock() = argument;
    }

    fn take(&self, size: usize) -> Bytes {
        let mut left = self.lock();
        let size = size.min(left.len());
        left.split_to(size)
    }

    fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        if self.lock().is_empty() {
            return Err(StreamError::Closed);
        }
        Ok(self.take(size))
    }
}

#[async_trait::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {}
}

impl AsyncRead for Input {
    fn poll_read(self: Pin<&mut Self>, _cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buffer.put_slice(&self.take(buffer.remaining()));
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_was_at_its_end_goes_on_with_the_next_argument() {
        let input = Input::default();
        input.refill(Bytes::from_static(b"first"));
        let mut stream = input.clone();
        assert_eq!(stream.read(3).expect("more"), "fir");
        input.refill(Bytes::from_static(b"next"));
        assert_eq!(stream.read(100).expect("more"), "next");
        assert!(matches!(stream.read(1), Err(StreamError::Closed)));
    }
}
