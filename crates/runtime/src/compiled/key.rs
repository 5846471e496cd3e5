//! The key of this machine, by which it knows the code it made.
//!
//! Knows nothing of code. Invariant: a key is read only from a file that nobody else can read, in a directory that
//! nobody else can write.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use hmac::{Hmac, Mac};
use sha2::Sha256;

const NAME: &str = "machine.key";
const LEN: usize = 32;

/// Seals and knows its own seals again.
pub(super) struct MachineKey(Hmac<Sha256>);

impl fmt::Debug for MachineKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl MachineKey {
    /// The key kept in `directory`, made if there is none. Two processes that make it at once get the same one.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(directory, &path)?;
                read(&path)
            }
            read => read,
        }
    }

    /// A code over what is fed to it.
    pub(super) fn mac(&self) -> Hmac<Sha256> {
        self.0.clone()
    }
}

fn read(path: &Path) -> io::Result<MachineKey> {
    let file = File::open(path)?;
    check_private(&file, 0o077).map_err(|reason| named(path, &reason))?;
    let mut key = Vec::with_capacity(LEN + 1);
    file.take(LEN as u64 + 1).read_to_end(&mut key)?;
    if key.len() != LEN {
        return Err(named(path, "it does not hold a key; remove it, and a new one is made"));
    }
    let key = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
    Ok(MachineKey(key))
}

fn create(directory: &Path, path: &Path) -> io::Result<()> {
    let mut key = [0; LEN];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut temporary = tempfile::Builder::new().prefix("key-").tempfile_in(directory)?;
    temporary.write_all(&key)?;
    temporary.as_file().sync_all()?;
    match temporary.persist_noclobber(path) {
        // Somebody else was first, and theirs it is.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        persisted => persisted.map(drop).map_err(|error| error.error),
    }
}

/// Makes a directory that is ours alone, or checks that the one that is there is.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)?;
    check_private(&File::open(path)?, 0o022).map_err(|reason| named(path, &reason))
}

/// Whether `file` belongs to us and has none of the permission bits `forbidden`.
#[cfg(unix)]
fn check_private(file: &File, forbidden: u32) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("it belongs to the user `{}`, not to this one", metadata.uid()));
    }
    if metadata.mode() & forbidden != 0 {
        return Err(format!("others may use it (mode `{:o}`); take that from them", metadata.mode() & 0o7777));
    }
    Ok(())
}

/// Elsewhere a user's directories are private unless somebody takes care that they are not.
#[cfg(not(unix))]
fn check_private(_file: &File, _forbidden: u32) -> Result<(), String> {
    Ok(())
}

fn named(path: &Path, reason: &str) -> io::Error {
    io::Error::other(format!("`{}`: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: &MachineKey) -> Vec<u8> {
        key.mac().chain_update("something").finalize().into_bytes().to_vec()
    }

    #[test]
    fn one_directory_has_one_key_whoever_opens_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || MachineKey::open(directory.path()).expect("a key");
        let seals: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = [(); 8].iter().map(|()| scope.spawn(|| seal(&open()))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(seals.iter().all(|each| *each == seals[0]));
        let other = tempfile::tempdir().expect("a directory");
        assert_ne!(seal(&MachineKey::open(other.path()).expect("a key")), seals[0]);
        assert_eq!(format!("{:?}", open()), "[redacted]");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        MachineKey::open(directory.path()).expect("a key");
        for wrong in [&b"short"[..], &[7; LEN + 1]] {
            fs::write(directory.path().join(NAME), wrong).expect("written");
            let error = MachineKey::open(directory.path()).expect_err("no key").to_string();
            assert!(error.contains("remove it"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_write_or_a_key_they_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("deep").join("code");
        private_directory(&directory).expect("made");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        MachineKey::open(&directory).expect("a key");
        let key = directory.join(NAME);
        assert_eq!(mode(&key), 0o600);

        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("ours");
        let error = MachineKey::open(&directory).expect_err("others may read it").to_string();
        assert!(error.contains("mode `640`"), "{error}");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).expect("ours");
        let error = private_directory(&directory).expect_err("others may write").to_string();
        assert!(error.contains("mode `770`"), "{error}");
    }
}
