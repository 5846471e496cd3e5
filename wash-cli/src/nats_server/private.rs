//! Files and directories of the server that nobody but its user may read.
//!
//! Invariant: what exists already is used only when it belongs to this user; wider permissions are taken back.

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::{
    machine::files::create_private_dir,
    terminal::failure::{Failure, OrFail, Result},
};

/// Creates a directory for this user only, or makes one that is there so.
///
/// # Errors
/// It belongs to somebody else, or cannot be created.
pub fn private_dir(path: &Path) -> Result<()> {
    create_private_dir(path)?;
    let found = fs::metadata(path).while_doing(|| format!("cannot look at `{}`", path.display()))?;
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        return Err(Failure::new(format!("`{}` belongs to another user (uid {})", path.display(), found.uid()))
            .hint("set `WASH_HOME` to a directory of yours"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .while_doing(|| format!("cannot make `{}` private", path.display()))?;
    }
    Ok(())
}

/// Writes a file of mode 0600 all at once, over one that is there.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file =
            tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o600)).tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().while_doing(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
    use super::*;

    #[test]
    fn what_was_open_to_others_is_closed() {
        let home = tempfile::tempdir().unwrap();
        let (dir, file) = (home.path().join("nats-1"), home.path().join("nats-1/nats.conf"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        private_dir(&dir).unwrap();
        write_private(&file, b"new").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        if rustix::process::geteuid().is_root() {
            let dir = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(dir.path(), Some(65534), None).unwrap();
            assert!(private_dir(dir.path()).unwrap_err().message().contains("belongs to another user"));
        } else {
            assert!(private_dir(Path::new("/etc")).unwrap_err().message().contains("belongs to another user"));
        }
    }
}
