//! Directories and files that nobody but one user can have changed, or read.
//!
//! What a host keeps decides what it runs and holds passwords, so it must belong to the user the host runs as (root
//! counts as that user too, who can do everything anyway). Nothing here follows a link that somebody else made.
//! Invariant: permissions are only ever taken away, and only from what is the host's own.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// What a fresh file system has.
const OF_A_FILE_SYSTEM: &str = "lost+found";
/// The bit of directories in which everybody may make things.
const STICKY: u32 = 0o1000;

/// Why a directory or file is not used.
#[derive(Debug, thiserror::Error)]
pub enum NotPrivate {
    /// It belongs to somebody else.
    #[error(
        "`{path}` belongs to the user {owner}, and this runs as {user}: {owner} could read and change what is in it"
    )]
    Foreign {
        /// The directory or file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Others may write it.
    #[error("others may write `{path}` (mode {mode:o}); take that from them with `chmod go-w`")]
    Writable {
        /// The directory or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds other things.
    #[error(
        "`{path}` holds other things and is open to others (mode {mode:o}); name an empty directory, or one that does not exist"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is a link, a device or anything else that no host has made.
    #[error("`{path}` is not a {expected}; move it away")]
    OtherKind {
        /// The path.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
    },
    /// The system does not let us look.
    #[error("cannot look at `{path}`")]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl NotPrivate {
    /// Stable word for logs and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "foreign_directory",
            Self::Writable { .. } => "writable_by_others",
            Self::InUse { .. } => "directory_in_use",
            Self::OtherKind { .. } => "not_of_a_host",
            Self::Io { .. } => "unreadable",
        }
    }
}

/// Makes a directory for this user alone. One that is there must be this user's; from others it takes that they write.
///
/// # Errors
/// [`NotPrivate`].
pub fn directory(path: &Path) -> Result<(), NotPrivate> {
    unwritable(path, &own_directory(path)?)
}

/// A directory of this user, made if there is none.
fn own_directory(path: &Path) -> Result<fs::Metadata, NotPrivate> {
    let io = |source| NotPrivate::Io { path: path.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    // A link may stand for the directory, but only one that could not have been turned by somebody else.
    owned(path, &fs::symlink_metadata(path).map_err(io)?)?;
    let metadata = fs::metadata(path).map_err(io)?;
    owned(path, &metadata)?;
    if !metadata.is_dir() {
        return Err(NotPrivate::OtherKind { path: path.to_owned(), expected: "directory" });
    }
    Ok(metadata)
}

/// Takes a directory as the state directory of a host: closes it to others, and every file in it. `marks` are files of
/// state directories; one that is open to others, holds things and none of these is another's.
///
/// # Errors
/// [`NotPrivate`].
pub fn state_directory(path: &Path, marks: &[&str]) -> Result<(), NotPrivate> {
    let metadata = own_directory(path)?;
    let io = |source| NotPrivate::Io { path: path.to_owned(), source };
    let mode = metadata.mode() & 0o7777;
    let mut entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(io)?;
    entries.retain(|entry| entry.file_name() != OF_A_FILE_SYSTEM);
    let is_mark = |entry: &fs::DirEntry| marks.iter().any(|mark| entry.file_name() == *mark);
    let is_a_hosts = entries.is_empty() || entries.iter().any(is_mark);
    if mode & 0o077 != 0 {
        if !is_a_hosts || mode & STICKY != 0 {
            return Err(NotPrivate::InUse { path: path.to_owned(), mode });
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    entries.iter().try_for_each(|entry| close(&entry.path()))
}

/// Takes a file from everybody else, and that others write from a directory. Links to directories of this user are fine (a disk of its
/// own for data), anything else is not of a host.
fn close(path: &Path) -> Result<(), NotPrivate> {
    let io = |source| NotPrivate::Io { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(io)?,
    };
    owned(path, &metadata)?;
    if metadata.is_file() {
        if metadata.mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{:o}", metadata.mode() & 0o7777), "others could use a file of this host; they no longer can");
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        }
        return Ok(());
    }
    if metadata.is_symlink() {
        let target = fs::metadata(path).map_err(io)?;
        if !target.is_dir() {
            return Err(NotPrivate::OtherKind { path: path.to_owned(), expected: "file" });
        }
        owned(path, &target)?;
        return unwritable(path, &target);
    }
    if metadata.is_dir() { unwritable(path, &metadata) } else { Ok(()) } // sockets are replaced when they are opened
}

/// Takes from others that they write a directory of ours. One for everybody, such as `/tmp`, is left as it is.
fn unwritable(path: &Path, metadata: &fs::Metadata) -> Result<(), NotPrivate> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 == 0 {
        return Ok(());
    }
    if mode & STICKY != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(NotPrivate::Writable { path: path.to_owned(), mode });
    }
    tracing::warn!(path = %path.display(), mode = format!("{mode:o}"), "others could write a directory of this host; they no longer can");
    let closed = fs::Permissions::from_mode(mode & !0o022);
    fs::set_permissions(path, closed).map_err(|source| NotPrivate::Io { path: path.to_owned(), source })
}

