//! Writing files so that nobody sees half of one, and so that only their owner sees what is private.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::failure::{OrFail, Result};

/// Creates a directory, and what is missing above it, for the owner only. One that exists is left as it is.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn create_private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .while_doing(|| format!("cannot create the directory `{}`", path.display()))
}

/// Creates a file for its owner only, or opens it to append.
///
/// # Errors
/// Whatever the file system says.
pub fn append_private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Writes a file all at once: a host that reads it meanwhile sees the old one or the new one.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut aside = OsString::from(path.as_os_str());
    aside.push(format!(".{}.part", std::process::id()));
    fs::write(&aside, bytes)
        .and_then(|()| fs::rename(&aside, path))
        .inspect_err(|_| drop(fs::remove_file(&aside)))
        .while_doing(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn private_directories_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_private_dir(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_stays_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("absent/a.wasm"), b"x").unwrap_err().message().contains("cannot write"));
    }
}
