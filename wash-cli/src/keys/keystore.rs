//! Keys in files: looked up where the user says or in the key directory, made on first use.
//!
//! Knows file names and permissions (protocol section 9.4), nothing of claims. Invariants: a key file is never
//! overwritten, is 0600 from the moment it exists, and its seed is shown by `wash keys` only.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, ErrorKind, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use claims::{AccountId, KeyKind, KeyPair};

use crate::{
    machine::files::create_private_dir,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Printer,
    },
};

const EXTENSION: &str = "nk";
/// Far more than a seed has; what is longer is something else.
const MAX_SEED_TEXT: u64 = 4096;
/// Key files that are looked at for accounts.
const MAX_ACCOUNT_FILES: usize = 4096;

/// A directory of seeds.
#[derive(Debug, Clone)]
pub struct KeyStore {
    directory: PathBuf,
    may_generate: bool,
}

impl KeyStore {
    /// Keys in `directory`; with `may_generate`, missing ones are made.
    pub fn new(directory: impl Into<PathBuf>, may_generate: bool) -> Self {
        Self { directory: directory.into(), may_generate }
    }

    /// The key for a signature: `given` (a seed, or the path of a seed file) if there is one, else the file
    /// `{name}_{kind}.nk` of this directory.
    ///
    /// # Errors
    /// The seed is malformed or of another kind, a file cannot be read, or the key is missing and none may be made.
    pub fn find_or_generate(
        &self,
        given: Option<&OsStr>,
        kind: KeyKind,
        name: &str,
        printer: &Printer,
    ) -> Result<KeyPair> {
        if let Some(given) = given {
            return from_argument(given, kind);
        }
        let path = self.path(&format!("{}_{}", file_name(name), file_word(kind)));
        match read_seed(&path, kind) {
            Ok(Some(key)) => Ok(key),
            Ok(None) if self.may_generate => {
                let key = KeyPair::generate(kind);
                if let Some(existing) = self.create(&path, &key)? {
                    return Ok(existing);
                }
                printer.note(format!("no {kind} key yet: made `{}` in {}", key.public(), path.display()));
                Ok(key)
            }
            Ok(None) => Err(Failure::new(format!("no {kind} key in `{}`", path.display()))
                .hint("name one with `--issuer` or `--subject`, or leave out `--disable-keygen` to have it made")),
            Err(failure) => Err(failure),
        }
    }

    /// The key of the file `{name}.nk`, made on first use without asking.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds no key of this kind.
    pub fn shared(&self, name: &str, kind: KeyKind) -> Result<KeyPair> {
        let path = self.path(name);
        if let Some(key) = read_seed(&path, kind)? {
            return Ok(key);
        }
        let key = KeyPair::generate(kind);
        Ok(self.create(&path, &key)?.unwrap_or(key))
    }

    /// The key of the file `{name}.nk`, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key of this kind.
    pub fn existing(&self, name: &str, kind: KeyKind) -> Result<Option<KeyPair>> {
        read_seed(&self.path(name), kind)
    }

