//! Small answers as one plain write.
//!
//! Head and body of an answer are two buffers, and the system takes longer to look at a list of buffers than to copy a
//! few hundred bytes. Invariant: what is written is the same, in the same order.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};

/// What is copied at most, in bytes.
const SMALL: usize = 1024;

/// A stream that takes small lists of buffers as one.
pub struct SmallWrites<S>(pub S);

impl<S: Read + Unpin> Read for SmallWrites<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for SmallWrites<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut copy = [0; SMALL];
        match copied(buffers, &mut copy) {
            Some(length) => Pin::new(&mut self.0).poll_write(cx, &copy[..length]),
            None => Pin::new(&mut self.0).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The buffers one after the other, if they fit.
fn copied(buffers: &[IoSlice<'_>], copy: &mut [u8; SMALL]) -> Option<usize> {
    let mut length = 0;
    for buffer in buffers {
        let end = length + buffer.len();
        copy.get_mut(length..end)?.copy_from_slice(buffer);
        length = end;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_written_arrives_whatever_its_size() {
        let sizes = [&[][..], &[0], &[1], &[3, 0, 5], &[1000, 24], &[1000, 25], &[1, 1023, 1], &[5000, 1], &[1025]];
        for sizes in sizes {
            let pieces: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, size)| vec![n as u8 + 1; *size]).collect();
            let (near, mut far) = tokio::io::duplex(1 << 14);
            let mut stream = SmallWrites(TokioIo::new(near));
            let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let written = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &slices)).await.expect("room");
            drop(stream);
            let (mut arrived, whole) = (Vec::new(), pieces.concat());
            far.read_to_end(&mut arrived).await.expect("a pipe");
            assert_eq!(arrived, whole[..written], "{sizes:?}");
            // A list that is passed on may be taken in part.
            assert!(written == whole.len() || whole.len() > SMALL, "{sizes:?}: {written}");
        }
    }
}
