//! Downloading a blob: to disk, hashed on the way, resumed where it broke off.
//!
//! Never more in memory than a few chunks. Invariant: a [`Partial`] that is returned has the digest and length asked for;
//! one that turned out to be something else is emptied.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Response, StatusCode};
use tokio::time::Instant;

use super::Registry;
use super::error::RegistryError;
use super::exchange::Ask;
use super::inner::Inner;
use super::target::{Access, Target};
use crate::cache::Partial;
use crate::manifest::Blob;
use crate::pace::Pace;
use crate::progress::{Finish, Progress};
use crate::reference::Reference;

/// Bytes collected before they are hashed and written.
const BATCH: usize = 256 << 10;
/// How long bytes are collected before they are written, so that others see how far it is.
const WRITE_AFTER: Duration = Duration::from_secs(1);
/// Attempts that each brought something; a stranger may not drip for ever.
const MAX_ATTEMPTS: u32 = 32;

impl Registry {
    /// Downloads `blob` into `partial`, which may hold the beginning of it already.
    ///
    /// # Errors
    /// [`RegistryError`]; what came is kept unless it was wrong.
    pub(crate) async fn download(
        &self,
        reference: &Reference,
        blob: &Blob,
        partial: Partial,
        progress: &dyn Progress,
    ) -> Result<Partial, RegistryError> {
        let limit = self.inner.options.max_artifact_bytes;
        let what = format!("`{}`", blob.digest);
        if blob.size > limit {
            return Err(RegistryError::TooLarge { what, limit });
        }
        let repository = reference.api_repository();
        let target = Target { registry: reference.registry(), repository: &repository, access: Access::Pull };
        let resumed = partial.len() > 0;
        let pace = Pace::new(self.inner.options.timeouts.pace_window, Instant::now());
        let mut transfer = Transfer { inner: &self.inner, target, blob, what, progress, partial, pace };
        progress.start(&reference.to_string(), Some(blob.size));
        let _finish = Finish(progress);
        match transfer.run().await {
            // What an earlier process left behind may be damaged; that is no reason to give up.
            Err(RegistryError::DigestMismatch { .. }) if resumed => transfer.run().await?,
            outcome => outcome?,
        }
        Ok(transfer.partial)
    }
}

struct Transfer<'a> {
    inner: &'a Inner,
    target: Target<'a>,
    blob: &'a Blob,
    what: String,
    progress: &'a dyn Progress,
    partial: Partial,
    /// Of all attempts together.
    pace: Pace,
}

