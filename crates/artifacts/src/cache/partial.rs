//! Downloads in progress: one writer at a time, on this machine, and resumed where the last one stopped.
//!
//! The file is its own lock. Whoever waited for it looks again afterwards, because the writer renamed it when it was
//! complete. Invariant: the digest of a [`Partial`] is that of the bytes in its file.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::write::is_same;
use super::{Blob, Cache, PARTIAL};
use crate::digest::{Digest, Hasher};
use crate::pace::MIN_BYTES_PER_SECOND;

const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(200);

/// Who downloads.
pub(crate) enum Claim {
    /// Nobody: it is there, and undamaged.
    Ready(Blob),
    /// We do.
    Ours(Partial),
}

/// The beginning of a file.
pub(crate) struct Partial {
    content: Arc<Mutex<Content>>,
    len: u64,
    /// Where it is, unless it has no name.
    path: Option<PathBuf>,
    _source: Option<SourceMark>,
}

/// Says as long as it lives where a download of this process comes from.
struct SourceMark {
    cache: Cache,
    digest: Digest,
}

impl Drop for SourceMark {
    fn drop(&mut self) {
        self.cache.sources().remove(&self.digest);
    }
}

struct Content {
    file: File,
    hasher: Hasher,
}

impl Cache {
    /// Waits until the artifact is there or it is on us to download it from `source`. A download from somewhere else is
    /// not waited for, nor one that brings too little: then there are two. May be abandoned at any time.
    pub(crate) async fn claim(&self, digest: Digest, source: &str) -> io::Result<Claim> {
        let mut pause = FIRST_LOOK;
        let mut seen = (0, Instant::now());
        loop {
            let cache = self.clone();
            let tried = tokio::task::spawn_blocking(move || cache.try_claim(&digest)).await?;
            let length = match tried {
                Ok(Tried::Claimed(Claim::Ours(partial))) => return Ok(Claim::Ours(self.mark(partial, digest, source))),
                Ok(Tried::Claimed(claim)) => return Ok(claim),
                Ok(Tried::Busy(length)) => length,
                Err(error) => {
                    self.complain(&error);
                    return Partial::nameless().map(Claim::Ours);
                }
            };
            if self.sources().get(&digest).is_some_and(|other| other != source) {
                tracing::debug!(%digest, source, "downloaded from another registry as well; not waited for");
                return Partial::nameless().map(Claim::Ours);
            }
            if length >= seen.0 + self.least_growth() {
                seen = (length, Instant::now());
            } else if seen.1.elapsed() > self.inner.patience {
                tracing::warn!(%digest, "the download of another process brings too little; this one is made beside it");
                return Partial::nameless().map(Claim::Ours);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// What a download has to bring within the time it is waited for.
    fn least_growth(&self) -> u64 {
        (MIN_BYTES_PER_SECOND as f64 * self.inner.patience.as_secs_f64()).max(1.0) as u64
    }

    fn mark(&self, mut partial: Partial, digest: Digest, source: &str) -> Partial {
        self.sources().insert(digest, source.to_owned());
        partial._source = Some(SourceMark { cache: self.clone(), digest });
        partial
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<Digest, String>> {
        self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_claim(&self, digest: &Digest) -> io::Result<Tried> {
        loop {
            if let Some(blob) = self.find(digest) {
                return Ok(Tried::Claimed(Claim::Ready(blob)));
            }
            let file = self.open_partial(digest)?;
            if let Some(tried) = self.take(digest, file)? {
                return Ok(tried);
            }
        }
    }

    fn partial(&self, digest: &Digest) -> PathBuf {
        self.path(PARTIAL).join(format!("{}.partial", digest.hex()))
    }

    fn open_partial(&self, digest: &Digest) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(false).open(self.partial(digest))
    }

    /// Takes over an opened file; nothing when it turns out to be one whose writer is done with it.
    fn take(&self, digest: &Digest, file: File) -> io::Result<Option<Tried>> {
        let path = self.partial(digest);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Some(Tried::Busy(file.metadata()?.len()))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between opening and locking the last writer may have finished, and taken the name away.
        if !is_same(&file, &path) {
            return Ok(None);
        }
        if let Some(blob) = self.find(digest) {
            let _ = fs::remove_file(&path);
            return Ok(Some(Tried::Claimed(Claim::Ready(blob))));
        }
        Partial::open(file, Some(path)).map(|partial| Some(Tried::Claimed(Claim::Ours(partial))))
    }

    /// Files a complete download, and returns its bytes. A download that cannot be filed is still returned.
    pub(crate) fn complete(&self, partial: &Partial) -> io::Result<Vec<u8>> {
        let bytes = partial.read()?;
        let digest = partial.digest();
        let named = partial.path.as_ref().filter(|_| bytes.len() as u64 <= self.inner.max_bytes);
        match named.map(|path| fs::rename(path, self.blob(&digest))) {
            Some(Ok(())) => self.evict(&[digest]),
            Some(Err(error)) => self.complain(&error),
            None => {
                partial.discard();
                if let Err(error) = self.put(&bytes) {
                    self.complain(&error.source);
                }
            }
        }
        Ok(bytes)
    }
}

enum Tried {
    Claimed(Claim),
    /// Somebody else writes it, and came so far.
    Busy(u64),
}

impl Partial {
    /// A file without a name, gone when it is dropped.
    pub(crate) fn nameless() -> io::Result<Self> {
        Self::open(tempfile::tempfile()?, None)
    }

    fn open(mut file: File, path: Option<PathBuf>) -> io::Result<Self> {
        let mut hasher = Hasher::default();
        let mut len = 0;
        let mut chunk = vec![0; 256 << 10];
        file.seek(SeekFrom::Start(0))?;
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                count => {
                    hasher.update(&chunk[..count]);
                    len += count as u64;
                }
            }
        }
        Ok(Self { content: Arc::new(Mutex::new(Content { file, hasher })), len, path, _source: None })
    }

    /// Bytes that are there.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The digest of what is there.
    pub(crate) fn digest(&self) -> Digest {
        self.content().hasher.clone().finish()
    }

    /// Adds to the end.
    pub(crate) async fn append(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        let content = self.content.clone();
        let added: usize = pieces.iter().map(Bytes::len).sum();
        tokio::task::spawn_blocking(move || {
            let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
            for piece in pieces {
                content.file.write_all(&piece)?;
                content.hasher.update(&piece);
            }
            Ok::<_, io::Error>(())
        })
        .await??;
        self.len += added as u64;
        Ok(())
    }

    /// Empties it.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        let mut content = self.content();
        content.file.set_len(0)?;
        content.file.seek(SeekFrom::Start(0))?;
        content.hasher = Hasher::default();
        drop(content);
        self.len = 0;
        Ok(())
    }

    /// All of it, read back and checked once more: disks fail too.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut content = self.content();
        content.file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::with_capacity(usize::try_from(self.len).map_err(io::Error::other)?);
        (&content.file).take(self.len).read_to_end(&mut bytes)?;
        if Digest::of(&bytes) != content.hasher.clone().finish() {
            return Err(io::Error::other("what was written reads back as something else"));
        }
        Ok(bytes)
    }

