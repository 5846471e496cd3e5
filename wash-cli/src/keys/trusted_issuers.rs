//! Accounts whose native code this user's hosts run: those whose keys the user has, and those the user has named.
//!
//! Kept as a file of public keys beside the keys, so that only who may write there can change it; read anew for every
//! start, so that `wash keys trust` counts at once, also for hosts that run. Invariant: a file that somebody else could
//! have written names nobody.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read as _},
    path::PathBuf,
};

use claims::AccountId;
use host::{KnownIssuers, private};

use crate::{
    keys::keystore::KeyStore,
    machine::files,
    terminal::failure::{OrFail, Result},
};

const FILE: &str = "trusted_issuers";
/// Accounts that can be named.
pub const MAX_NAMED: usize = 1024;
/// An account and its line break, as often as that, with room for comments.
const MAX_BYTES: u64 = 128 * MAX_NAMED as u64;

/// The list of one key directory.
#[derive(Debug, Clone)]
pub struct TrustedIssuers {
    keys: KeyStore,
}

impl TrustedIssuers {
    /// The list beside these keys.
    pub fn beside(keys: KeyStore) -> Self {
        Self { keys }
    }

    fn path(&self) -> PathBuf {
        self.keys.directory().join(FILE)
    }

    /// The accounts that are named.
    ///
    /// # Errors
    /// The file cannot be read, holds something else, or could have been written by somebody else.
    pub fn named(&self) -> Result<BTreeSet<AccountId>> {
        let path = self.path();
        let cannot = || format!("cannot read the trusted issuers in `{}`", path.display());
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
            file => file.while_doing(cannot)?,
        };
        private::believed(&path, &file.metadata().while_doing(cannot)?).while_doing(cannot)?;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).while_doing(cannot)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.take(MAX_NAMED).map(|line| line.parse::<AccountId>().while_doing(cannot)).collect()
    }

    /// Names one more, or one less; whether that changed anything.
    ///
    /// # Errors
    /// As [`TrustedIssuers::named`], and when the file cannot be written.
    pub fn change(&self, issuer: AccountId, trusted: bool) -> Result<bool> {
        let mut named = self.named()?;
        let changed = if trusted { named.insert(issuer) } else { named.remove(&issuer) };
        if named.len() > MAX_NAMED {
            return Err(crate::terminal::failure::Failure::new(format!("{MAX_NAMED} accounts are trusted already"))
                .hint("take one back with `wash keys untrust`"));
        }
        if changed {
            files::create_private_dir(self.keys.directory())?;
            let lines: String = named.iter().map(|issuer| format!("{issuer}\n")).collect();
            files::replace(&self.path(), lines.as_bytes())?;
        }
        Ok(changed)
    }
}

impl KnownIssuers for TrustedIssuers {
    fn knows(&self, issuer: &AccountId) -> bool {
        if self.keys.accounts().contains(issuer) {
            return true;
        }
        self.named()
            .inspect_err(|failure| tracing::warn!(%failure, "nobody is trusted"))
            .is_ok_and(|named| named.contains(issuer))
    }

    fn command(&self, issuer: &AccountId) -> String {
        format!("wash keys trust {issuer}")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use claims::{KeyKind, KeyPair};

    use super::*;

    fn issuer() -> AccountId {
        KeyPair::generate(KeyKind::Account).public().try_into().unwrap()
    }

    #[test]
    fn who_is_named_is_known_until_taken_back_and_own_accounts_always() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::new(dir.path().join("keys"), true);
        let own: AccountId = keys.shared("user_account", KeyKind::Account).unwrap().public().try_into().unwrap();
        let (trusted, vendor) = (TrustedIssuers::beside(keys), issuer());
        assert!(trusted.knows(&own) && !trusted.knows(&vendor));
        assert!(trusted.change(vendor, true).unwrap());
        assert!(!trusted.change(vendor, true).unwrap(), "named already");
        assert!(trusted.knows(&vendor) && !trusted.knows(&issuer()));
        assert!(trusted.change(vendor, false).unwrap());
        assert!(!trusted.knows(&vendor));
    }

    #[test]
    fn a_list_that_others_could_have_written_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let (trusted, vendor) = (TrustedIssuers::beside(KeyStore::new(dir.path(), false)), issuer());
        trusted.change(vendor, true).unwrap();
        fs::set_permissions(trusted.path(), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(!trusted.knows(&vendor));
        trusted.named().unwrap_err();
    }

    #[test]
    fn as_many_as_may_be_named_are_and_one_more_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let trusted = TrustedIssuers::beside(KeyStore::new(dir.path(), false));
        let many: BTreeSet<AccountId> = (0..MAX_NAMED).map(|_| issuer()).collect();
        let lines: String = many.iter().map(|issuer| format!("{issuer}\n")).collect();
        files::replace(&trusted.path(), lines.as_bytes()).unwrap();
        assert_eq!(trusted.named().unwrap(), many);
        assert!(trusted.change(issuer(), true).unwrap_err().message().contains("1024"));
    }
}
