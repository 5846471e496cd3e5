//! Where actors and providers come from: references, parsed once, and the bytes behind them.
//!
//! Files of this machine (when allowed), registries through the cache, and compiled-in providers. The reference a client
//! wrote is kept as written; it is what acks, events and inventories show (protocol section 2.4).

mod error;
mod reference;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use artifacts::{
    ArtifactStore, Cache, CredentialBook, Credentials, FetchOptions, Origin, Reference, Registry, RegistryOptions,
    Silent,
};
use bytes::Bytes;
use claims::revocation::Sha256;
use lattice::control::RegistryCredentials;

pub use self::{
    error::{ArtifactsError, FetchError},
    reference::{ArtifactRef, Location},
};
use crate::config::ArtifactConfig;

/// Largest artifact read into memory, bytes.
pub const MAX_ARTIFACT_BYTES: u64 = 256 << 20;

/// An artifact.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its content.
    pub bytes: Bytes,
    /// Digests under which it is known: of its content, and of its manifests when it comes from a registry.
    pub digests: Vec<Sha256>,
}

/// Where artifacts come from. Cheap to share; nothing here blocks.
#[derive(Debug)]
pub struct Artifacts {
    allow_files: bool,
    options: FetchOptions,
    store: ArtifactStore,
    /// Registries whose credentials were put since the start.
    put: Mutex<BTreeSet<String>>,
}

impl Artifacts {
    /// Opens the cache; connects to nothing.
    ///
    /// # Errors
    /// [`ArtifactsError`] for settings that can never work.
    pub fn open(config: &ArtifactConfig, allow_files: bool) -> Result<Self, ArtifactsError> {
        let mut credentials = CredentialBook::new();
        if let Some(login) = &config.login {
            credentials.set(&login.registry, Credentials::basic(login.user.clone(), login.password.clone()));
        }
        let registry = Registry::new(RegistryOptions {
            insecure: config.insecure.clone(),
            extra_ca: config.extra_ca.clone(),
            credentials,
            max_artifact_bytes: MAX_ARTIFACT_BYTES,
            ..RegistryOptions::default()
        })?;
        let cache = Cache::open(&config.cache_dir, config.cache_bytes)?;
        let options = FetchOptions { allow_latest: config.allow_latest, no_cache: false };
        Ok(Self { allow_files, options, store: ArtifactStore::new(registry, cache), put: Mutex::default() })
    }

    /// Reads the bytes behind a reference. Holds no lock; dropping the future abandons it. Fetches of one artifact at one
    /// time, also by other processes that share the cache, download it once.
    ///
    /// # Errors
    /// [`FetchError`] naming the reference, the reason and, where there is one, the next step.
    pub async fn fetch(&self, reference: &ArtifactRef) -> Result<Fetched, FetchError> {
        let written = || reference.as_str().to_owned();
        match reference.location() {
            Location::File(_) if !self.allow_files => Err(FetchError::FilesNotAllowed { reference: written() }),
            Location::File(path) => {
                let bytes = read_file(path).await?;
                let content = bytes.clone();
                let digest = tokio::task::spawn_blocking(move || Sha256::of(&content)).await;
                Ok(Fetched { bytes, digests: vec![digest.map_err(|_| FetchError::Interrupted)?] })
            }
            Location::Builtin(_) => Err(FetchError::NotAnActor { reference: written() }),
            Location::Registry(text) => {
                let parsed = Reference::parse(text, None)
                    .map_err(|source| FetchError::NotAReference { reference: written(), source })?;
                let fetched = self
                    .store
                    .fetch(&parsed, &self.options, &Silent)
                    .await
                    .map_err(|source| FetchError::Registry { reference: written(), source: Box::new(source) })?;
                if let Origin::CacheWhileAway { reason } = &fetched.origin {
                    tracing::warn!(reference = reference.as_str(), %reason, "registry away; using the artifact this machine has");
                }
                let digests = fetched.digests().iter().map(|digest| Sha256(*digest.as_bytes())).collect();
                Ok(Fetched { bytes: fetched.bytes, digests })
            }
        }
    }

