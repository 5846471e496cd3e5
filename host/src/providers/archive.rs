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

/// A verified archive and its executable for this machine.
pub struct Unpacked {
    /// The archive, without its binaries.
    pub archive: Archive,
    /// The executable.
    pub executable: PathBuf,
    /// Whether it signs with a key of its own.
    pub own_key: bool,
}

/// Verifies an archive and stores its executable. Blocks for hashing and disk writes.
///
/// # Errors
/// [`ArchiveError`].
pub fn unpack(bytes: &Bytes, directory: &Path, now: u64) -> Result<Unpacked, ArchiveError> {
    let target = archive::native_target();
    let mut archive = archive::read_target(bytes, &target, Limits::default())?;
    archive.check_times(now)?;
    let binary = archive.targets.remove(&target).expect("an archive that was read for a target has it");
    let hash = archive.claims.metadata.as_ref().and_then(|metadata| metadata.target_hashes.get(&target)).cloned();
    let path = directory.join(hash.unwrap_or_default().to_lowercase());
    store(&path, &binary).map_err(|source| ArchiveError::Store { path: path.clone(), source })?;
    Ok(Unpacked { archive, executable: path, own_key: OWN_KEY_MARK.is_in(&binary) })
}

fn store(path: &Path, binary: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == binary) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
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
