//! The store: artifacts by reference, from the cache where possible and else from their registry.
//!
//! Decides what has to be asked and what has not. Invariants: a tag is asked for at every fetch, so that a moved tag is
//! noticed; a digest that is cached asks nobody; a registry that is away is no reason to fail while its artifact is
//! cached, but one that refuses us is.

mod assemble;
mod error;
mod layers;

use bytes::Bytes;

pub use error::FetchError;

use crate::budget::LoadBudget;
use crate::cache::{Blob, Cache, Known};
use crate::digest::Digest;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::{Registry, RegistryError, Resolved};

/// How an artifact is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchOptions {
    /// Whether `latest` may be fetched, which is something else every time.
    pub allow_latest: bool,
    /// Whether the registry is asked for everything, also for what is cached.
    pub no_cache: bool,
    /// Largest artifact that is wanted, bytes, where that is less than the client's bound.
    pub max_bytes: Option<u64>,
}

/// An artifact.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its content.
    pub bytes: Bytes,
    /// The digest of the content.
    pub digest: Digest,
    /// The digest that pins the reference: of the index where there is one, else of the manifest.
    pub manifest_digest: Digest,
    /// The digest of the manifest for this machine; the same as `manifest_digest` unless there is an index.
    pub platform_digest: Digest,
    /// Where it came from.
    pub origin: Origin,
}

impl Fetched {
    /// All digests this artifact goes by, without repetition; what a revocation may name.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        let mut digests = vec![self.digest, self.manifest_digest, self.platform_digest];
        digests.dedup();
        digests
    }
}

/// Where an artifact came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the registry.
    Registry,
    /// From the cache; the registry was asked, where that was needed, and says the same.
    Cache,
    /// From the cache, because the registry is away: it may hold something newer.
    CacheWhileAway {
        /// Why it is thought to be away.
        reason: String,
    },
}

/// Registry and cache together. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    registry: Registry,
    cache: Cache,
    budget: LoadBudget,
}

impl ArtifactStore {
    /// A store. What is fetched at one time takes no more memory than one artifact may have.
    #[must_use]
    pub fn new(registry: Registry, cache: Cache) -> Self {
        let budget = LoadBudget::new(registry.options().max_artifact_bytes);
        Self { registry, cache, budget }
    }

    /// With a budget that others share.
    #[must_use]
    pub fn with_budget(self, budget: LoadBudget) -> Self {
        Self { budget, ..self }
    }

    /// Its client.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Its cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Fetches an artifact. Whoever fetches the same at the same time, here or in another process, downloads it once.
    /// Dropping the future abandons the download; what came is kept for the next one.
    ///
    /// # Errors
    /// [`FetchError`] saying what is wrong and what to do.
    pub async fn fetch(
        &self,
        reference: &Reference,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Fetched, FetchError> {
        if reference.is_latest() && !options.allow_latest {
            return Err(FetchError::Latest { reference: reference.to_string() });
        }
        let after = self.registry.options().timeouts.whole;
        let timeout = |_| RegistryError::Timeout { registry: reference.registry().to_owned(), after };
        tokio::time::timeout(after, self.fetch_in_time(reference, options, progress)).await.map_err(timeout)?
    }

    async fn fetch_in_time(
        &self,
        reference: &Reference,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Fetched, FetchError> {
        if options.no_cache {
            let resolved = self.registry.resolve(reference).await?;
            return self.download(resolved, options, progress).await;
        }
        let pinned = reference.digest().map(ToString::to_string);
        if let Some(pinned) = &pinned
            && let Some(fetched) = self.cached(pinned, options, Origin::Cache).await?
        {
            return Ok(fetched);
        }
        // With something to fall back on, waiting for a registry that is away helps nobody.
        let key = pinned.unwrap_or_else(|| reference.to_string());
        let patient = self.cache.recall(&key).is_none_or(|known| !self.cache.holds(&known.artifact));
        let resolved = match self.registry.resolve_with(reference, patient).await {
            Ok(resolved) => resolved,
            Err(error) if error.is_away() => return self.while_away(&key, options, error).await,
            Err(error) => return Err(error.into()),
        };
        if let Some(fetched) = self.cached(&resolved.digest.to_string(), options, Origin::Cache).await? {
            self.remember(&resolved, fetched.digest).await;
            return Ok(fetched);
        }
        match self.download(resolved, options, progress).await {
            Err(FetchError::Registry(error)) if error.is_away() => self.while_away(&key, options, error).await,
            outcome => outcome,
        }
    }

    async fn while_away(&self, key: &str, options: &FetchOptions, error: RegistryError) -> Result<Fetched, FetchError> {
        let reason = error.to_string();
        match self.cached(key, options, Origin::CacheWhileAway { reason }).await? {
            Some(fetched) => {
                tracing::warn!(%error, reference = key, "the registry is away; the artifact comes from the cache");
                Ok(fetched)
            }
            None => Err(error.into()),
        }
    }

    /// What `key` stood for last, if the cache still holds it.
    async fn cached(&self, key: &str, options: &FetchOptions, origin: Origin) -> Result<Option<Fetched>, FetchError> {
        let (cache, owned) = (self.cache.clone(), key.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            let known = cache.recall(&owned)?;
            cache.open_blob(&known.artifact).map(|blob| (known, blob))
        });
        let Some((known, blob)) = found.await.ok().flatten() else { return Ok(None) };
        self.check_size(key, blob.len, options)?;
        let Some(bytes) = self.read_blob(known.artifact, blob).await? else { return Ok(None) };
        Ok(Some(Fetched {
            bytes,
            digest: known.artifact,
            manifest_digest: known.resolved,
            platform_digest: known.manifest,
            origin,
        }))
    }

    /// Reads an artifact of the cache; none when it is damaged.
    async fn read_blob(&self, digest: Digest, blob: Blob) -> Result<Option<Bytes>, FetchError> {
        let reserved = self.budget.reserve(blob.len).await?;
        let cache = self.cache.clone();
        let read = tokio::task::spawn_blocking(move || cache.read_blob(&digest, &blob)).await;
        Ok(read.ok().flatten().map(|bytes| reserved.hold(bytes)))
    }

    /// Refuses what is larger than it may be, before anything is read or asked for.
    fn check_size(&self, what: &str, size: u64, options: &FetchOptions) -> Result<(), FetchError> {
        let limit = self.registry.options().max_artifact_bytes;
        let limit = options.max_bytes.map_or(limit, |most| limit.min(most));
        if size > limit {
            return Err(RegistryError::TooLarge { what: format!("`{what}`"), limit }.into());
        }
        Ok(())
    }

    async fn remember(&self, resolved: &Resolved, artifact: Digest) {
        let known = Known { resolved: resolved.digest, manifest: resolved.manifest_digest, artifact };
        let mut keys = vec![resolved.digest.to_string(), resolved.manifest_digest.to_string()];
        // A tag is not what a reference with a digest is about.
        if resolved.reference.digest().is_none() {
            keys.push(resolved.reference.to_string());
        }
        keys.dedup();
        let cache = self.cache.clone();
        let remembered = tokio::task::spawn_blocking(move || {
            for key in keys.iter().filter(|key| cache.recall(key) != Some(known)) {
                cache.remember(key, &known);
            }
        });
        if let Err(error) = remembered.await {
            tracing::warn!(%error, "what a reference stands for was not remembered");
        }
    }
}