    /// Refuses what can never be fetched here, without asking anybody.
    ///
    /// # Errors
    /// [`FetchError`], as [`Self::fetch`] would have it.
    pub fn check(&self, reference: &ArtifactRef) -> Result<(), FetchError> {
        let written = || reference.as_str().to_owned();
        match reference.location() {
            Location::File(_) if !self.allow_files => Err(FetchError::FilesNotAllowed { reference: written() }),
            Location::File(_) | Location::Builtin(_) => Ok(()),
            Location::Registry(text) => {
                let parsed = Reference::parse(text, None)
                    .map_err(|source| FetchError::NotAReference { reference: written(), source })?;
                if parsed.is_latest() && !self.options.allow_latest {
                    let source = Box::new(artifacts::FetchError::Latest { reference: parsed.to_string() });
                    return Err(FetchError::Registry { reference: written(), source });
                }
                Ok(())
            }
        }
    }

    /// Uses these credentials from now on; registries that are not named keep theirs.
    pub fn set_credentials(&self, given: RegistryCredentials) {
        self.put().extend(given.0.keys().cloned());
        self.use_credentials(given);
    }

    /// Uses these credentials from now on, except where somebody has put others since this host started.
    pub fn offer_credentials(&self, mut given: RegistryCredentials) {
        let put = self.put();
        given.0.retain(|registry, _| !put.contains(registry));
        self.use_credentials(given);
    }

    fn put(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.put.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn use_credentials(&self, given: RegistryCredentials) {
        for (registry, credential) in given.0 {
            let credentials = match (credential.token, credential.username, credential.password) {
                (Some(token), _, _) => Credentials::Bearer(token.into()),
                (None, Some(user), Some(password)) => Credentials::basic(user, password),
                _ => Credentials::Anonymous,
            };
            self.store.registry().set_credentials(&registry, credentials);
        }
    }
}

async fn read_file(path: &std::path::Path) -> Result<Bytes, FetchError> {
    let shown = path.display().to_string();
    let unreadable = |source| FetchError::Unreadable { path: shown.clone(), source };
    let bytes = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
    if bytes > MAX_ARTIFACT_BYTES {
        return Err(FetchError::TooLarge { path: shown, bytes });
    }
    tokio::fs::read(path).await.map(Bytes::from).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifacts(directory: &tempfile::TempDir, allow_files: bool) -> Artifacts {
        Artifacts::open(&ArtifactConfig::new(directory.path().join("cache")), allow_files).expect("opens")
    }

    async fn code(artifacts: &Artifacts, text: &str) -> Option<&'static str> {
        let reference = ArtifactRef::parse(text).expect("a reference");
        artifacts.fetch(&reference).await.err().map(|error| error.code())
    }

    #[tokio::test]
    async fn every_refusal_has_its_code() {
        let directory = tempfile::tempdir().expect("a directory");
        let (open, closed) = (artifacts(&directory, true), artifacts(&directory, false));
        assert_eq!(code(&closed, "file:///nowhere/x.wasm").await, Some("files_not_allowed"));
        assert_eq!(code(&open, "file:///nowhere/x.wasm").await, Some("unreadable"));
        assert_eq!(code(&open, "builtin://x").await, Some("not_an_actor"));
        assert_eq!(code(&open, "registry.test/x:latest").await, Some("latest"));
        assert_eq!(code(&open, "registry.test/x").await, Some("latest"));
        assert!(code(&open, "no registry at all").await.is_some());
    }

    #[tokio::test]
    async fn a_file_has_the_digest_of_its_bytes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x");
        std::fs::write(&path, b"bytes").expect("written");
        let reference = ArtifactRef::parse(&path.display().to_string()).expect("a reference");
        let fetched = artifacts(&directory, true).fetch(&reference).await.expect("read");
        assert_eq!((fetched.bytes.as_ref(), fetched.digests), (&b"bytes"[..], vec![Sha256::of(b"bytes")]));
    }

    #[tokio::test]
    async fn a_file_beyond_the_bound_is_refused_without_reading_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = tempfile::NamedTempFile::new().expect("a temp file");
        file.as_file().set_len(MAX_ARTIFACT_BYTES + 1).expect("sparse");
        let refused = code(&artifacts(&directory, true), &file.path().display().to_string()).await;
        assert_eq!(refused, Some("too_large"));
    }
}
