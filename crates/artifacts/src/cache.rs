//! The cache: artifacts by their sha-256, in a directory that `wash` and hosts share.
//!
//! Knows files, not registries. Any number of processes may use one directory at once. Invariants:
//!
//! - what [`Cache::get`] returns has the digest asked for; a damaged file is removed and counts as missing;
//! - a file under `blobs` is complete: it was written elsewhere and renamed;
//! - the cache stays within its bound after every write, except for what was just written.
//!
//! ```text
//! blobs/{hex}             an artifact
//! partial/{hex}.partial   a download, locked while somebody writes it, resumed by whoever comes next
//! known/{hex of the key}  which artifact a reference or a manifest digest stood for last
//! temporary/…             a write in progress, locked by the writer
//! ```

mod evict;
mod known;
mod partial;
mod write;

use std::collections::HashMap;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

pub use known::Known;
pub(crate) use partial::{Claim, Partial};

use crate::digest::{Digest, Hasher};

const BLOBS: &str = "blobs";
const PARTIAL: &str = "partial";
const KNOWN: &str = "known";
const TEMPORARY: &str = "temporary";

/// Largest file looked at, bytes; whatever the bound of this cache, another process may have a larger one.
const MAX_FILE: u64 = 4 << 30;

/// How long a download of somebody else may bring too little before it is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// A directory of artifacts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    max_bytes: u64,
    patience: Duration,
    /// Whether somebody was told that nothing can be written.
    complained: AtomicBool,
    /// Where what this process downloads comes from.
    sources: Mutex<HashMap<Digest, String>>,
}

impl Cache {
    /// Opens the cache in `directory`, which is made if it is not there, and removes what dead processes left behind. A
    /// directory that cannot be written still serves what it holds.
    ///
    /// # Errors
    /// When there is no such directory and it cannot be made.
    pub fn open(directory: impl Into<PathBuf>, max_bytes: u64) -> Result<Self, CacheError> {
        Self::open_with_patience(directory, max_bytes, PATIENCE)
    }

    /// As [`Cache::open`], waiting at most `patience` for a download of another process that stands still.
    ///
    /// # Errors
    /// As [`Cache::open`].
    pub fn open_with_patience(
        directory: impl Into<PathBuf>,
        max_bytes: u64,
        patience: Duration,
    ) -> Result<Self, CacheError> {
        let directory = directory.into();
        let failed = |source| CacheError { directory: directory.display().to_string(), source };
        make_private(&directory).map_err(failed)?;
        let (complained, sources) = (AtomicBool::new(false), Mutex::default());
        let inner = Inner { directory, max_bytes, patience, complained, sources };
        let cache = Self { inner: Arc::new(inner) };
        for part in [BLOBS, PARTIAL, KNOWN, TEMPORARY] {
            if let Err(error) = make_private(&cache.path(part)) {
                cache.complain(&error);
            }
        }
        cache.evict(&[]);
        Ok(cache)
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// The artifact with this digest, if it is there and undamaged. Reads a whole file: not for an async task.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<Bytes> {
        let file = self.open_blob(digest)?;
        self.read_blob(digest, &file).map(Bytes::from)
    }

    /// Its file and length, without a look at what is in it.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Option<Blob> {
        let file = File::open(self.blob(digest)).ok()?;
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Blob { len: metadata.len(), file })
    }

    /// What is in it, if it is undamaged.
    pub(crate) fn read_blob(&self, digest: &Digest, blob: &Blob) -> Option<Vec<u8>> {
        let bytes = blob.read().ok()?;
        let Some(bytes) = bytes.filter(|bytes| Digest::of(bytes) == *digest) else {
            self.remove_damaged(digest);
            return None;
        };
        // The time of the last use; a directory that is not ours keeps its times.
        let _ = blob.file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Its file, if that is undamaged. Takes no memory, and as long as [`Cache::get`].
    pub(crate) fn find(&self, digest: &Digest) -> Option<Blob> {
        let blob = self.open_blob(digest)?;
        if blob.digest().ok()? == *digest {
            return Some(blob);
        }
        self.remove_damaged(digest);
        None
    }

    fn remove_damaged(&self, digest: &Digest) {
        let path = self.blob(digest);
        tracing::warn!(%digest, path = %path.display(), "a damaged file was removed from the artifact cache");
        let _ = fs::remove_file(&path);
    }

    /// Whether there is a file for this digest; whether it is undamaged, only [`Cache::get`] knows.
    #[must_use]
    pub fn holds(&self, digest: &Digest) -> bool {
        self.blob(digest).exists()
    }

    /// Keeps an artifact. More than fits the cache is not kept, which is no error.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        let digest = Digest::of(bytes);
        let path = self.blob(&digest);
        if bytes.len() as u64 <= self.inner.max_bytes && !path.exists() {
            self.write(&path, bytes).map_err(|source| self.error(source))?;
            self.evict(&[digest]);
        }
        Ok(digest)
    }

    /// Forgets everything that nobody writes just now, and says how many bytes that were.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clear(&self) -> Result<u64, CacheError> {
        self.remove_all().map_err(|source| self.error(source))
    }

    /// Bytes of all artifacts and downloads in it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files().iter().map(|file| file.size).sum()
    }

    fn path(&self, part: &str) -> PathBuf {
        self.inner.directory.join(part)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.path(BLOBS).join(digest.hex())
    }

    fn error(&self, source: io::Error) -> CacheError {
        CacheError { directory: self.inner.directory.display().to_string(), source }
    }

    /// Says once that nothing can be written.
    fn complain(&self, error: &io::Error) {
        if !self.inner.complained.swap(true, Ordering::Relaxed) {
            let directory = self.inner.directory.display();
            tracing::warn!(%error, %directory, "the artifact cache cannot be written; it serves what it holds");
        }
    }
}

/// An opened artifact.
pub(crate) struct Blob {
    file: File,
    pub(crate) len: u64,
}

impl Blob {
    /// The whole file; nothing when that is more than any artifact has.
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        if self.len > MAX_FILE {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(usize::try_from(self.len).map_err(io::Error::other)?)?;
        let mut file = self.reader()?;
        // One that grows while it is read is not one of ours.
        file.by_ref().take(self.len).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn digest(&self) -> io::Result<Digest> {
        let mut hasher = Hasher::default();
        let mut file = self.reader()?.take(MAX_FILE);
        let mut chunk = vec![0; 256 << 10];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hasher.finish()),
                count => hasher.update(&chunk[..count]),
            }
        }
    }

    /// The file at its beginning.
    pub(crate) fn reader(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// Makes a directory only we can enter: names in it say what this machine runs.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// The cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the artifact cache in `{directory}`")]
pub struct CacheError {
    /// Where it is.
    pub directory: String,
    /// The system's reason.
    pub source: io::Error,
}

impl CacheError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "artifact_cache"
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        "make the directory writable, or choose another one with `--cache-dir`".to_owned()
    }
}
