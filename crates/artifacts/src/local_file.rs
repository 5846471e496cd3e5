//! Files that somebody names: opened once, regular, and read up to a bound.
//!
//! What a name leads to is judged on what was opened, not on the name, so that nothing can take its place in between.
//! Invariants: no open waits for somebody at the other end of a pipe; nothing is read that has no length of its own
//! (devices, pipes, what the kernel makes up while it is read), except for [`read_given`]; no more is allocated than the
//! length of the file, which is within the bound.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// An opened regular file of known length.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    path: PathBuf,
    len: u64,
}

impl LocalFile {
    /// Opens `path`, following symbolic links. May take as long as its file system takes.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be opened, is not a regular file or has more than `limit` bytes.
    pub fn open(path: &Path, limit: u64) -> Result<Self, FileError> {
        let unreadable = |source| FileError::unreadable(path, source);
        // Drivers act on being opened, so what is no file is left alone. What counts is what is opened below.
        check_regular(path, &std::fs::metadata(path).map_err(unreadable)?)?;
        let file = open_without_waiting(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        check_regular(path, &metadata)?;
        let len = metadata.len();
        if len > limit {
            return Err(FileError::TooLarge { path: shown(path), limit });
        }
        Ok(Self { file, path: path.to_owned(), len })
    }

    /// Its length when it was opened.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it was empty when it was opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it. What was added since it was opened is not read.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read, or became shorter.
    pub fn read(self) -> Result<Vec<u8>, FileError> {
        let unreadable = |source| FileError::unreadable(&self.path, source);
        let mut bytes = Vec::new();
        let room = usize::try_from(self.len).map_err(|_| unreadable(io::ErrorKind::OutOfMemory.into()))?;
        bytes.try_reserve_exact(room).map_err(|_| unreadable(io::ErrorKind::OutOfMemory.into()))?;
        (&self.file).take(self.len).read_to_end(&mut bytes).map_err(unreadable)?;
        if (bytes.len() as u64) < self.len {
            return Err(FileError::Changed { path: shown(&self.path) });
        }
        Ok(bytes)
    }
}

/// Reads a file its user names on a command line: also from a pipe, for which is waited, but not from a device.
///
/// # Errors
/// As [`LocalFile::open`] and [`LocalFile::read`].
pub fn read_given(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::unreadable(path, source);
    let is_pipe = kind(&std::fs::metadata(path).map_err(unreadable)?) == PIPE;
    if !is_pipe {
        return LocalFile::open(path, limit)?.read();
    }
    let file = File::open(path).map_err(unreadable)?;
    if kind(&file.metadata().map_err(unreadable)?) != PIPE {
        return Err(FileError::Changed { path: shown(path) });
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: shown(path), limit });
    }
    Ok(bytes)
}

#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    File::options().read(true).custom_flags(flags).open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
    if metadata.is_file() { Ok(()) } else { Err(FileError::NotRegular { path: shown(path), kind: kind(metadata) }) }
}

const PIPE: &str = "pipe";

fn kind(metadata: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return PIPE;
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "device";
        }
        if kind.is_socket() {
            return "socket";
        }
    }
    if metadata.is_dir() { "directory" } else { "special file" }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Why a file is not read. Nothing in it is from the file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system does not let us.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The path.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Not a regular file.
    #[error("`{path}` is a {kind}, not a regular file")]
    NotRegular {
        /// The path.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// Larger than what is expected there may be.
    #[error("`{path}` has more than the {limit} bytes that are accepted")]
    TooLarge {
        /// The path.
        path: String,
        /// The bound.
        limit: u64,
    },
    /// It became shorter, or something else, while it was read.
    #[error("`{path}` changed while it was read")]
    Changed {
        /// The path.
        path: String,
    },
}

impl FileError {
    fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { path: shown(path), source }
    }

    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::NotRegular { .. } => "not_a_file",
            Self::TooLarge { .. } => "too_large",
            Self::Changed { .. } => "file_changed_meanwhile",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check that the file is there and may be read".to_owned(),
            Self::NotRegular { .. } => "name a regular file".to_owned(),
            Self::TooLarge { .. } => "name the file that was meant, or make it smaller".to_owned(),
            Self::Changed { .. } => "try again when nobody writes it".to_owned(),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    fn refusal(path: &str) -> &'static str {
        LocalFile::open(Path::new(path), 1 << 20).map(|file| file.len()).expect_err("it is refused").code()
    }

    #[test]
    fn what_is_no_file_is_refused_at_once_and_by_what_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::os::unix::fs::symlink("/dev/zero", path("zero")).expect("a link");
        std::os::unix::net::UnixListener::bind(path("socket")).expect("a socket");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe").as_str(), mode).expect("a pipe");
        let began = Instant::now();
        for name in ["/dev/zero", &path("zero"), &path("pipe"), &path("socket"), &path("")] {
            assert_eq!(refusal(name), "not_a_file", "{name}");
        }
        assert_eq!(refusal(&path("absent")), "unreadable");
        // The check on the handle holds where the one on the name was passed.
        let file = open_without_waiting(Path::new(&path("pipe"))).expect("opened without a writer");
        assert_eq!(kind(&file.metadata().expect("known")), PIPE);
        assert!(began.elapsed() < Duration::from_secs(5), "nothing was waited for");
        assert_eq!(read_given(Path::new("/dev/zero"), 10).expect_err("a device").code(), "not_a_file");
    }

    #[test]
    fn what_the_kernel_makes_up_has_no_length_and_is_not_read() {
        let file = LocalFile::open(Path::new("/proc/self/status"), 1 << 20).expect("it is called regular");
        assert_eq!(file.read().expect("nothing of it").len(), 0);
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"content").expect("written");
        let open = |limit| LocalFile::open(file.path(), limit);
        assert_eq!(open(7).and_then(LocalFile::read).expect("read"), b"content");
        assert_eq!(open(6).expect_err("larger").code(), "too_large");
        file.as_file().set_len(1 << 40).expect("sparse");
        assert_eq!(LocalFile::open(file.path(), 1 << 20).expect_err("larger").code(), "too_large");
        file.as_file().set_len(100).expect("shorter");
        let opened = LocalFile::open(file.path(), 100).expect("opened");
        file.as_file().set_len(7).expect("shorter");
        assert_eq!(opened.read().expect_err("shorter").code(), "file_changed_meanwhile");
    }

    #[test]
    fn a_user_may_name_a_pipe_and_it_is_bounded_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("a pipe");
        for (content, limit, expected) in [("abc", 3, Ok(3)), ("abcd", 3, Err("too_large"))] {
            let to = path.clone();
            let writer = std::thread::spawn(move || std::fs::write(to, content));
            let read = read_given(&path, limit).map(|bytes| bytes.len()).map_err(|error| error.code());
            assert_eq!(read, expected);
            drop(writer.join());
        }
    }
}
