//! Objects on their way out of a guest: what it writes to a stream is sent piece by piece while it writes.
//!
//! A value gets its name late, by `write-data`, so what was written before is held, as much as one argument may be.
//! Afterwards two pieces are held and one is on its way. Invariant: an object is either complete or what was begun of it
//! is removed again, whatever becomes of the guest.

use std::{
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use contracts::blobstore::Chunk;
use futures_util::{FutureExt, TryFutureExt};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::{
    read::stream_error,
    store::{Outcome, Pending, Refusal, Store},
};
use crate::call::outgoing::{Held, Outgoing};

/// How long removing what was begun may take.
const CLEANUP: Duration = Duration::from_secs(5);
/// What a guest may write at once.
const WRITE_BYTES: usize = 64 << 10;

/// A value that a guest makes; clones are the same value.
#[derive(Clone)]
pub(super) struct Value {
    upload: Arc<Mutex<Upload>>,
}

/// Who says that a value is complete.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CompletedBy {
    /// `finish`; without it the value is worth nothing.
    Finish,
    /// The end of its stream, as in 0.82, which has no `finish`.
    EndOfStream,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    NotTaken,
    Open,
    Closed,
}

struct Upload {
    completed_by: CompletedBy,
    body: Body,
    pending: BytesMut,
    /// Accounts for `pending`.
    held: Held,
    state: State,
}

enum State {
    /// Nobody has said yet where it goes.
    Unnamed,
    Sending(Sending),
    Complete,
    Failed(Refusal),
}

/// An object that is being written.
struct Sending {
    store: Store,
    container: String,
    object: String,
    /// Bytes sent.
    offset: u64,
    /// Once the first piece is accepted and others are to follow; with the provider's name for it.
    begun: Option<Option<String>>,
    in_flight: Option<InFlight>,
}

struct InFlight {
    answer: Pending<Option<String>>,
    last: bool,
}

impl Value {
    pub(super) fn new(out: &Outgoing, completed_by: CompletedBy) -> Self {
        let held = out.hold();
        let upload =
            Upload { completed_by, body: Body::NotTaken, pending: BytesMut::new(), held, state: State::Unnamed };
        Self { upload: Arc::new(Mutex::new(upload)) }
    }

    fn lock(&self) -> MutexGuard<'_, Upload> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream to write to, which can be had once.
    pub(super) fn body(&self) -> Option<BodyStream> {
        let mut upload = self.lock();
        if upload.body != Body::NotTaken {
            return None;
        }
        upload.body = Body::Open;
        Some(BodyStream { value: self.clone() })
    }

    /// Says where the value goes, and sends what is there of it.
    pub(super) async fn write_to(&self, store: Store, container: &str, object: &str) -> Outcome<()> {
        let last = {
            let mut upload = self.lock();
            if !matches!(upload.state, State::Unnamed) {
                return Err(Refusal::text("this value was written already, make one for each object"));
            }
            let (container, object) = (container.to_owned(), object.to_owned());
            upload.state =
                State::Sending(Sending { store, container, object, offset: 0, begun: None, in_flight: None });
            upload.completed_by == CompletedBy::EndOfStream && upload.body == Body::Closed
        };
        self.send(last).await
    }

    /// Appends, for a host that writes by itself.
    pub(super) async fn append(&self, piece: &Bytes) -> Outcome<()> {
        self.lock().push(piece);
        self.send(false).await
    }

    /// Completes the value.
    pub(super) async fn finish(self) -> Outcome<()> {
        {
            let mut upload = self.lock();
            let amiss = match (&upload.state, upload.body) {
                (_, Body::Open) => "its stream must be dropped first",
                (State::Unnamed, _) => "no `write-data` said where it goes",
                _ => "",
            };
            if !amiss.is_empty() {
                upload.abandon(Refusal::text(amiss));
                return Err(Refusal::Error(format!("cannot finish the value: {amiss}")));
            }
        }
        self.send(true).await
    }

    /// The guest wants no more of it.
    pub(super) async fn dropped(self) {
        let last = {
            let mut upload = self.lock();
            if upload.completed_by == CompletedBy::Finish {
                upload.abandon(Refusal::text("the value was dropped without `finish`"));
            }
            upload.ends_with_stream()
        };
        if last {
            self.send_last().await;
        }
    }

    /// Sends all that is there but for what may turn out to be the last piece, or with `last` that as well.
    async fn send(&self, last: bool) -> Outcome<()> {
        poll_fn(|cx| self.lock().poll_sent(cx, last)).await
    }

    /// Where nobody is left to be told of a failure.
    async fn send_last(&self) {
        if let Err(Refusal::Error(reason)) = self.send(true).await {
            tracing::warn!(%reason, "an object was not written");
        }
    }
}

impl Upload {
    fn push(&mut self, bytes: &[u8]) {
        self.held.grow(bytes.len());
        self.pending.extend_from_slice(bytes);
    }

    fn ends_with_stream(&self) -> bool {
        let open = self.body == Body::Open;
        self.completed_by == CompletedBy::EndOfStream && !open && matches!(self.state, State::Sending(_))
    }

    /// How much may be written now, or why nothing may be any more.
    fn room(&self) -> Outcome<usize> {
        let room = match &self.state {
            State::Unnamed => match self.held.room() {
                0 => return Err(Refusal::text("all of `payload_bytes` is held already, call `write-data` first")),
                room => room,
            },
            State::Sending(sending) => (2 * sending.store.piece()).saturating_sub(self.pending.len()),
            State::Complete => return Err(Refusal::text("the value is complete")),
            State::Failed(refusal) => return Err(refusal.clone()),
        };
        Ok(room.min(WRITE_BYTES))
    }

