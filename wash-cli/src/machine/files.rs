//! Writing files so that nobody sees half of one, and so that only their owner sees what is private.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::{
    machine::home::is_nowhere,
    terminal::failure::{Failure, OrFail, Result},
};

/// Creates a directory, and what is missing above it, for the owner only. One that exists is left as it is.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn create_private_dir(path: &Path) -> Result<()> {
    if is_nowhere(path) {
        return Err(Failure::new("no directory for keys and state: neither `WASH_HOME` nor `HOME` is set, and the system knows no home of this user")
            .hint("set `WASH_HOME` to a directory of yours"));
    }
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

/// What a file of ours holds from a place on, at most so many bytes.
///
/// # Errors
/// Whatever the file system says.
pub fn read_part(path: &Path, from: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    // What the kernel makes up has no places.
    if from > 0 {
        file.seek(SeekFrom::Start(from))?;
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file all at once: a host that reads it meanwhile sees the old one or the new one. A symbolic link stays, and what
/// it leads to is written; what is no regular file (a device, a pipe, `/dev/stdout`) is written through and never replaced.
///
/// # Errors
/// Whatever the file system says, with the path.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    write_all(path, bytes).while_doing(|| format!("cannot write `{}`", path.display()))
}

fn write_all(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        // Where a link leads, so that the rename happens beside that file.
        Ok(metadata) if metadata.is_file() => {
            rename_over(&fs::canonicalize(path)?, bytes, Some(metadata.permissions()))
        }
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            // A link to a file that is not there yet.
            Ok(target) => rename_over(&path.parent().unwrap_or(Path::new("")).join(target), bytes, None),
            Err(_) => rename_over(path, bytes, None),
        },
        Err(error) => Err(error),
    }
}

/// A file that is there keeps its permissions.
fn rename_over(path: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let mut aside = OsString::from(path.as_os_str());
    aside.push(format!(".{}.part", std::process::id()));
    fs::write(&aside, bytes)
        .and_then(|()| permissions.map_or(Ok(()), |permissions| fs::set_permissions(&aside, permissions)))
        .and_then(|()| fs::rename(&aside, path))
        .inspect_err(|_| drop(fs::remove_file(&aside)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_part_is_read_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        fs::write(&path, "0123456789").unwrap();
        let part = |from, most| read_part(&path, from, most).unwrap();
        assert_eq!((part(0, 4), part(7, 10), part(20, 1)), (b"0123".to_vec(), b"789".to_vec(), Vec::new()));
        assert_eq!(read_part(Path::new("/dev/zero"), 0, 3).unwrap(), [0; 3]);
    }

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

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        let (file, link) = (dir.path().join("real/a.wasm"), dir.path().join("link.wasm"));
        std::os::unix::fs::symlink("real/a.wasm", &link).unwrap();
        for content in [b"new".as_slice(), b"again"] {
            replace(&link, content).unwrap();
            assert_eq!(fs::read(&file).unwrap(), content);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        }
    }

    #[test]
    fn what_is_no_file_is_written_through_and_stays_what_it_is() {
        use std::os::unix::fs::FileTypeExt;
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut read = Vec::new();
                fs::File::open(pipe).and_then(|mut pipe| pipe.read_to_end(&mut read)).map(|_| read)
            }
        });
        replace(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), b"through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn permissions_of_a_file_that_is_replaced_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        fs::write(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
