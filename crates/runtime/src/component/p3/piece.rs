//! The body of an answer on its way out of a guest's instance, piece by piece.
//!
//! A body of WASI 0.3 can only be read where its instance runs, so the instance hands it over to whoever reads the
//! answer, at most one piece ahead. Invariant: a body looks complete only if its guest has ended it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

enum Piece {
    Frame(Frame<Bytes>),
    /// The guest broke off.
    Broken(BoxError),
    End,
}

/// The instance's side.
pub(super) struct Hand(mpsc::Sender<Piece>);

/// The reader's side.
pub(in crate::component) struct Pieces(Option<mpsc::Receiver<Piece>>);

/// Both sides of one body.
pub(super) fn pieces() -> (Hand, Pieces) {
    let (sender, receiver) = mpsc::channel(1);
    (Hand(sender), Pieces(Some(receiver)))
}

impl Hand {
    /// Hands over the whole body, as fast as it is read. False, and early, when its reader has left before; one who was
    /// told a length may leave with the last of the `announced` bytes.
    pub(super) async fn over<B>(self, mut body: B, announced: Option<u64>) -> bool
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let mut sent = 0;
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = self.0.closed() => return announced == Some(sent),
            };
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            let bytes = data.map_or(0, |data| data.len() as u64);
            let (piece, is_last) = match frame {
                Some(Ok(frame)) => (Piece::Frame(frame), false),
                Some(Err(error)) => (Piece::Broken(error.into()), true),
                None => (Piece::End, true),
            };
            if self.0.send(piece).await.is_err() {
                return announced == Some(sent);
            }
            if is_last {
                return true;
            }
            sent += bytes;
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(pieces) = &mut self.0 else { return Poll::Ready(None) };
        let piece = ready!(pieces.poll_recv(cx));
        if let Some(Piece::Frame(frame)) = piece {
            return Poll::Ready(Some(Ok(frame)));
        }
        self.0 = None;
        Poll::Ready(match piece {
            Some(Piece::Broken(error)) => Some(Err(error)),
            Some(Piece::End | Piece::Frame(_)) => None,
            None => Some(Err("the guest ended before its answer did".into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_arrives_whole() {
        let (hand, pieces) = pieces();
        let (collected, is_read) = tokio::join!(pieces.collect(), hand.over(Full::new(Bytes::from("all of it")), None));
        assert_eq!(collected.expect("complete").to_bytes(), "all of it");
        assert!(is_read);
    }

    #[tokio::test]
    async fn whoever_was_told_a_length_may_leave_with_the_last_byte_and_nobody_before() {
        for (announced, has_all) in [(Some(9), true), (Some(10), false), (None, false)] {
            let (hand, mut pieces) = pieces();
            let first = futures_util::stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("all of it")))]);
            let unfinished = http_body_util::StreamBody::new(first.chain(futures_util::stream::pending()));
            let read = async {
                pieces.frame().await.expect("a piece").expect("data");
                drop(pieces);
            };
            let ((), is_read) = tokio::join!(read, hand.over(unfinished, announced));
            assert_eq!(is_read, has_all, "{announced:?}");
        }
    }

    #[tokio::test]
    async fn an_instance_that_is_gone_leaves_no_complete_body() {
        let (hand, pieces) = pieces();
        drop(hand);
        assert!(pieces.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_holds_nobody_up() {
        let (hand, pieces) = pieces();
        drop(pieces);
        let never = http_body_util::StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>());
        assert!(!hand.over(never, None).await);
    }
}