    /// Names of all key files, sorted, without their extension.
    ///
    /// # Errors
    /// The directory exists but cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(Failure::from(error).while_doing(format!("cannot read `{}`", self.directory.display())));
            }
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The accounts whose keys are here, as far as the files are this user's alone to write: what they sign is the user's
    /// own.
    pub fn accounts(&self) -> Vec<AccountId> {
        let seeds = self.names().unwrap_or_default().into_iter().take(MAX_ACCOUNT_FILES);
        seeds
            .filter_map(|name| {
                let path = self.directory.join(format!("{name}.{EXTENSION}"));
                host::private::believed(&path, &fs::symlink_metadata(&path).ok()?).ok()?;
                AccountId::try_from(read_any(&path).ok()??.public()).ok()
            })
            .collect()
    }

    /// The key pair of the file `{name}.nk`, whatever its kind.
    ///
    /// # Errors
    /// There is no such file, or it holds no seed.
    pub fn by_name(&self, name: &str) -> Result<KeyPair> {
        read_any(&self.path(plain_name(name)?))?.ok_or_else(|| {
            Failure::new(format!("no key `{name}` in `{}`", self.directory.display()))
                .hint("list them with `wash keys list`")
        })
    }

    /// Stores a key that was made elsewhere as `{name}.nk`. Returns the file, and whether it is new.
    ///
    /// # Errors
    /// The name is unusable or belongs to a key of another kind, or the file holds another key already.
    pub fn import(&self, name: &str, key: &KeyPair) -> Result<(PathBuf, bool)> {
        let name = plain_name(name)?;
        if let Some(other) = kind_of_name(name).filter(|kind| *kind != key.kind()) {
            return Err(Failure::usage(format!(
                "`{name}` is the name of a key of kind `{other}`, not `{}`",
                key.kind()
            ))
            .hint(format!("choose a name that ends in `_{}`", file_word(key.kind()))));
        }
        let path = self.path(name);
        let existing = match read_any(&path)? {
            Some(existing) => Some(existing),
            None => self.create(&path, key)?,
        };
        match existing {
            None => Ok((path, true)),
            Some(existing) if existing.public() == key.public() => Ok((path, false)),
            Some(existing) => Err(Failure::new(format!(
                "`{}` holds another key already, `{}`, and was not changed",
                path.display(),
                existing.public()
            ))
            .hint("choose another name, or move that file away")),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.directory.join(format!("{name}.{EXTENSION}"));
        close(&path);
        path
    }

    /// Writes a new file. When another process was faster, its key is returned and ours is forgotten.
    fn create(&self, path: &Path, key: &KeyPair) -> Result<Option<KeyPair>> {
        create_private_dir(&self.directory)?;
        host::private::directory(&self.directory).while_doing(|| "the key directory is not yours alone".to_owned())?;
        // Written aside and linked into place, so that nobody ever reads half a seed.
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(&self.directory)
            .while_doing(|| format!("cannot write a key to `{}`", self.directory.display()))?;
        file.write_all(key.seed().expose().as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .while_doing(|| format!("cannot write `{}`", path.display()))?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(None),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => read_seed(path, key.kind()),
            Err(error) => Err(Failure::from(error.error).while_doing(format!("cannot write `{}`", path.display()))),
        }
    }
}

/// A key's name as the user gives it, with or without its extension.
fn plain_name(given: &str) -> Result<&str> {
    let name = given.strip_suffix(".nk").unwrap_or(given);
    let problem = match name {
        "" => "it is empty",
        name if name.contains('/') => "it contains `/`",
        name if name.starts_with('.') => "it starts with `.`",
        name if name.chars().any(char::is_control) => "it contains control characters",
        name => return Ok(name),
    };
    Err(Failure::usage(format!("`{}` is not the name of a key: {problem}", given.escape_debug())))
}

/// The kind that a name says, if it says one.
fn kind_of_name(name: &str) -> Option<KeyKind> {
    use KeyKind::{Account, Cluster, Module, Operator, Server, Service, User};
    let word = match name.rsplit_once('_') {
        Some((_, word)) => word,
        None => (name == "cluster").then_some(name)?,
    };
    [Server, Module, Service, Account, Operator, Cluster, User].into_iter().find(|kind| file_word(*kind) == word)
}

/// A name as part of a file name of this directory.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' };
    name.chars().map(plain).collect()
}

/// The word that key files carry for a kind.
fn file_word(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Server => "host",
        KeyKind::Module => "module",
        KeyKind::Service => "service",
        KeyKind::Account => "account",
        KeyKind::Operator => "operator",
        KeyKind::Cluster => "cluster",
        KeyKind::User => "user",
    }
}

/// The name under which this user's account key is kept.
pub fn account_name() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "user".to_owned())
}

/// A seed given on the command line, or the path of a file that holds one.
///
/// # Errors
/// It is neither, or of another kind.
pub fn from_argument(given: &OsStr, kind: KeyKind) -> Result<KeyPair> {
    if Path::new(given).is_file() {
        return read_seed(Path::new(given), kind)?
            .ok_or_else(|| Failure::new(format!("the key file `{}` has just been removed", given.display())));
    }
    // What was given may be a mistyped secret: it is not repeated.
    let key = KeyPair::from_seed(seed_in(given))
        .while_doing(|| format!("the given {kind} key is neither a file nor a seed"))
        .hint(|| "make one with `wash keys gen`, or give the path of a `.nk` file".to_owned())?;
    of_kind(key, kind, "the given seed")
}

