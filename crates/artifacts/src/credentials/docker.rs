//! What `docker login` keeps: `config.json` in `$DOCKER_CONFIG` or `~/.docker`.
//!
//! Finds and reads the file; what it says is for [`super::docker_config`]. The order is docker's: a helper for this
//! registry, what the file itself holds, the helper for all registries. A configuration that is not there is no error; one
//! that cannot be understood is.

use std::env;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::docker_config::{DockerConfig, DockerConfigError, Source};
use super::error::CredentialError;
use super::helper;
use super::kept::Credentials;
use crate::local_file::{FileError, LocalFile};
use crate::reference::authority;

/// Largest configuration looked at, bytes.
const MAX_CONFIG: u64 = 1 << 20;

pub(super) async fn lookup(
    registry: &str,
    repository: &str,
    timeout: Duration,
) -> Result<Credentials, CredentialError> {
    let Some(path) = path() else { return Ok(Credentials::Anonymous) };
    let shown = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || read(path)).await;
    let read = read.map_err(|error| FileError::Unreadable { path: shown.clone(), source: error.into() });
    let text = match read.and_then(|read| read) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(Credentials::Anonymous),
        Err(FileError::TooLarge { path, limit }) => return Err(CredentialError::TooLarge { path, limit }),
        Err(source) => return Err(CredentialError::Unreadable { path: shown, source }),
    };
    let registry = authority(registry);
    let source = DockerConfig::parse(&text).and_then(|config| config.find(&registry, repository));
    match source.map_err(|source| refused(source, &registry, shown))? {
        Source::Nowhere => Ok(Credentials::Anonymous),
        Source::File(credentials) => Ok(credentials),
        Source::Helper { name, server } => helper::ask(&name, &server, timeout).await,
    }
}

fn refused(source: DockerConfigError, registry: &str, path: String) -> CredentialError {
    match source {
        DockerConfigError::NotAConfig(_) => CredentialError::NotAConfig { path, source },
        DockerConfigError::NotAPair => CredentialError::NotAPair { registry: registry.to_owned(), path },
    }
}

fn path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")))?;
    Some(directory.join("config.json"))
}

fn read(path: PathBuf) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    match LocalFile::open(&path, MAX_CONFIG).and_then(LocalFile::read) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        // Also when a part of the path is no directory: there is no configuration then.
        Err(FileError::Unreadable { source, .. })
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