/// Checks a file that is to be believed: this user's, and nobody else may write it.
///
/// # Errors
/// [`NotPrivate`].
pub fn believed(path: &Path, metadata: &fs::Metadata) -> Result<(), NotPrivate> {
    owned(path, metadata)?;
    not_writable(path, metadata)
}

fn owned(path: &Path, metadata: &fs::Metadata) -> Result<(), NotPrivate> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    match is_ours(owner, user) {
        true => Ok(()),
        false => Err(NotPrivate::Foreign { path: path.to_owned(), owner, user }),
    }
}

fn is_ours(owner: u32, user: u32) -> bool {
    owner == user || owner == 0
}

fn not_writable(path: &Path, metadata: &fs::Metadata) -> Result<(), NotPrivate> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 == 0 { Ok(()) } else { Err(NotPrivate::Writable { path: path.to_owned(), mode }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    }

    fn refused(path: &Path) -> Option<&'static str> {
        state_directory(path, &["lock"]).err().map(|error| error.code())
    }

    #[test]
    fn root_is_everybody_and_nobody_is_only_itself() {
        assert!(is_ours(1000, 1000) && is_ours(0, 1000));
        assert!(!is_ours(1000, 0) && !is_ours(1001, 1000));
    }

    #[test]
    fn what_a_host_keeps_is_closed_to_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("a/b");
        assert_eq!(refused(&state), None);
        assert_eq!(mode(&state), 0o700);
        for name in ["lock", "state.redb", "host.nk"] {
            fs::write(state.join(name), "secret").expect("written");
            set(&state.join(name), 0o644);
        }
        set(&state, 0o755);
        assert_eq!(refused(&state), None);
        assert_eq!(mode(&state), 0o700);
        for name in ["lock", "state.redb", "host.nk"] {
            assert_eq!(mode(&state.join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn a_directory_for_everybody_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        set(dir.path(), 0o1777);
        assert_eq!(refused(dir.path()), Some("directory_in_use"));
        assert_eq!(directory(dir.path()).err().map(|error| error.code()), Some("writable_by_others"));
        set(dir.path(), 0o755);
        fs::write(dir.path().join("passwd"), "others need it").expect("written");
        assert_eq!(refused(dir.path()), Some("directory_in_use"));
        assert_eq!((mode(dir.path()), mode(&dir.path().join("passwd")) & 0o044), (0o755, 0o044));
    }

    #[test]
    fn links_are_not_followed_to_files_and_only_to_directories_of_ours() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        fs::create_dir(&state).expect("made");
        fs::write(dir.path().join("elsewhere"), "").expect("written");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), state.join("state.redb")).expect("linked");
        assert_eq!(refused(&state), Some("directory_in_use"));
        set(&state, 0o700);
        assert_eq!(refused(&state), Some("not_of_a_host"));
        fs::remove_file(state.join("state.redb")).expect("removed");
        fs::create_dir(dir.path().join("disk")).expect("made");
        std::os::unix::fs::symlink(dir.path().join("disk"), state.join("data")).expect("linked");
        assert_eq!(refused(&state), None);
        set(&dir.path().join("disk"), 0o775);
        assert_eq!(refused(&state), None);
        assert_eq!(mode(&dir.path().join("disk")), 0o755);
        set(&dir.path().join("disk"), 0o1777);
        assert_eq!(refused(&state), Some("writable_by_others"));
    }

    #[test]
    fn what_belongs_to_another_user_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let (state, link) = (dir.path().join("state"), dir.path().join("link"));
        fs::create_dir(&state).expect("made");
        set(&state, 0o700);
        if std::os::unix::fs::chown(&state, Some(65534), None).is_err() {
            return assert_ne!(rustix::process::geteuid().as_raw(), 0, "root may give directories away");
        }
        assert_eq!(refused(&state), Some("foreign_directory"));
        // A link of ours to it, and a link of theirs to a directory of ours.
        std::os::unix::fs::symlink(&state, &link).expect("linked");
        assert_eq!(refused(&link), Some("foreign_directory"));
        let ours = dir.path().join("ours");
        fs::create_dir(&ours).expect("made");
        let theirs = dir.path().join("theirs");
        std::os::unix::fs::symlink(&ours, &theirs).expect("linked");
        std::os::unix::fs::lchown(&theirs, Some(65534), None).expect("root may");
        assert_eq!(refused(&theirs), Some("foreign_directory"));
        fs::write(ours.join("state.redb"), "").expect("written");
        set(&ours, 0o700);
        std::os::unix::fs::chown(ours.join("state.redb"), Some(65534), None).expect("root may");
        assert_eq!(refused(&ours), Some("foreign_directory"));
    }
}