    /// Ready once there is room, or never will be.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let progress = self.poll_piece(cx, false);
            if !matches!(self.room(), Ok(0)) {
                return Poll::Ready(());
            }
            if progress.is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>, last: bool) -> Poll<Outcome<()>> {
        loop {
            match &self.state {
                State::Failed(refusal) => return Poll::Ready(Err(refusal.clone())),
                State::Unnamed | State::Complete => return Poll::Ready(Ok(())),
                State::Sending(_) => {}
            }
            match self.poll_piece(cx, last) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(refusal)) => return Poll::Ready(Err(refusal)),
            }
        }
    }

    /// Sends one piece and waits for it. Says whether there was one to send; of what is there one byte at least is kept,
    /// so that there is something to mark as last.
    fn poll_piece(&mut self, cx: &mut Context<'_>, last: bool) -> Poll<Outcome<bool>> {
        let State::Sending(sending) = &mut self.state else { return Poll::Ready(Ok(false)) };
        if sending.in_flight.is_none() {
            let piece = sending.store.piece();
            let is_last = self.pending.len() <= piece;
            if is_last && !last {
                return Poll::Ready(Ok(false));
            }
            let piece = self.pending.split_to(piece.min(self.pending.len()));
            self.held.shrink(piece.len());
            sending.start(&piece, is_last);
        }
        let Some(in_flight) = &mut sending.in_flight else { return Poll::Ready(Ok(false)) };
        let answer = match in_flight.answer.poll_unpin(cx) {
            Poll::Ready(answer) => answer,
            Poll::Pending => return Poll::Pending,
        };
        let was_last = in_flight.last;
        sending.in_flight = None;
        match answer {
            Ok(_) if was_last => self.state = State::Complete,
            Ok(stream_id) => sending.begun = Some(sending.begun.take().unwrap_or(stream_id)),
            Err(refusal) => {
                self.abandon(refusal.clone());
                return Poll::Ready(Err(refusal));
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Gives up, and has what was begun removed.
    fn abandon(&mut self, why: Refusal) {
        if matches!(self.state, State::Complete | State::Failed(_)) {
            return;
        }
        self.held.shrink(self.pending.len());
        self.pending = BytesMut::new();
        if let State::Sending(sending) = mem::replace(&mut self.state, State::Failed(why)) {
            sending.remove();
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.abandon(Refusal::text("the guest is gone"));
    }
}

impl Sending {
    fn chunk(&self, bytes: Vec<u8>, is_last: bool) -> Chunk {
        let (object_id, container_id) = (self.object.clone(), self.container.clone());
        Chunk { object_id, container_id, bytes, offset: self.offset, is_last }
    }

    fn start(&mut self, piece: &[u8], last: bool) {
        let chunk = self.chunk(piece.to_vec(), last);
        self.offset += piece.len() as u64;
        let answer: Pending<Option<String>> = match &self.begun {
            None => self.store.put(chunk),
            Some(stream_id) => Box::pin(self.store.put_chunk(chunk, stream_id.clone(), false).map_ok(|()| None)),
        };
        self.in_flight = Some(InFlight { answer, last });
    }

    /// Removes what was begun, in a task of its own: the guest may be gone and its time over.
    fn remove(mut self) {
        let in_flight = self.in_flight.take();
        if in_flight.is_none() && self.begun.is_none() {
            return;
        }
        let Ok(executor) = tokio::runtime::Handle::try_current() else { return };
        executor.spawn(async move {
            if tokio::time::timeout(CLEANUP, self.removed(in_flight)).await.is_err() {
                tracing::warn!("what was begun of an object could not be removed in time");
            }
        });
    }

    async fn removed(mut self, in_flight: Option<InFlight>) {
        if let Some(InFlight { answer, last }) = in_flight {
            match answer.await {
                // Too late to give up: it is complete.
                Ok(_) if last => return,
                Ok(stream_id) if self.begun.is_none() => self.begun = Some(stream_id),
                Ok(_) | Err(_) => {}
            }
        }
        let Some(stream_id) = self.begun.take() else { return };
        let cancel = self.store.afterwards(CLEANUP).put_chunk(self.chunk(Vec::new(), true), stream_id, true);
        if let Err(Refusal::Error(reason)) = cancel.await {
            tracing::warn!(%reason, "what was begun of an object could not be removed");
        }
    }
}

/// The stream of a value. A flush sends nothing: pieces are sent when they are full, and at the end.
pub(super) struct BodyStream {
    value: Value,
}

#[async_trait::async_trait]
impl OutputStream for BodyStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut upload = self.value.lock();
        if bytes.len() > upload.room().map_err(stream_error)? {
            return Err(StreamError::trap("more was written than `check-write` allows"));
        }
        upload.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(|_| ())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.value.lock().room().map_err(stream_error)
    }

    /// What dropping the stream does, as far as it must be waited for.
    async fn cancel(&mut self) {
        let last = {
            let mut upload = self.value.lock();
            upload.body = Body::Closed;
            upload.ends_with_stream()
        };
        if last {
            self.value.send_last().await;
        }
    }
}

#[async_trait::async_trait]
impl Pollable for BodyStream {
    async fn ready(&mut self) {
        poll_fn(|cx| self.value.lock().poll_room(cx)).await;
    }
}
