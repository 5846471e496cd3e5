//! Objects on their way into a guest: as a whole, or as a stream that is fetched piece by piece while it is read.
//!
//! Invariant: of an object that is streamed one piece at most is held, and no piece is fetched before the one before it
//! was read.

use bytes::{Bytes, BytesMut};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

use super::store::{Outcome, Pending, Refusal, Store};

/// A part of an object that is still to be read.
pub(super) struct Range {
    store: Store,
    container: String,
    object: String,
    next: u64,
    /// What follows the last byte.
    end: u64,
}

impl Range {
    /// From `first` to `last`, both part of it, as far as the object reaches.
    pub(super) async fn open(store: Store, container: &str, object: &str, first: u64, last: u64) -> Outcome<Self> {
        if first > last {
            return Err(Refusal::Error(format!("the range from {first} to {last} ends before it begins")));
        }
        let info = store.object_info(container, object).await?;
        let end = last.saturating_add(1).min(info.content_length);
        let (container, object) = (container.to_owned(), object.to_owned());
        Ok(Self { store, container, object, next: first.min(end), end })
    }

    pub(super) fn len(&self) -> u64 {
        self.end - self.next
    }

    /// Asks for the next piece, which [`Range::advance`] makes up for.
    fn fetch(&self) -> Pending<Bytes> {
        let len = usize::try_from(self.len()).unwrap_or(usize::MAX).min(self.store.piece());
        self.store.get(&self.container, &self.object, self.next, len)
    }

    fn advance(&mut self, piece: &Bytes) {
        self.next += piece.len() as u64;
    }

    /// The next piece, none at the end.
    pub(super) async fn piece(&mut self) -> Outcome<Option<Bytes>> {
        if self.len() == 0 {
            return Ok(None);
        }
        let piece = self.fetch().await?;
        self.advance(&piece);
        Ok(Some(piece))
    }

    /// All of it.
    pub(super) async fn all(mut self) -> Outcome<Bytes> {
        let (len, limit) = (self.len(), self.store.value_bytes());
        if len > limit {
            let text =
                format!("{len} bytes are too many to be read at once, `response_bytes` is {limit}; read a stream");
            return Err(Refusal::Error(text));
        }
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if all.is_empty() && self.len() == 0 {
                return Ok(piece);
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}

/// A range as `wasi:io` stream.
pub(super) struct ObjectStream {
    range: Range,
    piece: Bytes,
    fetch: Option<Pending<Bytes>>,
    failed: Option<Refusal>,
}

impl ObjectStream {
    pub(super) fn new(range: Range) -> Self {
        Self { range, piece: Bytes::new(), fetch: None, failed: None }
    }
}

impl InputStream for ObjectStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if !self.piece.is_empty() {
            return Ok(self.piece.split_to(size.min(self.piece.len())));
        }
        if let Some(refusal) = self.failed.take() {
            self.range.end = self.range.next;
            return Err(stream_error(refusal));
        }
        if self.range.len() == 0 { Err(StreamError::Closed) } else { Ok(Bytes::new()) }
    }
}

#[async_trait::async_trait]
impl Pollable for ObjectStream {
    /// Dropped and called again as guests poll: a fetch that has begun is kept.
    async fn ready(&mut self) {
        if !self.piece.is_empty() || self.failed.is_some() || self.range.len() == 0 {
            return;
        }
        let fetched = self.fetch.get_or_insert_with(|| self.range.fetch()).await;
        self.fetch = None;
        match fetched {
            Ok(piece) => {
                self.range.advance(&piece);
                self.piece = piece;
            }
            Err(refusal) => self.failed = Some(refusal),
        }
    }
}

pub(super) fn stream_error(refusal: Refusal) -> StreamError {
    match refusal {
        Refusal::Breach(breach) => StreamError::Trap(breach.into()),
        Refusal::Error(text) => StreamError::LastOperationFailed(wasmtime::Error::msg(text)),
    }
}
