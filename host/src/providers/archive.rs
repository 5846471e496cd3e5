//! From a provider archive to an executable on disk.
//!
//! Executables are stored by the SHA-256 of their bytes under the state directory, written to a temp file, renamed
//! and compared before reuse. Invariant: what runs is exactly what the signed claims name.

use std::{
    fs::{self, File},
    io,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use artifacts::{NotAProgram, check_program};
use claims::{
    AccountId,
    archive::{self, Archive, Limits},
};
use data_encoding::HEXUPPER;
use lattice::invocation::OWN_KEY_MARK;
use sha2::{Digest, Sha256};

use crate::process::private;

/// Bytes of a program that say what it is.
const PROGRAM_HEAD: u64 = 4096;

/// Why an archive cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not an archive, not what its claims say, or without a binary for this machine.
    #[error("provider archive")]
    Archive(#[from] archive::ArchiveError),
    /// The binary is nothing that this machine runs.
    #[error("the binary for `{target}` in the provider archive is no program for it")]
    NotAProgram {
        /// The target.
        target: String,
        /// What it is instead.
        source: NotAProgram,
    },
    /// The executable cannot be stored.
    #[error("cannot store the executable in `{path}`")]
    Store {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// An archive whose signature, hashes and times hold. Its executable is in a file that nobody else can name, and goes when
/// this does.
#[derive(Debug)]
pub struct Verified {
    archive: Archive,
    hash: String,
    file: tempfile::NamedTempFile,
}

impl Verified {
    /// The archive, without its binaries.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Stores its executable where it may be run. Blocks for disk writes.
    ///
    /// # Errors
    /// [`ArchiveError::Store`].
    pub fn store(mut self, directory: &Path) -> Result<Unpacked, ArchiveError> {
        let path = directory.join(self.hash.to_lowercase());
        let failed = |source| ArchiveError::Store { path: path.clone(), source };
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let own_key = OWN_KEY_MARK.is_in(self.file.as_file_mut()).map_err(failed)?;
        store(&path, &self.hash, self.file).map_err(failed)?;
        Ok(Unpacked { archive: self.archive, executable: path, own_key })
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

/// Verifies an archive; its executable goes to the disk while it streams by. `is_trusted` is asked about the issuer before
/// anything is unpacked. Blocks for hashing and disk writes.
///
/// # Errors
/// [`ArchiveError`].
pub fn verify(
    stream: impl Read,
    directory: &Path,
    now: u64,
    is_trusted: &dyn Fn(&AccountId) -> bool,
) -> Result<Verified, ArchiveError> {
    let target = archive::native_target();
    let failed = |path: &Path, source| ArchiveError::Store { path: path.to_owned(), source };
    let private = private::directory(directory).map_err(io::Error::other);
    let new = private.and_then(|()| tempfile::NamedTempFile::new_in(directory));
    let mut file = new.map_err(|source| failed(directory, source))?;
    let archive = archive::extract_target(stream, &target, Limits::default(), is_trusted, file.as_file_mut());
    let archive = archive.map_err(|error| match error {
        archive::ArchiveError::Unwritable(source) => failed(directory, source),
        error => error.into(),
    })?;
    archive.check_times(now)?;
    let head = head(file.as_file_mut()).map_err(|source| failed(file.path(), source))?;
    check_program(&head, &target).map_err(|source| ArchiveError::NotAProgram { target: target.clone(), source })?;
    let hash = archive.metadata().target_hashes.get(&target).cloned().unwrap_or_default();
    Ok(Verified { archive, hash, file })
}

fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(PROGRAM_HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Puts the file in its place, unless what is there already has this hash.
fn store(path: &Path, hash: &str, file: tempfile::NamedTempFile) -> io::Result<()> {
    if hash_of(path).is_ok_and(|present| present == hash) {
        return Ok(());
    }
    file.as_file().set_permissions(fs::Permissions::from_mode(0o700))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(HEXUPPER.encode(&hasher.finalize())),
            count => hasher.update(&chunk[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use claims::{Claims, KeyKind, KeyPair, ProviderMetadata};

    use super::*;

    fn archived(binary: &[u8]) -> Vec<u8> {
        let account = KeyPair::generate(KeyKind::Account);
        let subject = KeyPair::generate(KeyKind::Service).public();
        let claims = Claims::new(account.public(), subject.as_str(), ProviderMetadata::default(), 1);
        let targets = [(archive::native_target(), binary.to_vec())].into();
        let archive = archive::create(claims, targets, &account).expect("signed");
        archive::write(&archive, true).expect("written")
    }

    #[test]
    fn a_damaged_stored_executable_is_replaced() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let archive = archived(b"#!/bin/sh\nexit 0\n");
        let verify = || verify(archive.as_slice(), directory.path(), 1, &|_| true).expect("it holds");
        let unpack = || verify().store(directory.path()).expect("stored");
        let path = unpack().executable;
        fs::write(&path, b"wrong").expect("damaged");
        assert_eq!(unpack().executable, path);
        assert_eq!(fs::read(&path).expect("there"), b"#!/bin/sh\nexit 0\n");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "nothing is left behind");
    }

    #[test]
    fn what_no_machine_runs_is_not_stored_and_not_quoted() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let shadow = b"root:$6$secret:19000:0:99999:7:::\n".repeat(20);
        let refused = |bytes: &[u8]| {
            let error = verify(bytes, directory.path(), 1, &|_| true).map(drop);
            crate::process::error_chain::error_chain(&error.expect_err("refused"))
        };
        for text in [refused(&archived(&shadow)), refused(&shadow), refused(&[shadow.as_slice(), &[0; 512]].concat())] {
            assert!(!text.contains("root") && !text.contains("secret"), "{text}");
        }
        assert!(refused(&archived(&shadow)).contains("it is a text file"));
        let strange = verify(archived(b"#!/bin/sh\n").as_slice(), directory.path(), 1, &|_| false).map(drop);
        assert!(matches!(strange, Err(ArchiveError::Archive(archive::ArchiveError::UntrustedIssuer { .. }))));
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0, "nothing is left behind");
    }
}