    /// The file at its beginning, for reading it without keeping it in memory.
    pub(crate) fn reader(&self) -> io::Result<File> {
        let mut file = self.content().file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    /// Gives it up; nobody will want it again.
    pub(crate) fn discard(&self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }

    fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn ours(cache: &Cache, digest: &Digest) -> Option<Partial> {
        match cache.try_claim(digest).expect("writable") {
            Tried::Claimed(Claim::Ours(partial)) => Some(partial),
            Tried::Claimed(Claim::Ready(_)) | Tried::Busy(_) => None,
        }
    }

    #[test]
    fn a_file_whose_writer_finished_meanwhile_is_not_taken_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(directory.path(), 1 << 20).expect("a cache");
        let digest = Digest::of(b"content");
        let opened = cache.open_partial(&digest).expect("writable");
        let first = ours(&cache, &digest).expect("nobody writes it");
        assert!(ours(&cache, &digest).is_none(), "somebody writes it");
        first.discard();
        drop(first);
        assert!(cache.take(&digest, opened).expect("readable").is_none(), "it has no name any more");

        let opened = cache.open_partial(&digest).expect("writable");
        cache.put(b"content").expect("written");
        let taken = cache.take(&digest, opened).expect("readable");
        assert!(matches!(taken, Some(Tried::Claimed(Claim::Ready(_)))), "it is not needed any more");
        assert!(!cache.partial(&digest).exists());
    }

    #[test]
    fn one_writer_at_a_time_also_while_files_come_and_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(directory.path(), 1 << 20).expect("a cache");
        let digest = Digest::of(b"content");
        let inside = AtomicUsize::new(0);
        let write = || {
            for _ in 0..500 {
                let Some(partial) = ours(&cache, &digest) else { continue };
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two write the same download");
                assert_eq!(partial.len(), 0, "nobody left anything");
                inside.fetch_sub(1, Ordering::SeqCst);
                partial.discard();
            }
        };
        std::thread::scope(|scope| drop([(); 8].map(|()| scope.spawn(write))));
    }
}
