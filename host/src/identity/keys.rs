//! Who this host is: its keys on disk, its friendly name, its built-in labels.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use claims::{KeyKind, KeyPair};

/// Why a key of the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("key file `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The content is not a seed of the kind that belongs there.
    #[error("`{path}` does not hold the seed of a {expected:?} key: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        expected: KeyKind,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a seed file, or makes one (mode 0600) when there is none.
///
/// # Errors
/// [`KeyFileError`]; an existing file is never overwritten.
pub fn load_or_create_key(path: &Path, kind: KeyKind) -> Result<KeyPair, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(text) => read_key(path, text.trim(), kind),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate(kind);
            write_key(path, &key).map_err(io)?;
            Ok(key)
        }
        Err(error) => Err(io(error)),
    }
}

fn read_key(path: &Path, text: &str, kind: KeyKind) -> Result<KeyPair, KeyFileError> {
    let content = |reason| KeyFileError::Content { path: path.to_owned(), expected: kind, reason };
    let key = KeyPair::from_seed(text).map_err(|error| content(error.to_string()))?;
    if key.kind() == kind { Ok(key) } else { Err(content(format!("it is the seed of a {:?} key", key.kind()))) }
}

fn write_key(path: &Path, key: &KeyPair) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.seed().expose().as_bytes())
}

/// The labels every host has (protocol section 8.2).
#[must_use]
pub fn builtin_labels() -> BTreeMap<String, String> {
    use std::env::consts::{ARCH, FAMILY, OS};
    [("hostcore.arch", ARCH), ("hostcore.os", OS), ("hostcore.osfamily", FAMILY)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

const ADJECTIVES: [&str; 24] = [
    "amber", "brisk", "calm", "clever", "coral", "crisp", "dusky", "eager", "fleet", "gentle", "hardy", "icy", "jolly",
    "keen", "lively", "mellow", "nimble", "opal", "plucky", "quiet", "rapid", "silver", "tidy", "vivid",
];
const NOUNS: [&str; 24] = [
    "aspen", "badger", "brook", "cedar", "cliff", "comet", "dune", "falcon", "fjord", "gull", "heron", "island",
    "juniper", "kestrel", "lagoon", "maple", "meadow", "otter", "pine", "reef", "sparrow", "tundra", "valley",
    "willow",
];

/// A name people can say, the same for a host key every time: `{adjective}-{noun}-{4 digits}`.
#[must_use]
pub fn friendly_name(host: &str) -> String {
    let hash = host
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let pick = |words: [&'static str; 24], shift: u32| words[((hash >> shift) % 24) as usize];
    format!("{}-{}-{:04}", pick(ADJECTIVES, 0), pick(NOUNS, 16), (hash >> 32) % 10_000)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let path = directory.path().join("keys/host.nk");
        let first = load_or_create_key(&path, KeyKind::Server).expect("made");
        let again = load_or_create_key(&path, KeyKind::Server).expect("read");
        assert_eq!(first.public(), again.public());
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let error = load_or_create_key(&path, KeyKind::Cluster).expect_err("another kind");
        assert!(error.to_string().contains("host.nk"), "{error}");
    }

    #[test]
    fn a_friendly_name_is_stable_and_well_formed() {
        let name = friendly_name("NABC");
        assert_eq!(name, friendly_name("NABC"));
        let parts: Vec<&str> = name.split('-').collect();
        assert!(parts.len() == 3 && parts[2].len() == 4, "{name}");
    }
}
