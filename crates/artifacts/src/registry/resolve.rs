//! From a reference to the manifest it stands for now.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};

use super::Registry;
use super::error::RegistryError;
use super::exchange::Ask;
use super::inner::Inner;
use super::target::{Access, Target};
use crate::digest::Digest;
use crate::manifest::{self, Blob, Document, Manifest, Platform};
use crate::reference::Reference;

const MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json",
);
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What a reference stands for now.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The reference.
    pub reference: Reference,
    /// The digest it stands for, which pins it: of the index where there is one, else of the manifest.
    pub digest: Digest,
    /// The digest of the manifest for this machine.
    pub manifest_digest: Digest,
    /// The manifest for this machine.
    pub manifest: Manifest,
    /// Its text.
    pub text: Bytes,
}

impl Registry {
    /// Asks what a reference stands for now. An index is followed to what runs here.
    ///
    /// # Errors
    /// [`RegistryError`] saying what is wrong and what to do.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        self.resolve_with(reference, true).await
    }

    /// As [`Registry::resolve`]; `patient` is whether to ask again when the registry is away.
    pub(crate) async fn resolve_with(&self, reference: &Reference, patient: bool) -> Result<Resolved, RegistryError> {
        let inner = &self.inner;
        let what = reference.to_string();
        let bad = |source| RegistryError::Manifest { reference: reference.to_string(), source };
        let (text, digest) = inner.manifest(reference, &reference.manifest_name(), &what, patient).await?;
        if let Some(expected) = reference.digest().filter(|expected| **expected != digest) {
            let what = format!("the manifest of `{what}`");
            return Err(RegistryError::DigestMismatch { what, expected: *expected, found: digest });
        }
        let (manifest, manifest_digest, text) = match manifest::parse(&text).map_err(bad)? {
            Document::Manifest(manifest) => (manifest, digest, text),
            Document::Index(index) => {
                let entry = index.choose(&Platform::here()).map_err(bad)?;
                let (manifest, text) = inner.entry(reference, &entry.manifest, &what, patient).await?;
                (manifest, entry.manifest.digest, text)
            }
        };
        Ok(Resolved { reference: reference.clone(), digest, manifest_digest, manifest, text })
    }

    /// A small blob, such as a configuration, checked.
    pub(crate) async fn small_blob(
        &self,
        reference: &Reference,
        blob: &Blob,
        what: &str,
    ) -> Result<Bytes, RegistryError> {
        let inner = &self.inner;
        let limit = inner.options.max_manifest_bytes;
        if blob.size > limit {
            return Err(RegistryError::TooLarge { what: what.to_owned(), limit });
        }
        let repository = reference.api_repository();
        let url = inner.url(reference.registry(), &format!("{repository}/blobs/{}", blob.digest))?;
        let target = Target { registry: reference.registry(), repository: &repository, access: Access::Pull };
        let mut retry = inner.retry();
        loop {
            match inner.small_answer(&target, &Ask::get(url.clone()), what, limit, true).await {
                Ok((bytes, _)) => {
                    check(&bytes, blob, what)?;
                    return Ok(bytes);
                }
                Err(error) => retry.after(error).await?,
            }
        }
    }
}

impl Inner {
    async fn entry(
        &self,
        reference: &Reference,
        blob: &Blob,
        what: &str,
        patient: bool,
    ) -> Result<(Manifest, Bytes), RegistryError> {
        let (text, _) = self.manifest(reference, &blob.digest.to_string(), what, patient).await?;
        let shown = format!("the manifest of `{what}` for this platform");
        check(&text, blob, &shown)?;
        let bad = |source| RegistryError::Manifest { reference: what.to_owned(), source };
        match manifest::parse(&text).map_err(bad)? {
            Document::Manifest(manifest) => Ok((manifest, text)),
            Document::Index(_) => Err(bad(manifest::ManifestError::Nested)),
        }
    }

    /// The text of a manifest and its digest, which is compared with what the registry says it is.
    async fn manifest(
        &self,
        reference: &Reference,
        name: &str,
        what: &str,
        patient: bool,
    ) -> Result<(Bytes, Digest), RegistryError> {
        let repository = reference.api_repository();
        let target = Target { registry: reference.registry(), repository: &repository, access: Access::Pull };
        let url = self.url(reference.registry(), &format!("{repository}/manifests/{name}"))?;
        let ask = Ask::get(url).header(ACCEPT, MANIFESTS);
        let mut retry = self.retry();
        loop {
            match self.small_answer(&target, &ask, what, self.options.max_manifest_bytes, patient).await {
                Ok((text, headers)) => {
                    let found = Digest::of(&text);
                    let claimed = headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()?.parse().ok());
                    return match claimed {
                        Some(expected) if expected != found => Err(RegistryError::DigestMismatch {
                            what: format!("the manifest of `{what}`"),
                            expected,
                            found,
                        }),
                        _ => Ok((text, found)),
                    };
                }
                Err(error) if patient => retry.after(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// A bounded body, within a bounded time: a short one for whoever has something to fall back on.
    async fn small_answer(
        &self,
        target: &Target<'_>,
        ask: &Ask,
        what: &str,
        limit: u64,
        patient: bool,
    ) -> Result<(Bytes, HeaderMap), RegistryError> {
        let timeouts = self.options.timeouts;
        let after = if patient { timeouts.small_answer } else { timeouts.small_answer.min(timeouts.connect * 2) };
        let began = AtomicBool::new(false);
        let answer = async {
            let response = self.once(target, ask, what).await?;
            began.store(true, Ordering::Relaxed);
            let headers = response.headers().clone();
            let shown = format!("the answer about `{what}`");
            let body = self.read_bounded(target, response, limit, &shown).await?;
            Ok((body, headers))
        };
        let timeout = |_| {
            let registry = target.registry.to_owned();
            match began.load(Ordering::Relaxed) {
                true => RegistryError::TooSlow { registry, moved: None, within: after },
                false => RegistryError::Timeout { registry, after },
            }
        };
        tokio::time::timeout(after, answer).await.map_err(timeout)?
    }
}

fn check(bytes: &Bytes, blob: &Blob, what: &str) -> Result<(), RegistryError> {
    if bytes.len() as u64 != blob.size {
        return Err(RegistryError::WrongLength {
            what: what.to_owned(),
            expected: blob.size,
            found: bytes.len() as u64,
        });
    }
    let found = Digest::of(bytes);
    if found != blob.digest {
        return Err(RegistryError::DigestMismatch { what: what.to_owned(), expected: blob.digest, found });
    }
    Ok(())
}
