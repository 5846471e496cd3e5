//! The body of a request as it comes in: bounded in size, and in the time it may stand still.
//!
//! An upload that moves may take as long as it needs, at a pace that no line of today falls below: so one that is slow by
//! intent holds its place no longer than it would by doing nothing. Invariants: a body ends, or fails, by itself; what may
//! lie of it in its connection while nobody reads is charged to the bodies of all calls.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use provider_sdk::contracts::{
    Budget, CallError, Charge,
    budget::NoRoom,
    http_message::{Time, body_too_large},
};
use tokio::time::{Sleep, sleep_until};

/// Bytes a second that an upload has on average, after its first pause.
const PACE: u64 = 1024;

/// A body on its way in.
pub struct Upload<B> {
    body: B,
    max: u64,
    received: u64,
    pause: Time,
    progress: Arc<Progress>,
    alarm: Option<Pin<Box<Sleep>>>,
    _unread: Charge,
}

/// What is seen of an upload by whoever waits for the answer to it.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    /// Milliseconds after its beginning.
    moved: AtomicU64,
    awaited: AtomicBool,
    exceeded: AtomicBool,
    stalled: AtomicBool,
}

impl Progress {
    /// When something came in last.
    pub fn moved(&self) -> Instant {
        self.began + Duration::from_millis(self.moved.load(Relaxed))
    }

    /// Whether somebody waits for more of it.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Relaxed)
    }

    /// Whether it was too large.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Relaxed)
    }

    /// Whether it came too slowly.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Relaxed)
    }
}

impl<B> Upload<B> {
    /// A body of at most `max` bytes, of which up to `window` bytes lie in its connection while nobody reads.
    ///
    /// # Errors
    /// [`NoRoom`] for these.
    pub fn new(body: B, max: u64, pause: Time, window: u64) -> Result<(Self, Arc<Progress>), NoRoom>
    where
        B: Body,
    {
        let unread = body.size_hint().upper().map_or(window, |length| length.min(window));
        let _unread = Budget::bodies().reserve(unread)?;
        let (moved, awaited, exceeded, stalled) = Default::default();
        let progress = Arc::new(Progress { began: Instant::now(), moved, awaited, exceeded, stalled });
        let theirs = progress.clone();
        Ok((Self { body, max, received: 0, pause, progress: theirs, alarm: None, _unread }, progress))
    }

    /// When it has stood still for too long, seen from now.
    fn last(&self) -> Instant {
        let now = Instant::now();
        let pace = self.pause.limit.saturating_add(Duration::from_secs(self.received / PACE));
        let last = |from: Instant, more| from.checked_add(more);
        let (pause, pace) = (last(now, self.pause.limit), last(self.progress.began, pace));
        pause.unwrap_or(now).min(pace.unwrap_or(now))
    }

    fn stalled(&self) -> CallError {
        self.progress.stalled.store(true, Relaxed);
        let Time { limit, name } = self.pause;
        let step = format!("the body of the request was coming in: nothing, or too little, for {limit:?} ({name})");
        CallError::DeadlineExceeded { step }
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let last = self.last();
            self.progress.awaited.store(true, Relaxed);
            ready!(self.alarm.get_or_insert_with(|| Box::pin(sleep_until(last.into()))).as_mut().poll(cx));
            return Poll::Ready(Some(Err(self.stalled().into())));
        };
        if self.alarm.take().is_some() {
            self.progress.awaited.store(false, Relaxed);
        }
        let frame = match frame {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.received > self.max {
            self.progress.exceeded.store(true, Relaxed);
            return Poll::Ready(Some(Err(body_too_large(self.max).into())));
        }
        let moved = u64::try_from(self.progress.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress.moved.store(moved, Relaxed);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    const PAUSE: Time = Time { limit: Duration::from_millis(200), name: "`idle_ms` of the link" };

    /// Bytes that come one by one after so long each.
    fn dripping(
        every: Duration,
        count: usize,
    ) -> impl Body<Data = Bytes, Error = Box<dyn Error + Send + Sync>> + Unpin {
        let drops = futures_util::stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(every).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        StreamBody::new(Box::pin(drops))
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stands_still_fails_with_the_name_of_the_limit() {
        let (upload, progress) = Upload::new(dripping(Duration::from_secs(10), 1), 10, PAUSE, 0).expect("room");
        let error = upload.collect().await.expect_err("nothing came");
        let error = error.downcast::<CallError>().expect("a call error");
        assert!(error.to_string().contains("`idle_ms` of the link"), "{error}");
        assert!(progress.is_stalled() && !progress.is_exceeded());
    }

    #[tokio::test]
    async fn one_that_drips_fails_too_and_one_that_ends_in_time_does_not() {
        let (upload, progress) = Upload::new(dripping(Duration::from_millis(20), 1000), 1000, PAUSE, 0).expect("room");
        upload.collect().await.expect_err("too slow");
        assert!(progress.is_stalled());
        let (upload, progress) = Upload::new(dripping(Duration::from_millis(20), 3), 3, PAUSE, 0).expect("room");
        assert_eq!(upload.collect().await.expect("whole").to_bytes(), "xxx");
        assert!(!progress.is_stalled() && progress.moved() > progress.began);
    }

    #[tokio::test]
    async fn one_that_is_too_large_says_so() {
        let (upload, progress) = Upload::new(dripping(Duration::ZERO, 3), 2, PAUSE, 0).expect("room");
        let error = upload.collect().await.expect_err("too large");
        assert_eq!(*error.downcast::<CallError>().expect("a call error"), body_too_large(2));
        assert!(progress.is_exceeded());
    }
}
