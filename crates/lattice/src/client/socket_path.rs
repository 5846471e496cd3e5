//! Paths of control sockets that are longer than a Unix socket address holds (`SUN_LEN`: 107 bytes on Linux, 103 elsewhere).
//!
//! Owns the way around: the directory is opened, and the socket is named through `/proc/self/fd`. Where there is no `/proc`,
//! the system's refusal stands, with the length in it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// What fits into an address everywhere, its closing zero byte not counted.
const LONGEST: usize = 103;

/// A path that can be bound or connected to while this lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// Keeps the number in `path` ours.
    _directory: Option<File>,
}

impl SocketPath {
    /// The path itself where it is short enough, else a way around. The directory must exist.
    ///
    /// # Errors
    /// The directory cannot be opened, or there is no way around on this system.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket has no file name"));
        };
        let directory = File::open(parent)?;
        let around = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&directory)));
        if !around.exists() {
            let length = path.as_os_str().len();
            let reason = format!("the path has {length} bytes, and a socket address holds {LONGEST}");
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, reason));
        }
        Ok(Self { path: around.join(name), _directory: Some(directory) })
    }

    /// What to bind or connect to.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_deep_below_is_bound_and_reached() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("host.sock");
        let _listener = UnixListener::bind(SocketPath::of(&path).unwrap().as_path()).unwrap();
        assert!(path.exists());
        UnixStream::connect(SocketPath::of(&path).unwrap().as_path()).unwrap();
    }

    #[test]
    fn a_short_path_stays_as_it_is_and_a_missing_directory_is_said() {
        assert_eq!(SocketPath::of(Path::new("/run/x/host.sock")).unwrap().as_path(), Path::new("/run/x/host.sock"));
        let missing = PathBuf::from("/nonexistent").join("d".repeat(120)).join("host.sock");
        assert_eq!(SocketPath::of(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
