//! The code cache: compiled code in files, for the next start.
//!
//! Any number of processes of one user may share the directory. It holds native code, so it must be ours alone, and
//! every file is sealed with a key of this machine that is checked whenever it is read. Invariants: a file that is
//! handed out was checked through the very descriptor it is mapped from; a damaged or foreign file is removed; the
//! directory stays within its bound after every write.

use std::{
    fs::{self, File, FileTimes},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use super::{
    key::{MachineKey, private_directory},
    seal::{self, Broken, CodeId},
};
use crate::engine::config::CodeCacheConfig;

/// Writes in progress are locked from their first moments on; these are the first moments.
const JUST_MADE: Duration = Duration::from_secs(60);
const TEMPORARY: &str = "write-";

/// A directory of compiled code.
#[derive(Debug)]
pub(crate) struct CodeCache {
    directory: PathBuf,
    max_bytes: u64,
    key: MachineKey,
    /// Whether somebody was told that nothing can be written.
    complained: AtomicBool,
}

/// What the cache has.
pub(super) enum Lookup {
    /// Code made by this machine, unchanged.
    Hit(SealedFile),
    Missing,
    /// There was something, and it is gone now.
    Discarded(String),
}

/// A file whose seal was checked, or that was written just now.
pub(super) struct SealedFile {
    file: File,
    path: PathBuf,
}

impl CodeCache {
    /// Opens the cache, or says in the log why there is none: code that is compiled every time is better than no host.
    pub(crate) fn open_or_warn(config: &CodeCacheConfig) -> Option<Self> {
        let opened = Self::open(&config.dir, config.max_bytes);
        let warn = |error: &io::Error| {
            let dir = config.dir.display();
            tracing::warn!(%error, %dir, "no code cache: what was compiled is not kept for the next start");
        };
        opened.inspect_err(warn).ok()
    }

    pub(super) fn open(directory: &Path, max_bytes: u64) -> io::Result<Self> {
        private_directory(directory)?;
        // Absolute, because the process may change its working directory.
        let directory = fs::canonicalize(directory)?;
        let key = MachineKey::open(&directory)?;
        let cache = Self { directory, max_bytes, key, complained: AtomicBool::new(false) };
        cache.evict(None);
        Ok(cache)
    }

    /// The code, if it is there and ours. Reads a whole file: not for an async thread.
    pub(super) fn get(&self, id: &CodeId) -> Lookup {
        let path = self.path(id);
        let Ok(file) = File::open(&path) else { return Lookup::Missing };
        match self.check(id, &file) {
            Ok(Ok(())) => {
                // The time of the last use. Who may not set it may still use it.
                let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
                Lookup::Hit(SealedFile { file, path })
            }
            Ok(Err(broken)) => Lookup::Discarded(self.discard(id, &broken.to_string())),
            Err(error) => Lookup::Discarded(self.discard(id, &error.to_string())),
        }
    }

    /// Removes a file that turned out to be of no use; returns the reason.
    pub(super) fn discard(&self, id: &CodeId, reason: &str) -> String {
        let path = self.path(id);
        tracing::warn!(path = %path.display(), reason, "a file was removed from the code cache");
        let _ = fs::remove_file(path);
        reason.to_owned()
    }

    /// Files code that was made just now. A cache that cannot hold it says so once.
    pub(super) fn put(&self, id: &CodeId, code: &[u8]) -> Option<SealedFile> {
        let written = self.write(id, code);
        let complain = |error: &io::Error| {
            if !self.complained.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, directory = %self.directory.display(), "cannot write to the code cache");
            }
        };
        written.inspect_err(complain).ok()
    }

    /// The length of the code in `sealed`, if that is what is asked for and this machine made it.
    pub(super) fn check_sealed(&self, id: &CodeId, sealed: &[u8]) -> Result<usize, Broken> {
        let checked = seal::check(&self.key, id, sealed, sealed.len() as u64);
        checked.unwrap_or(Err(Broken::Format))?;
        Ok(sealed.len() - seal::TRAILER)
    }

    /// The code with its seal behind it.
    pub(super) fn seal(&self, id: &CodeId, code: &[u8]) -> Vec<u8> {
        [code, &seal::trailer(&self.key, id, code)].concat()
    }

    fn check(&self, id: &CodeId, file: &File) -> io::Result<Result<(), Broken>> {
        let len = file.metadata()?.len();
        seal::check(&self.key, id, file, len)
    }

    fn write(&self, id: &CodeId, code: &[u8]) -> io::Result<SealedFile> {
        let len = code.len() as u64 + seal::TRAILER as u64;
        if len > self.max_bytes {
            return Err(io::Error::other(format!("{len} bytes do not fit into a cache of {}", self.max_bytes)));
        }
        let mut temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.directory)?;
        temporary.as_file().lock()?;
        temporary.write_all(code)?;
        temporary.write_all(&seal::trailer(&self.key, id, code))?;
        let path = self.path(id);
        let file = temporary.persist(&path).map_err(|error| error.error)?;
        file.unlock()?;
        self.evict(Some(id));
        Ok(SealedFile { file, path })
    }

    /// Removes what was not used for longest until the rest fits, and what dead processes left. `keep` stays.
    fn evict(&self, keep: Option<&CodeId>) {
        let keep = keep.map(|id| self.path(id));
        let mut files: Vec<Stored> = self.stored();
        let mut size: u64 = files.iter().map(|file| file.size).sum();
        files.sort_by_key(|file| file.used);
        for file in files {
            if size <= self.max_bytes {
                break;
            }
            if Some(&file.path) != keep.as_ref() && fs::remove_file(&file.path).is_ok() {
                tracing::debug!(path = %file.path.display(), "evicted from the code cache");
                size -= file.size;
            }
        }
    }

    /// All files that count. Writes that nobody will finish are removed on the way.
    fn stored(&self) -> Vec<Stored> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let stored = |entry: fs::DirEntry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let (path, used) = (entry.path(), metadata.modified().ok()?);
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                if used.elapsed().is_ok_and(|age| age > JUST_MADE) {
                    remove_unlocked(&path);
                }
                return None;
            }
            (path.extension()? == "code").then_some(Stored { path, size: metadata.len(), used })
        };
        entries.flatten().filter_map(stored).collect()
    }

    fn path(&self, id: &CodeId) -> PathBuf {
        self.directory.join(id.name())
    }
}

