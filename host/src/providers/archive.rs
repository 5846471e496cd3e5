//! From a provider archive to an executable on disk.
//!
//! Executables are stored by the SHA-256 of their bytes under the state directory, written to a temp file, renamed
//! and compared before reuse. Invariant: what runs is exactly what the signed claims name.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use claims::archive::{self, Archive, Limits};
use lattice::invocation::OWN_KEY_MARK;

use crate::trust::private;

/// Why an archive cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not an archive, not what its claims say, or without a binary for this machine.
    #[error("provider archive: {0}")]
    Archive(#[from] archive::ArchiveError),
    /// The executable cannot be stored.
    #[error("cannot store the executable in `{path}`: {source}")]
    Store {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// An archive whose signature, hashes and times hold; nothing of it is on disk.
#[derive(Debug)]
pub struct Verified {
    archive: Archive,
    hash: String,
}

impl Verified {
    /// The archive, with the binary for this machine.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Stores its executable. Blocks for disk writes.
    ///
    /// # Errors
    /// [`ArchiveError::Store`].
    pub fn store(mut self, directory: &Path) -> Result<Unpacked, ArchiveError> {
        let binary = self.archive.targets.remove(&archive::native_target());
        let binary = binary.expect("an archive that was read for a target has it");
        let path = directory.join(&self.hash);
        store(&path, &binary).map_err(|source| ArchiveError::Store { path: path.clone(), source })?;
        Ok(Unpacked { archive: self.archive, executable: path, own_key: OWN_KEY_MARK.is_in(&binary) })
    }
}

/// A verified archive and its executable for this machine.
#[derive(Debug)]
pub struct Unpacked {
    /// The archive, without its binaries.
    pub archive: Archive,
    /// The executable.
    pub executable: PathBuf,
    /// Whether it signs with a key of its own.
    pub own_key: bool,
}

/// Verifies an archive. Blocks for hashing.
///
/// # Errors
/// [`ArchiveError`].
pub fn verify(bytes: &Bytes, now: u64) -> Result<Verified, ArchiveError> {
    let target = archive::native_target();
    let archive = archive::read_target(bytes, &target, Limits::default())?;
    archive.check_times(now)?;
    let hash = archive.metadata().target_hashes.get(&target).cloned().unwrap_or_default().to_lowercase();
    Ok(Verified { archive, hash })
}

fn store(path: &Path, binary: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == binary) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    private::directory(directory).map_err(io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(binary)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o700))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_stored_executable_is_replaced() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let path = directory.path().join("providers/abc");
        store(&path, b"right").expect("stored");
        fs::write(&path, b"wrong").expect("damaged");
        store(&path, b"right").expect("stored again");
        assert_eq!(fs::read(&path).expect("there"), b"right");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
    }
}
