//! Writing a file that is there completely or not at all: elsewhere first, then renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::{Cache, TEMPORARY};

impl Cache {
    /// Writes `bytes` to `path`. The file in progress is locked, so that a cleaner can tell it from one whose writer died.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = tempfile::Builder::new().prefix("w-").tempfile_in(self.path(TEMPORARY))?;
        temporary.as_file().lock()?;
        temporary.as_file().write_all(bytes)?;
        temporary.persist(path).map(drop).map_err(|error| error.error)
    }
}

/// Removes a file whose lock is free; says whether it did.
pub(super) fn remove_unlocked(path: &Path) -> bool {
    // A file that cannot be opened cannot be judged.
    let Ok(file) = File::options().read(true).write(true).open(path) else { return false };
    file.try_lock().is_ok() && is_same(&file, path) && fs::remove_file(path).is_ok()
}

/// Whether `path` still names the open `file`, and not one that took its place.
#[cfg(unix)]
pub(super) fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
pub(super) fn is_same(_file: &File, path: &Path) -> bool {
    path.exists()
}
