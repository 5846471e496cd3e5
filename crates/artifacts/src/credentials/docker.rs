//! What `docker login` keeps: `config.json` in `$DOCKER_CONFIG` or `~/.docker`.
//!
//! The order is docker's: a helper for this registry, what the file itself holds, the helper for all registries. A
//! configuration that is not there is no error; one that cannot be understood is.

use std::collections::HashMap;
use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use super::{CredentialError, Credentials, Secret, helper};
use crate::reference::authority;

/// Largest configuration looked at, bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// What Docker Hub is called in the files of docker.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: HashMap<String, Stored>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Stored {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
}

pub(super) async fn lookup(registry: &str, timeout: Duration) -> Result<Credentials, CredentialError> {
    let Some(path) = path() else { return Ok(Credentials::Anonymous) };
    let Some(text) = read(&path).await? else { return Ok(Credentials::Anonymous) };
    let shown = path.display().to_string();
    let config: Config =
        serde_json::from_slice(&text).map_err(|source| CredentialError::NotAConfig { path: shown.clone(), source })?;

    let registry = authority(registry);
    // Helpers are asked by the name under which `docker login` stored it.
    let server = if registry == "docker.io" { DOCKER_HUB } else { &registry };
    if let Some(name) = entry(&config.cred_helpers, &registry).filter(|name| !name.is_empty()) {
        return helper::ask(name, server, timeout).await;
    }
    if let Some(stored) = entry(&config.auths, &registry)
        && let Some(credentials) = stored.credentials(&registry, &shown)?
    {
        return Ok(credentials);
    }
    match config.creds_store.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => helper::ask(name, server, timeout).await,
        None => Ok(Credentials::Anonymous),
    }
}

fn path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")))?;
    Some(directory.join("config.json"))
}

async fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, CredentialError> {
    let shown = || path.display().to_string();
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        // Also when a part of the path is no directory: there is no configuration then.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(source) => return Err(CredentialError::Unreadable { path: shown(), source }),
    };
    let mut text = Zeroizing::new(Vec::new());
    let count = file.take(MAX_CONFIG + 1).read_to_end(&mut text).await;
    let count = count.map_err(|source| CredentialError::Unreadable { path: shown(), source })?;
    if count as u64 > MAX_CONFIG {
        return Err(CredentialError::TooLarge { path: shown(), limit: MAX_CONFIG });
    }
    Ok(Some(text))
}

/// The entry for a registry, whose key may be written with a scheme and a path.
fn entry<'a, T>(entries: &'a HashMap<String, T>, registry: &str) -> Option<&'a T> {
    let found = entries.iter().find(|(key, _)| authority(key) == registry).map(|(_, entry)| entry);
    entries.get(registry).or(found)
}

impl Stored {
    /// What the file itself holds; nothing where a helper keeps it.
    fn credentials(&self, registry: &str, path: &str) -> Result<Option<Credentials>, CredentialError> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.reveal().is_empty()) {
            return Ok(Some(Credentials::Identity(token.clone())));
        }
        if let Some(auth) = self.auth.as_ref().filter(|auth| !auth.reveal().is_empty()) {
            let pair = pair(auth.reveal())
                .ok_or_else(|| CredentialError::NotAPair { registry: registry.to_owned(), path: path.to_owned() })?;
            return Ok(Some(pair));
        }
        Ok(match (&self.username, &self.password) {
            (Some(user), Some(password)) => Some(Credentials::basic(user, password.clone())),
            _ => None,
        })
    }
}

fn pair(auth: &str) -> Option<Credentials> {
    let auth = auth.trim();
    let decoded = BASE64.decode(auth.as_bytes()).or_else(|_| BASE64_NOPAD.decode(auth.as_bytes())).ok()?;
    let decoded = Zeroizing::new(decoded);
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    // Some versions of docker padded the password with zeros.
    Some(Credentials::basic(user, password.trim_end_matches('\0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_with_and_without_padding() {
        assert_eq!(pair("YWRhOmh1bnRlcjI="), Some(Credentials::basic("ada", "hunter2")));
        assert_eq!(pair("YWRhOmh1bnRlcjI"), Some(Credentials::basic("ada", "hunter2")));
        assert_eq!(pair("YWRhOmE6Yg=="), Some(Credentials::basic("ada", "a:b")));
        assert_eq!(pair("YWRh"), None);
        assert_eq!(pair("!"), None);
    }

    #[test]
    fn an_entry_is_found_by_its_registry() {
        let entries = HashMap::from([
            ("https://index.docker.io/v1/".to_owned(), 1),
            ("registry.test:5000".to_owned(), 2),
            ("https://Other.test".to_owned(), 3),
        ]);
        assert_eq!(entry(&entries, "docker.io"), Some(&1));
        assert_eq!(entry(&entries, "registry.test:5000"), Some(&2));
        assert_eq!(entry(&entries, "other.test"), Some(&3));
        assert_eq!(entry(&entries, "registry.test"), None);
    }
}
