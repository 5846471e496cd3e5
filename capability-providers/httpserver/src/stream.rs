//! The bytes of one connection on their way to the socket.
//!
//! Three things are done here, where all bytes pass. Head and body of a small answer are two buffers, and the system takes
//! longer to look at a list of buffers than to copy a few hundred bytes: they are written as one. A client that takes
//! nothing is noticed. And what the HTTP library itself answers to a head that it cannot read, which is a status and
//! nothing else, is said in our words. Invariant: what is written of an actor's answer is the same, in the same order.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::turn::Turn;

/// What is copied at most, in bytes.
const SMALL: usize = 1024;

/// What the HTTP library says of a head that it cannot read begins like this, and has nothing else in it but a date.
const REFUSALS: [(&[u8], Refusal); 3] = [
    (b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: ", Refusal::Unreadable),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: ",
        Refusal::TooLarge,
    ),
    (b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\ndate: ", Refusal::TooLarge),
];
/// Date and the end of the head.
const DATE: usize = 33;

/// Why a head was refused without having been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not HTTP.
    Unreadable,
    /// It is too large.
    TooLarge,
}

/// The stream of one connection.
pub struct Stream<S> {
    inner: S,
    turn: Arc<Turn>,
    /// Our words in place of the library's, and how much of them is written.
    words: Option<(Bytes, usize)>,
    say: fn(Refusal) -> Bytes,
}

impl<S> Stream<S> {
    /// Around the stream of a connection with this turn. `say`: a whole answer, head and body.
    pub fn new(inner: S, turn: Arc<Turn>, say: fn(Refusal) -> Bytes) -> Self {
        Self { inner, turn, words: None, say }
    }
}

impl<S: Read + Unpin> Read for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Stream<S> {
    /// Notices whether the client takes what is written.
    fn noticed<T>(&self, written: Poll<T>) -> Poll<T> {
        self.turn.blocked(written.is_pending());
        written
    }

    /// Writes our words instead of what the library says. It hears that all of its own is written once all of ours is.
    fn poll_words(&mut self, cx: &mut Context<'_>, theirs: usize) -> Poll<io::Result<usize>> {
        while let Some((words, written)) = &mut self.words {
            if *written == words.len() {
                self.words = None;
                break;
            }
            *written += ready!(Pin::new(&mut self.inner).poll_write(cx, &words[*written..]))?;
        }
        Poll::Ready(Ok(theirs))
    }

    fn write(&mut self, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        if self.words.is_none()
            && buffer.starts_with(b"HTTP/1.1 4")
            && let Some(refusal) = refusal(buffer)
            && !self.turn.is_of_answer(buffer)
        {
            self.words = Some(((self.say)(refusal), 0));
        }
        if self.words.is_some() {
            return self.poll_words(cx, buffer.len());
        }
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.write(cx, buffer);
        self.noticed(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut copy = [0; SMALL];
        let written = match (buffers, copied(buffers, &mut copy)) {
            ([one], _) => self.write(cx, one),
            (_, Some(length)) => Pin::new(&mut self.inner).poll_write(cx, &copy[..length]),
            (_, None) => Pin::new(&mut self.inner).poll_write_vectored(cx, buffers),
        };
        self.noticed(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Which refusal of the library these bytes are.
fn refusal(bytes: &[u8]) -> Option<Refusal> {
    let is = |(text, _): &&(&[u8], Refusal)| bytes.len() == text.len() + DATE && bytes.starts_with(text);
    REFUSALS.iter().find(is).map(|(_, refusal)| *refusal)
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
    use crate::limits::Limits;

    fn stream(near: tokio::io::DuplexStream) -> Stream<TokioIo<tokio::io::DuplexStream>> {
        let turn = Turn::new(Arc::default(), &Limits::default());
        Stream::new(TokioIo::new(near), turn, |refusal| Bytes::from(format!("{refusal:?}, with a word on it")))
    }

    fn own_words() -> Vec<u8> {
        [REFUSALS[1].0, b"Mon, 30 Nov 2026 10:51:24 GMT\r\n\r\n"].concat()
    }

    #[tokio::test]
    async fn what_the_library_says_by_itself_is_said_in_our_words() {
        let (near, mut far) = tokio::io::duplex(8);
        let mut stream = stream(near);
        let reading = async {
            let mut arrived = String::new();
            far.read_to_string(&mut arrived).await.expect("text");
            arrived
        };
        let writing = async move {
            let theirs = own_words();
            let written = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &[IoSlice::new(&theirs)]));
            assert_eq!(written.await.expect("written"), theirs.len());
        };
        let (arrived, ()) = tokio::join!(reading, writing);
        assert_eq!(arrived, "TooLarge, with a word on it");
    }

    #[tokio::test]
    async fn what_an_actor_says_is_not_changed_though_it_looks_the_same() {
        let (near, mut far) = tokio::io::duplex(1 << 12);
        let (mut stream, theirs) = (stream(near), own_words());
        stream.turn.handed(&theirs);
        poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &theirs)).await.expect("written");
        drop(stream);
        let mut arrived = Vec::new();
        far.read_to_end(&mut arrived).await.expect("bytes");
        assert_eq!(arrived, theirs);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_noticed() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut stream = stream(near);
        let mut write =
            async |bytes: &[u8]| poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_write(cx, bytes))).await;
        assert!(write(b"1234").await.is_ready());
        assert!(write(b"5").await.is_pending());
        far.read_exact(&mut [0; 4]).await.expect("bytes");
        assert!(write(b"5").await.is_ready());
        assert!(stream.turn.idle_since().is_some());
    }

    #[tokio::test]
    async fn what_is_written_arrives_whatever_its_size() {
        let sizes = [&[][..], &[0], &[1], &[3, 0, 5], &[1000, 24], &[1000, 25], &[1, 1023, 1], &[5000, 1], &[1025]];
        for sizes in sizes {
            let pieces: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, size)| vec![n as u8 + 1; *size]).collect();
            let (near, mut far) = tokio::io::duplex(1 << 14);
            let mut stream = stream(near);
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