struct Stored {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

fn remove_unlocked(path: &Path) {
    if let Ok(file) = File::options().write(true).open(path)
        && file.try_lock().is_ok()
    {
        let _ = fs::remove_file(path);
    }
}

impl SealedFile {
    /// A path that leads to the checked file, whatever becomes of its name.
    #[cfg(target_os = "linux")]
    pub(super) fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        let same = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        if same.exists() { same } else { self.path.clone() }
    }

    /// Where it is; only we can have put something else there.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// All of it, for a file system that code cannot be mapped from.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiled::{Digest, seal::Fingerprint};

    fn id(number: u8) -> CodeId {
        CodeId { wasm: Digest([number; 32]), fingerprint: Fingerprint([2; 32]) }
    }

    fn hit(lookup: Lookup) -> Vec<u8> {
        let Lookup::Hit(file) = lookup else { panic!("it is there") };
        assert_eq!(fs::read(file.path()).expect("readable"), file.read().expect("readable"));
        let mut code = file.read().expect("readable");
        code.truncate(code.len() - seal::TRAILER);
        code
    }

    fn used_ago(cache: &CodeCache, id: &CodeId, seconds: u64) {
        let file = File::options().write(true).open(cache.path(id)).expect("there");
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).expect("ours");
    }

    #[test]
    fn code_comes_back_in_another_process_and_not_to_another_machine() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = CodeCache::open(directory.path(), 1 << 20).expect("a cache");
        assert!(matches!(cache.get(&id(1)), Lookup::Missing));
        cache.put(&id(1), b"code").expect("written");
        let other = CodeCache::open(directory.path(), 1 << 20).expect("the same cache");
        assert_eq!(hit(other.get(&id(1))), b"code");

        let elsewhere = tempfile::tempdir().expect("a directory");
        let foreign = CodeCache::open(elsewhere.path(), 1 << 20).expect("a cache");
        fs::copy(cache.path(&id(1)), foreign.path(&id(1))).expect("copied");
        let Lookup::Discarded(reason) = foreign.get(&id(1)) else { panic!("it is of another machine") };
        assert_eq!(reason, Broken::Seal.to_string());
        assert!(matches!(foreign.get(&id(1)), Lookup::Missing), "it was removed");
    }

    #[test]
    fn the_bound_holds_and_what_was_used_last_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let entry = 1000 + seal::TRAILER as u64;
        let cache = CodeCache::open(directory.path(), 3 * entry).expect("a cache");
        for number in 1..=3 {
            cache.put(&id(number), &[number; 1000]).expect("written");
            used_ago(&cache, &id(number), 100 - u64::from(number));
        }
        assert_eq!(hit(cache.get(&id(1))), [1; 1000], "used just now");
        cache.put(&id(4), &[4; 1000]).expect("written");
        assert!(matches!(cache.get(&id(2)), Lookup::Missing), "not used for longest");
        for number in [1, 3, 4] {
            assert_eq!(hit(cache.get(&id(number))), [number; 1000]);
        }
        assert!(cache.put(&id(5), &[5; 4000]).is_none(), "larger than the cache");
        let size: u64 = cache.stored().iter().map(|file| file.size).sum();
        assert!(size <= 3 * entry, "{size}");
        let smaller = CodeCache::open(directory.path(), entry).expect("a cache");
        assert_eq!(smaller.stored().len(), 1);
    }

    #[test]
    fn a_write_of_a_dead_process_is_cleaned_up_and_one_in_progress_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let (dead, alive) = (directory.path().join("write-dead"), directory.path().join("write-alive"));
        let old = SystemTime::now() - 2 * JUST_MADE;
        let make = |path: &Path| {
            let file = File::create(path).expect("made");
            file.set_modified(old).expect("ours");
            file
        };
        drop(make(&dead));
        let writer = make(&alive);
        writer.lock().expect("free");
        CodeCache::open(directory.path(), 1 << 20).expect("a cache");
        assert!(!dead.exists() && alive.exists());
    }

    #[test]
    fn where_no_directory_can_be_there_is_no_cache() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let config = CodeCacheConfig { dir: file.path().join("code"), max_bytes: 1 };
        assert!(CodeCache::open_or_warn(&config).is_none());
    }
}
