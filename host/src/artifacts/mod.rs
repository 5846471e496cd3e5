//! Where actors and providers come from: references, parsed once, and the bytes behind them.
//!
//! Files of this machine (when allowed), registries through the cache, and compiled-in providers. The reference a client
//! wrote is kept as written; it is what acks, events and inventories show (protocol section 2.4). Invariants: what is
//! returned is of the kind that was asked for, by its first bytes; the bytes of all artifacts that are being loaded are
//! within [`MAX_LOADED_BYTES`]; whoever waits here stops waiting when the host stops.

pub mod config_service;
mod error;
mod files;
mod kind;
mod loads;
mod reference;
mod unpack;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use artifacts::{
    ArtifactStore, Cache, CredentialBook, Credentials, FetchOptions, LoadBudget, Origin, Reference, Registry,
    RegistryOptions, Silent,
};
use bytes::Bytes;
use claims::revocation::Sha256;
use lattice::control::RegistryCredentials;
use tokio_util::sync::CancellationToken;

pub use self::{
    error::{ArtifactsError, FetchError},
    kind::{Kind, MAX_ARTIFACT_BYTES},
    reference::{ArtifactRef, Location},
    unpack::Watched,
};
use self::{files::Files, loads::Loads, unpack::Unpacking};
use crate::settings::ArtifactConfig;