/// A seed of any kind: given literally, in a file, or (`-`, or nothing given) on standard input.
///
/// # Errors
/// It is none of these.
pub fn from_anywhere(given: Option<&OsStr>) -> Result<KeyPair> {
    let Some(given) = given.filter(|given| *given != "-") else {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(MAX_SEED_TEXT)
            .read_line(&mut text)
            .while_doing(|| "cannot read a seed from standard input".to_owned())?;
        return KeyPair::from_seed(text.trim())
            .while_doing(|| "what came on standard input is no seed".to_owned())
            .hint(|| "a seed is a line of 58 letters and digits that begins with `S`".to_owned());
    };
    if let Some(key) = read_any(Path::new(given))? {
        return Ok(key);
    }
    // What was given may be a mistyped secret: it is not repeated.
    KeyPair::from_seed(seed_in(given))
        .while_doing(|| "what was given is neither a file nor a seed".to_owned())
        .hint(|| "give the path of a file that holds a seed, or the seed on standard input".to_owned())
}

/// What may be a seed; what is no text is none.
fn seed_in(given: &OsStr) -> &str {
    given.to_str().unwrap_or_default().trim()
}

fn read_seed(path: &Path, kind: KeyKind) -> Result<Option<KeyPair>> {
    let key = read_any(path)?;
    key.map(|key| of_kind(key, kind, &format!("`{}`", path.display()))).transpose()
}

fn read_any(path: &Path) -> Result<Option<KeyPair>> {
    let Some(text) = read(path)? else { return Ok(None) };
    KeyPair::from_seed(text.trim()).while_doing(|| format!("`{}` does not hold a seed", path.display())).map(Some)
}

/// Takes a seed of a key directory from everybody else who could read it.
fn close(path: &Path) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        // Of another user, or on a file system without permissions: then it stays as it is.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    }
}

fn of_kind(key: KeyPair, kind: KeyKind, what: &str) -> Result<KeyPair> {
    if key.kind() == kind {
        return Ok(key);
    }
    Err(Failure::new(format!("{what} is a key of kind `{}`, expected `{kind}`", key.kind())))
}

fn read(path: &Path) -> Result<Option<String>> {
    let mut text = String::new();
    match fs::File::open(path).and_then(|file| file.take(MAX_SEED_TEXT).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::from(error).while_doing(format!("cannot read the key file `{}`", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
    use super::*;
    use crate::terminal::output::Format;

    fn printer() -> Printer {
        Printer::new(Format::Text, false)
    }

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path().join("keys"), true);
        let first = store.find_or_generate(None, KeyKind::Module, "echo", &printer()).unwrap();
        let again = store.find_or_generate(None, KeyKind::Module, "echo", &printer()).unwrap();
        assert_eq!(first.public(), again.public());
        let file = dir.path().join("keys/echo_module.nk");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(file).unwrap().len(), 58, "the seed and nothing else");
        assert_eq!(store.names().unwrap(), ["echo_module"]);
    }

    #[test]
    fn a_seed_that_others_could_read_is_closed_when_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path().join("keys"), true);
        store.find_or_generate(None, KeyKind::Account, "user", &printer()).unwrap();
        let file = dir.path().join("keys/user_account.nk");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        store.by_name("user_account").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn accounts_are_those_of_account_keys_that_nobody_else_can_have_put_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path().join("keys"), true);
        let key = store.find_or_generate(None, KeyKind::Account, "user", &printer()).unwrap();
        store.find_or_generate(None, KeyKind::Module, "echo", &printer()).unwrap();
        fs::write(dir.path().join("keys/broken_account.nk"), "SAX").unwrap();
        let account = AccountId::try_from(key.public()).unwrap();
        assert_eq!(store.accounts(), [account]);
        fs::set_permissions(dir.path().join("keys/user_account.nk"), fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(store.accounts(), [], "anybody may have written it");
    }

    #[test]
    fn without_permission_to_make_keys_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path(), false);
        let failure = store.find_or_generate(None, KeyKind::Account, "user", &printer()).unwrap_err();
        assert!(failure.message().contains("user_account.nk"), "{failure}");
        assert!(store.names().unwrap().is_empty());
    }

    #[test]
    fn a_given_seed_of_the_wrong_kind_is_refused_without_being_repeated() {
        let seed = KeyPair::generate(KeyKind::Account).seed();
        let failure = from_argument(OsStr::new(seed.expose()), KeyKind::Module).unwrap_err();
        assert_eq!(failure.message(), "the given seed is a key of kind `account`, expected `actor`");
        let typo = format!("{}X", seed.expose());
        assert!(!from_argument(OsStr::new(&typo), KeyKind::Account).unwrap_err().to_string().contains(&typo));
    }
}
