//! Who may use the NATS server that `wash up` runs: the keys of one port, and what they say to the server and to clients.
//!
//! An operator key signs two accounts: the lattice's, in which `wash`, hosts, providers and other tools are one user, and
//! the server's own, in which `wash` asks who is connected. Made at first use, kept in the server's directory. Pure but for
//! the key files. Invariants: every file is 0600 from the moment it exists; what is written is a function of the keys, so
//! two that write it at once write the same.

use std::path::{Path, PathBuf};

use claims::{KeyKind, KeyPair, PublicKey};
use data_encoding::{BASE64URL_NOPAD, HEXUPPER};
use host::LocalNats;
use lattice::client::Creds;
use serde_json::{Value, json};

use super::private::write_private;
use crate::{
    keys::keystore::KeyStore,
    terminal::failure::{Failure, Result},
};

/// What the server is told about who may connect.
#[derive(Debug, Clone)]
pub struct Login {
    /// Part of its configuration.
    pub config: String,
    /// The account of the lattice, in which a leaf node connection ends.
    pub account: PublicKey,
    /// Credentials of whoever uses the lattice.
    pub creds_file: PathBuf,
}

impl Login {
    /// The login of a server, with keys made where there are none yet.
    ///
    /// # Errors
    /// A key file cannot be read or written.
    pub fn of(server: &LocalNats) -> Result<Self> {
        let keys = Keys::in_directory(server.directory())?;
        write_private(&server.creds_file(), keys.user_creds(&keys.account, &keys.user, "wash").as_bytes())?;
        write_private(&server.system_creds_file(), keys.user_creds(&keys.system, &keys.observer, "wash").as_bytes())?;
        Ok(Self { config: keys.config(), account: keys.account.public(), creds_file: server.creds_file() })
    }
}

/// Takes the credentials of a server away that is to let everybody in, so that nobody believes they were asked for. The
/// keys stay, and make the same ones again.
///
/// # Errors
/// A file cannot be removed.
pub fn forget(server: &LocalNats) -> Result<()> {
    for file in [server.creds_file(), server.system_creds_file()] {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::from(error).while_doing(format!("cannot remove `{}`", file.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

struct Keys {
    operator: KeyPair,
    account: KeyPair,
    system: KeyPair,
    user: KeyPair,
    observer: KeyPair,
}

impl Keys {
    fn in_directory(directory: &Path) -> Result<Self> {
        let store = KeyStore::new(directory.join("keys"), true);
        Ok(Self {
            operator: store.shared("operator", KeyKind::Operator)?,
            account: store.shared("lattice_account", KeyKind::Account)?,
            system: store.shared("system_account", KeyKind::Account)?,
            user: store.shared("lattice_user", KeyKind::User)?,
            observer: store.shared("system_user", KeyKind::User)?,
        })
    }

    /// Part of the server's configuration. Holds no secret.
    fn config(&self) -> String {
        let (lattice, system) = (self.account.public(), self.system.public());
        let operator = json!({"type": "operator", "version": 2, "system_account": system.to_string()});
        let signed = |subject: &KeyPair, name, claims| jwt(&self.operator, subject, name, claims);
        format!(
            "operator: {}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload {{\n  {lattice}: {}\n  {system}: {}\n}}\n",
            signed(&self.operator, "wash", operator),
            signed(&self.account, "lattice", account_claims(true)),
            signed(&self.system, "system", account_claims(false)),
        )
    }

    fn user_creds(&self, account: &KeyPair, user: &KeyPair, name: &str) -> String {
        let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        Creds { jwt: Some(jwt(account, user, name, claims)), seed: user.seed().expose().to_owned() }.to_file()
    }
}

/// An account without limits.
fn account_claims(with_store: bool) -> Value {
    let mut limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    if with_store {
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            limits[limit] = json!(-1);
        }
    }
    json!({"type": "account", "version": 2, "limits": limits})
}

/// A token as NATS servers read it (`ed25519-nkey`), which differs from those of actors. Without the time of its making,
/// which servers do not look at, so that the same keys make the same token.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, claims: Value) -> String {
    let subject = subject.public().to_string();
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let body = json!({
        "jti": HEXUPPER.encode(&subject.as_bytes()[..16]),
        "iat": 1,
        "iss": issuer.public().to_string(),
        "sub": subject,
        "name": name,
        "nats": claims,
    });
    let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(body.to_string().as_bytes()));
    let signature = BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn keys_are_made_once_are_private_and_differ_from_port_to_port() {
        let home = tempfile::tempdir().unwrap();
        let server = LocalNats::of(home.path(), 4222);
        let first = Login::of(&server).unwrap();
        let creds = server.creds().expect("it was made");
        let again = Login::of(&server).unwrap();
        assert_eq!((&first.config, server.creds()), (&again.config, Some(creds.clone())));

        let other = LocalNats::of(home.path(), 4223);
        assert_ne!(Login::of(&other).unwrap().account, first.account);
        assert_ne!(other.creds().unwrap().seed, creds.seed);

        let mut files = vec![server.creds_file(), server.system_creds_file()];
        let keys = server.directory().join("keys");
        files.extend(fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().path()));
        assert_eq!(files.len(), 2 + 5);
        for file in files {
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
        }
        assert!(!first.config.contains(&creds.seed), "the server needs no secret");
        assert!(!first.config.contains("\nS"), "{}", first.config);
    }
}
