//! Keeping the cache within its bound: what was used longest ago goes first, what somebody writes stays.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::write::remove_unlocked;
use super::{BLOBS, Cache, KNOWN, PARTIAL, TEMPORARY};
use crate::digest::Digest;

/// References remembered; the ones remembered longest ago go first.
const MAX_KNOWN: usize = 4096;
/// Downloads nobody came back for.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);
/// Writes in progress are locked from their first moments on; these are the first moments.
const JUST_MADE: Duration = Duration::from_secs(60);

/// A file that counts.
pub(super) struct Stored {
    path: PathBuf,
    pub(super) size: u64,
    used: SystemTime,
    partial: bool,
}

impl Cache {
    /// Removes what is beyond the bound, except `keep`, and what dead processes left.
    pub(super) fn evict(&self, keep: &[Digest]) {
        self.clean();
        let mut files = self.files();
        let mut size: u64 = files.iter().map(|file| file.size).sum();
        files.sort_by_key(|file| file.used);
        let keep: Vec<PathBuf> = keep.iter().map(|digest| self.blob(digest)).collect();
        for file in files {
            if size <= self.inner.max_bytes {
                break;
            }
            if !keep.contains(&file.path) && remove(&file) {
                tracing::debug!(path = %file.path.display(), "evicted from the artifact cache");
                size -= file.size;
            }
        }
    }

    fn clean(&self) {
        let old = |file: &Stored, age| file.used.elapsed().is_ok_and(|elapsed| elapsed > age);
        for file in list(self.path(TEMPORARY), true).iter().filter(|file| old(file, JUST_MADE)) {
            remove_unlocked(&file.path);
        }
        for file in list(self.path(PARTIAL), true).iter().filter(|file| old(file, FORGOTTEN)) {
            remove_unlocked(&file.path);
        }
        let mut known = list(self.path(KNOWN), false);
        if known.len() > MAX_KNOWN {
            known.sort_by_key(|file| file.used);
            let surplus = known.len() - MAX_KNOWN;
            known.iter().take(surplus).for_each(|file| drop(fs::remove_file(&file.path)));
        }
    }

    /// All files that count.
    pub(super) fn files(&self) -> Vec<Stored> {
        let mut files = list(self.path(BLOBS), false);
        files.extend(list(self.path(PARTIAL), true));
        files
    }

    pub(super) fn remove_all(&self) -> io::Result<u64> {
        let mut freed = 0;
        for file in self.files() {
            if remove(&file) {
                freed += file.size;
            } else if !file.partial && file.path.exists() {
                return Err(fs::remove_file(&file.path).err().unwrap_or_else(|| io::ErrorKind::Other.into()));
            }
        }
        for known in list(self.path(KNOWN), false) {
            fs::remove_file(&known.path)?;
        }
        for file in list(self.path(TEMPORARY), true) {
            remove_unlocked(&file.path);
        }
        Ok(freed)
    }
}

fn remove(file: &Stored) -> bool {
    if file.partial { remove_unlocked(&file.path) } else { fs::remove_file(&file.path).is_ok() }
}

fn list(directory: PathBuf, partial: bool) -> Vec<Stored> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let stored = |entry: fs::DirEntry| {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Stored { path: entry.path(), size: metadata.len(), used: metadata.modified().ok()?, partial })
    };
    entries.flatten().filter_map(stored).collect()
}