impl Transfer<'_> {
    async fn run(&mut self) -> Result<(), RegistryError> {
        if self.partial.len() > self.blob.size {
            self.restart()?;
        }
        self.progress.advance(self.partial.len());
        let mut retry = self.inner.retry();
        let mut attempts = 0;
        while self.partial.len() < self.blob.size {
            let before = self.partial.len();
            attempts += 1;
            if let Err(error) = self.attempt().await {
                if !error.is_worth_repeating() {
                    return Err(error);
                }
                // An attempt that brought something is worth another one at full patience.
                if self.partial.len() > before && attempts < MAX_ATTEMPTS {
                    retry = self.inner.retry();
                }
                retry.after(error).await?;
            }
        }
        let found = self.partial.digest();
        if found != self.blob.digest {
            self.restart()?;
            return Err(RegistryError::DigestMismatch { what: self.what.clone(), expected: self.blob.digest, found });
        }
        Ok(())
    }

    async fn attempt(&mut self) -> Result<(), RegistryError> {
        let path = format!("{}/blobs/{}", self.target.repository, self.blob.digest);
        let mut ask = Ask::get(self.inner.url(self.target.registry, &path)?);
        let offset = self.partial.len();
        if offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={offset}-")).expect("digits are text");
            ask = ask.header(RANGE, range);
        }
        let response = match self.inner.once(&self.target, &ask, &self.what).await {
            // 416: what we have is not a beginning of what they have.
            Err(RegistryError::Unexpected { status: 416, .. }) if offset > 0 => {
                self.restart()?;
                ask.headers.remove(RANGE);
                self.inner.once(&self.target, &ask, &self.what).await?
            }
            outcome => outcome?,
        };
        self.begin(&response)?;
        self.receive(response).await
    }

    /// Makes what we have fit to what comes.
    fn begin(&mut self, response: &Response) -> Result<(), RegistryError> {
        let offset = self.partial.len();
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let start = response.headers().get(CONTENT_RANGE).and_then(|range| range_start(range.to_str().ok()?));
            if start != Some(offset) {
                return Err(RegistryError::Unexpected {
                    registry: self.target.registry.to_owned(),
                    status: 206,
                    said: "another part than was asked for".to_owned(),
                });
            }
        } else if offset > 0 {
            self.restart()?;
        }
        // The length of this answer; the whole is counted as it comes.
        let expected = self.blob.size - self.partial.len();
        match response.content_length() {
            Some(length) if length != expected => {
                let found = self.partial.len() + length;
                Err(RegistryError::WrongLength { what: self.what.clone(), expected: self.blob.size, found })
            }
            _ => Ok(()),
        }
    }

    async fn receive(&mut self, mut response: Response) -> Result<(), RegistryError> {
        let mut batch = Batch::new();
        loop {
            let next = self.next_chunk(&mut response).await;
            let (chunk, ended) = match next {
                Ok(chunk) => (chunk, None),
                Err(ended) => (Bytes::new(), Some(ended)),
            };
            batch.add(chunk);
            if self.partial.len() + batch.bytes > self.blob.size {
                let found = self.partial.len() + batch.bytes;
                self.restart()?;
                return Err(RegistryError::WrongLength { what: self.what.clone(), expected: self.blob.size, found });
            }
            if batch.is_due() || ended.is_some() {
                let bytes = batch.bytes;
                self.partial.append(std::mem::take(&mut batch.pieces)).await.map_err(RegistryError::Disk)?;
                self.progress.advance(bytes);
                batch = Batch::new();
            }
            if let Some(ended) = ended {
                return self.end(ended);
            }
        }
    }

    /// What comes next, or why nothing does.
    async fn next_chunk(&mut self, response: &mut Response) -> Result<Bytes, Ended> {
        let idle = Instant::now() + self.inner.options.timeouts.idle;
        loop {
            let chunk = match tokio::time::timeout_at(idle.min(self.pace.due()), response.chunk()).await {
                Ok(Ok(Some(chunk))) => Some(chunk),
                Ok(Ok(None)) => return Err(Ended::Whole),
                // A connection that stands still is as good as one that ended.
                Ok(Err(_)) => return Err(Ended::Broken),
                Err(_) if Instant::now() >= idle => return Err(Ended::Broken),
                Err(_) => None,
            };
            let moved = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
            let pace = self.pace.moved(moved, Instant::now());
            match (chunk, pace) {
                // What is complete was not too slow.
                (chunk, Err(slow)) if self.partial.len() + moved < self.blob.size => {
                    drop(chunk);
                    let registry = self.target.registry.to_owned();
                    let (moved, within) = (Some(slow.moved), slow.window);
                    return Err(Ended::Slow(RegistryError::TooSlow { registry, moved, within }));
                }
                (Some(chunk), _) => return Ok(chunk),
                (None, _) => {}
            }
        }
    }

    fn end(&self, ended: Ended) -> Result<(), RegistryError> {
        let received = self.partial.len();
        let (what, expected) = (self.what.clone(), self.blob.size);
        match ended {
            _ if received == expected => Ok(()),
            Ended::Slow(error) => Err(error),
            Ended::Broken => Err(RegistryError::CutShort { what, received }),
            Ended::Whole => Err(RegistryError::WrongLength { what, expected, found: received }),
        }
    }

    fn restart(&mut self) -> Result<(), RegistryError> {
        self.partial.restart().map_err(RegistryError::Disk)?;
        self.progress.start(&self.what, Some(self.blob.size));
        Ok(())
    }
}

/// Why nothing more comes over a connection.
enum Ended {
    /// The answer is over.
    Whole,
    /// The connection is.
    Broken,
    /// It brings too little to be waited for.
    Slow(RegistryError),
}

/// Bytes on their way to the disk.
struct Batch {
    pieces: Vec<Bytes>,
    bytes: u64,
    since: Instant,
}

impl Batch {
    fn new() -> Self {
        Self { pieces: Vec::new(), bytes: 0, since: Instant::now() }
    }

    fn add(&mut self, piece: Bytes) {
        self.bytes += piece.len() as u64;
        self.pieces.extend((!piece.is_empty()).then_some(piece));
    }

    fn is_due(&self) -> bool {
        self.bytes >= BATCH as u64 || (self.bytes > 0 && self.since.elapsed() >= WRITE_AFTER)
    }
}

/// The first byte of `bytes 5-9/10`.
fn range_start(text: &str) -> Option<u64> {
    text.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}