/// The bytes of all artifacts that are being loaded at one time: from being read until they are unpacked or compiled.
pub const MAX_LOADED_BYTES: u64 = 256 << 20;

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
    budget: LoadBudget,
    files: Files,
    loads: Loads,
    unpacking: Unpacking,
    closing: CancellationToken,
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
        let mut options = RegistryOptions {
            insecure: config.insecure.clone(),
            extra_ca: config.extra_ca.clone(),
            credentials,
            max_artifact_bytes: MAX_ARTIFACT_BYTES,
            ..RegistryOptions::default()
        };
        options.timeouts.whole = config.fetch_timeout;
        let registry = Registry::new(options)?;
        let cache = Cache::open(&config.cache_dir, config.cache_bytes)?;
        let budget = LoadBudget::new(MAX_LOADED_BYTES);
        let closing = CancellationToken::new();
        Ok(Self {
            allow_files,
            options: FetchOptions { allow_latest: config.allow_latest, ..FetchOptions::default() },
            store: ArtifactStore::new(registry, cache).with_budget(budget.clone()),
            put: Mutex::default(),
            budget,
            files: Files::default(),
            loads: Loads::default(),
            unpacking: Unpacking::new(closing.clone()),
            closing,
        })
    }

    /// Gives up what is being loaded, and loads nothing more.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Bytes of the artifacts that are being loaded.
    #[cfg(test)]
    fn loaded_bytes(&self) -> u64 {
        self.budget.held()
    }

    /// Reads the bytes behind a reference. Holds no lock; dropping the future abandons it. Fetches of one artifact at one
    /// time, also by other processes that share the cache, download it once.
    ///
    /// # Errors
    /// [`FetchError`] naming the reference, the reason and, where there is one, the next step.
    pub async fn fetch(&self, reference: &ArtifactRef, kind: Kind) -> Result<Fetched, FetchError> {
        let fetched = tokio::select! {
            biased;
            () = self.closing.cancelled() => return Err(FetchError::Interrupted),
            fetched = self.load(reference, kind) => fetched?,
        };
        kind.check(reference.as_str(), &fetched.bytes)?;
        Ok(fetched)
    }

    async fn load(&self, reference: &ArtifactRef, kind: Kind) -> Result<Fetched, FetchError> {
        match reference.location() {
            Location::File(_) if !self.allow_files => {
                Err(FetchError::FilesNotAllowed { reference: reference.as_str().to_owned() })
            }
            Location::File(path) => {
                let _place = self.loads.enter(FILES).await.ok_or(FetchError::Busy)?;
                let (bytes, digest) = self.files.read(path.clone(), kind.max_bytes(), &self.budget).await?;
                Ok(Fetched { bytes, digests: vec![digest] })
            }
            Location::Builtin(_) => Err(FetchError::NotAnActor { reference: reference.as_str().to_owned() }),
            Location::Registry(text) => self.load_from_registry(reference, text, kind).await,
        }
    }

    async fn load_from_registry(&self, reference: &ArtifactRef, text: &str, kind: Kind) -> Result<Fetched, FetchError> {
        let written = || reference.as_str().to_owned();
        let parsed = Reference::parse(text, None)
            .map_err(|source| FetchError::NotAReference { reference: written(), source })?;
        let _place = self.loads.enter(parsed.registry()).await.ok_or(FetchError::Busy)?;
        let options = FetchOptions { max_bytes: Some(kind.max_bytes()), ..self.options };
        let fetched = self
            .store
            .fetch(&parsed, &options, &Silent)
            .await
            .map_err(|source| FetchError::Registry { reference: written(), source: Box::new(source) })?;
        if let Origin::CacheWhileAway { reason } = &fetched.origin {
            tracing::warn!(reference = reference.as_str(), %reason, "registry away; using the artifact this machine has");
        }
        let digests = fetched.digests().iter().map(|digest| Sha256(*digest.as_bytes())).collect();
        Ok(Fetched { bytes: fetched.bytes, digests })
    }

    /// Runs `work`, which unpacks `bytes`, on a thread where it may take long; few at one time. The stream it reads ends
    /// with an error when that takes too long or the host stops.
    ///
    /// # Errors
    /// [`FetchError::Busy`], [`FetchError::Interrupted`].
    pub async fn unpack<T: Send + 'static>(
        &self,
        bytes: Bytes,
        work: impl FnOnce(Watched) -> T + Send + 'static,
    ) -> Result<T, FetchError> {
        self.unpacking.run(bytes, work).await
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

    /// Of how many registries credentials would have been put, with these.
    #[must_use]
    pub fn registries_with(&self, given: &RegistryCredentials) -> usize {
        let put = self.put();
        put.len() + given.0.keys().filter(|registry| !put.contains(*registry)).count()
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

/// What the files of this machine are as a source, which no registry is called.
const FILES: &str = "file://";

#[cfg(test)]
mod tests {
    use super::*;

    fn artifacts(directory: &tempfile::TempDir, allow_files: bool) -> Artifacts {
        Artifacts::open(&ArtifactConfig::new(directory.path().join("cache")), allow_files).expect("opens")
    }

    async fn code(artifacts: &Artifacts, text: &str) -> Option<&'static str> {
        let reference = ArtifactRef::parse(text).expect("a reference");
        artifacts.fetch(&reference, Kind::Actor).await.err().map(|error| error.code())
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
        let module = b"\0asm\x01\0\0\0";
        std::fs::write(&path, module).expect("written");
        let reference = ArtifactRef::parse(&path.display().to_string()).expect("a reference");
        let fetched = artifacts(&directory, true).fetch(&reference, Kind::Actor).await.expect("read");
        assert_eq!((fetched.bytes.as_ref(), fetched.digests), (&module[..], vec![Sha256::of(module)]));
    }

    #[tokio::test]
    async fn a_file_beyond_the_bound_of_its_kind_is_refused_without_reading_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let artifacts = artifacts(&directory, true);
        for kind in [Kind::Actor, Kind::Provider] {
            let file = tempfile::NamedTempFile::new().expect("a temp file");
            file.as_file().set_len(kind.max_bytes() + 1).expect("sparse");
            let reference = ArtifactRef::parse(&file.path().display().to_string()).expect("a reference");
            let refused = artifacts.fetch(&reference, kind).await.expect_err("too large");
            assert_eq!(refused.code(), "too_large");
        }
    }

    #[tokio::test]
    async fn what_is_no_regular_file_is_refused_at_once_as_actor_and_as_provider() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::os::unix::fs::symlink("/dev/zero", path("zero")).expect("a link");
        std::os::unix::fs::symlink(path("a link to nothing"), path("nothing")).expect("a link");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe").as_str(), mode).expect("a pipe");
        let artifacts = artifacts(&directory, true);
        for kind in [Kind::Actor, Kind::Provider] {
            for name in ["/dev/zero", &path("zero"), &path("pipe"), &path("")] {
                let reference = ArtifactRef::parse(name).expect("a reference");
                let refused = artifacts.fetch(&reference, kind).await.expect_err(name);
                assert_eq!(refused.code(), "not_a_file", "{name}: {refused}");
            }
            let empty = ArtifactRef::parse("/proc/self/status").expect("a reference");
            assert_eq!(artifacts.fetch(&empty, kind).await.expect_err("no length").code(), "wrong_kind");
            let nothing = ArtifactRef::parse(&path("nothing")).expect("a reference");
            assert_eq!(artifacts.fetch(&nothing, kind).await.expect_err("no file").code(), "unreadable");
        }
        assert_eq!(artifacts.loaded_bytes(), 0);
    }

    #[tokio::test]
    async fn a_host_that_stops_loads_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let artifacts = artifacts(&directory, true);
        artifacts.close();
        assert_eq!(code(&artifacts, "/nowhere/x.wasm").await, Some("interrupted"));
        let unpacked = artifacts.unpack(Bytes::from_static(b"x"), |_| ()).await;
        assert_eq!(unpacked.expect_err("stopping").code(), "interrupted");
    }
}
