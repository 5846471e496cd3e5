//! Pushing: the blobs a registry does not have yet, then the manifest that names them.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method, Response, Url};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Registry;
use super::error::RegistryError;
use super::exchange::Ask;
use super::inner::Inner;
use super::redirect::{location, same_origin};
use super::resolve::CONTENT_DIGEST;
use super::target::{Access, Target};
use crate::content::PushContent;
use crate::digest::Digest;
use crate::manifest::OCI_MANIFEST;
use crate::pace::Pace;
use crate::progress::{Finish, Progress};
use crate::reference::Reference;

/// Bytes handed to the connection at once, and the grain of progress.
const PIECE: usize = 64 << 10;
/// How much longer than between pieces may pass between the last of them and the answer.
const COMMIT: u32 = 4;
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest, which pins it.
    pub digest: Digest,
    /// The reference with that digest.
    pub reference: Reference,
}

impl Registry {
    /// Pushes `content` to where `reference` says; without a tag that is `latest`. A digest in the reference must be the
    /// one of what is pushed.
    ///
    /// # Errors
    /// [`RegistryError`] saying what is wrong and what to do.
    pub async fn push(
        &self,
        reference: &Reference,
        content: &PushContent,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let after = self.inner.options.timeouts.whole;
        let timeout = |_| RegistryError::Timeout { registry: reference.registry().to_owned(), after };
        tokio::time::timeout(after, self.push_all(reference, content, progress)).await.map_err(timeout)?
    }

    async fn push_all(
        &self,
        reference: &Reference,
        content: &PushContent,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let inner = &self.inner;
        let manifest = content.manifest();
        let digest = Digest::of(&manifest);
        let what = format!("the manifest of `{reference}`");
        if let Some(expected) = reference.digest().filter(|expected| **expected != digest) {
            return Err(RegistryError::DigestMismatch { what, expected: *expected, found: digest });
        }
        let limit = inner.options.max_artifact_bytes;
        if content.layer.len() as u64 > limit {
            return Err(RegistryError::TooLarge { what: format!("`{reference}`"), limit });
        }
        let repository = reference.api_repository();
        let target = Target { registry: reference.registry(), repository: &repository, access: Access::Push };
        inner.put_blob(&target, &content.layer, &reference.to_string(), progress).await?;
        inner.put_blob(&target, &content.config, "configuration", progress).await?;

        let url = inner.url(target.registry, &format!("{repository}/manifests/{}", reference.manifest_name()))?;
        let ask = Ask::new(Method::PUT, url).content(OCI_MANIFEST, manifest);
        let response = inner.answered(&target, &ask, &reference.to_string()).await?;
        check_digest(&response, digest, what)?;
        Ok(Pushed { digest, reference: reference.with_digest(digest) })
    }
}

impl Inner {
    async fn put_blob(
        &self,
        target: &Target<'_>,
        bytes: &Bytes,
        what: &str,
        progress: &dyn Progress,
    ) -> Result<(), RegistryError> {
        let digest = Digest::of(bytes);
        progress.start(what, Some(bytes.len() as u64));
        let _finish = Finish(progress);
        let blob = self.url(target.registry, &format!("{}/blobs/{digest}", target.repository))?;
        match self.answered(target, &Ask::new(Method::HEAD, blob), what).await {
            Ok(_) => {
                progress.advance(bytes.len() as u64);
                return Ok(());
            }
            Err(RegistryError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut retry = self.retry();
        loop {
            match self.upload(target, bytes, digest, what, progress).await {
                Ok(()) => return Ok(()),
                Err(error) => retry.after(error).await?,
            }
            progress.start(what, Some(bytes.len() as u64));
        }
    }

    /// One upload from its beginning; what an earlier one left is the registry's to clean up.
    async fn upload(
        &self,
        target: &Target<'_>,
        bytes: &Bytes,
        digest: Digest,
        what: &str,
        progress: &dyn Progress,
    ) -> Result<(), RegistryError> {
        let uploads = self.url(target.registry, &format!("{}/blobs/uploads/", target.repository))?;
        let begin = Ask::new(Method::POST, uploads.clone()).header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = self.once(target, &begin, target.repository).await?;
        let status = response.status().as_u16();
        let mut place = location(target.registry, &uploads, response.headers()).ok_or_else(|| {
            let said = "an upload that leads nowhere".to_owned();
            RegistryError::Unexpected { registry: target.registry.to_owned(), status, said }
        })??;
        place.query_pairs_mut().append_pair("digest", &digest.to_string());
        // Where uploads go is the registry's choice; credentials go only to the registry itself.
        let authorization = self.auth.known(target).filter(|_| same_origin(&uploads, &place));
        let response = self.send_body(target, place, authorization, bytes, progress).await?;
        let response = self.check(target, response, what).await?;
        check_digest(&response, digest, format!("`{what}`"))
    }

    async fn send_body(
        &self,
        target: &Target<'_>,
        place: Url,
        authorization: Option<HeaderValue>,
        bytes: &Bytes,
        progress: &dyn Progress,
    ) -> Result<Response, RegistryError> {
        let (sent, mut told) = mpsc::channel::<u64>(16);
        let mut request = self
            .transport
            .client(&place)?
            .put(place)
            .header(CONTENT_TYPE, OCTETS)
            .header(CONTENT_LENGTH, bytes.len())
            .body(pieces(bytes.clone(), sent));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let sending = request.send();
        tokio::pin!(sending);
        let mut left = bytes.len() as u64;
        let mut pace = Pace::new(self.options.timeouts.pace_window, Instant::now());
        loop {
            // When all is sent, the registry may take a while to file it.
            let patience = self.options.timeouts.idle * if left == 0 { COMMIT } else { 1 };
            tokio::select! {
                response = &mut sending => return response.map_err(|error| self.failed(error, target.registry)),
                Some(count) = told.recv() => {
                    left -= count;
                    progress.advance(count);
                    match pace.moved(count, Instant::now()) {
                        Err(slow) if left > 0 => {
                            let (registry, moved) = (target.registry.to_owned(), Some(slow.moved));
                            return Err(RegistryError::TooSlow { registry, moved, within: slow.window });
                        }
                        _ => {}
                    }
                }
                () = tokio::time::sleep(patience) => {
                    return Err(RegistryError::Timeout { registry: target.registry.to_owned(), after: patience });
                }
            }
        }
    }
}

/// The bytes in pieces, each announced when the connection takes it.
fn pieces(bytes: Bytes, sent: mpsc::Sender<u64>) -> Body {
    Body::wrap_stream(stream::unfold((bytes, sent), |(mut rest, sent)| async move {
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        // Nobody listens any more when the answer came early.
        let _ = sent.send(piece.len() as u64).await;
        Some((Ok::<_, Infallible>(piece), (rest, sent)))
    }))
}

fn check_digest(response: &Response, expected: Digest, what: String) -> Result<(), RegistryError> {
    let stored = response.headers().get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()?.parse::<Digest>().ok());
    match stored {
        Some(found) if found != expected => Err(RegistryError::DigestMismatch { what, expected, found }),
        _ => Ok(()),
    }
}
