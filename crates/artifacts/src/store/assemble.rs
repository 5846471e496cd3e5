//! From the layers of a manifest to the bytes of an artifact.
//!
//! One layer is the artifact. Several are its parts, in order. The layers of an image hold it as their only file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor, Read};

use bytes::Bytes;

use super::{ArtifactStore, FetchError, FetchOptions, Fetched, Origin};
use crate::cache::{Claim, Partial};
use crate::content::{ACTOR_LAYER, PROVIDER_LAYER, WASM_LAYER};
use crate::digest::Digest;
use crate::image::{self, ImageConfig, Limits};
use crate::manifest::{Blob, Manifest};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::{RegistryError, Resolved};

/// What the layers of a manifest are.
enum Form {
    /// Parts of the artifact.
    Parts,
    /// File systems.
    Image,
}

fn form(manifest: &Manifest) -> Result<Form, FetchError> {
    let is_part = |layer: &Blob| {
        let plain = [ACTOR_LAYER, PROVIDER_LAYER, WASM_LAYER, image::OCI_LAYER];
        plain.contains(&layer.media_type.as_str())
    };
    // Older tools called the content of an artifact a tar layer; images do so too, and have a configuration of images.
    let is_image = image::is_config(&manifest.config.media_type)
        && manifest.layers.iter().all(|layer| image::is_layer(&layer.media_type));
    if is_image {
        return Ok(Form::Image);
    }
    match manifest.layers.iter().find(|layer| !is_part(layer)) {
        Some(layer) => Err(FetchError::UnknownLayer { media_type: layer.media_type.clone() }),
        None => Ok(Form::Parts),
    }
}

/// Layers that are here, in the order of the manifest.
struct Layers {
    order: Vec<Digest>,
    distinct: HashMap<Digest, Layer>,
}

/// A layer that is here.
enum Layer {
    Cached(Bytes),
    Downloaded(Partial),
}

impl ArtifactStore {
    pub(super) async fn download(
        &self,
        resolved: Resolved,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Fetched, FetchError> {
        let limit = self.registry.options().max_artifact_bytes;
        let size = resolved.manifest.layers.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size));
        if size > limit {
            let what = format!("`{}`", resolved.reference);
            return Err(RegistryError::TooLarge { what, limit }.into());
        }
        let form = form(&resolved.manifest)?;
        let (reference, manifest) = (&resolved.reference, &resolved.manifest);
        let (bytes, digest, from_cache) = match (form, manifest.layers.as_slice()) {
            (Form::Parts, [layer]) => self.only_layer(reference, layer, options, progress).await?,
            (Form::Parts, layers) => {
                let layers = self.layers(reference, layers, options, progress).await?;
                (self.concatenate(layers).await?, None, false)
            }
            (Form::Image, layers) => {
                let config = self.image_config(&resolved).await?;
                let layers = self.layers(reference, layers, options, progress).await?;
                (self.unpack(layers, config, limit).await?, None, false)
            }
        };
        let digest = match digest {
            Some(digest) => digest,
            None => self.keep(bytes.clone()).await?,
        };
        self.remember(&resolved, digest).await;
        let origin = if from_cache { Origin::Cache } else { Origin::Registry };
        Ok(Fetched {
            bytes,
            digest,
            manifest_digest: resolved.digest,
            platform_digest: resolved.manifest_digest,
            origin,
        })
    }

    async fn only_layer(
        &self,
        reference: &Reference,
        layer: &Blob,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<(Bytes, Option<Digest>, bool), FetchError> {
        match self.layer(reference, layer, options, progress).await? {
            Layer::Cached(bytes) => Ok((bytes, Some(layer.digest), true)),
            Layer::Downloaded(partial) => {
                let cache = self.cache.clone();
                let bytes = tokio::task::spawn_blocking(move || cache.complete(&partial)).await;
                let bytes = bytes.map_err(io::Error::other).and_then(|bytes| bytes).map_err(RegistryError::Disk)?;
                Ok((bytes, Some(layer.digest), false))
            }
        }
    }

    /// All layers, in order; one that is listed several times is there once.
    async fn layers(
        &self,
        reference: &Reference,
        layers: &[Blob],
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Layers, FetchError> {
        let mut here = Layers { order: Vec::new(), distinct: HashMap::new() };
        for layer in layers {
            here.order.push(layer.digest);
            if !here.distinct.contains_key(&layer.digest) {
                let layer = (layer.digest, self.layer(reference, layer, options, progress).await?);
                here.distinct.extend([layer]);
            }
        }
        Ok(here)
    }

    async fn layer(
        &self,
        reference: &Reference,
        layer: &Blob,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Layer, FetchError> {
        let claim = if options.no_cache {
            Claim::Ours(Partial::nameless().map_err(RegistryError::Disk)?)
        } else {
            self.cache.claim(layer.digest).await.map_err(RegistryError::Disk)?
        };
        Ok(match claim {
            Claim::Ready(bytes) => Layer::Cached(bytes),
            Claim::Ours(partial) => {
                Layer::Downloaded(self.registry.download(reference, layer, partial, progress).await?)
            }
        })
    }

    async fn image_config(&self, resolved: &Resolved) -> Result<ImageConfig, FetchError> {
        let what = format!("the configuration of `{}`", resolved.reference);
        let text = self.registry.small_blob(&resolved.reference, &resolved.manifest.config, &what).await?;
        let config = image::parse_config(&text)?;
        config.check(&resolved.manifest.annotations)?;
        Ok(config)
    }

    async fn concatenate(&self, layers: Layers) -> Result<Bytes, FetchError> {
        blocking(move || {
            let mut whole = Vec::new();
            for mut layer in layers.readers() {
                layer.read_to_end(&mut whole).map_err(RegistryError::Disk)?;
            }
            layers.discard();
            Ok(whole.into())
        })
        .await
    }

    async fn unpack(&self, layers: Layers, config: ImageConfig, limit: u64) -> Result<Bytes, FetchError> {
        blocking(move || {
            let limits = Limits { unpacked_bytes: limit, ..Limits::default() };
            let file = image::single_wasm_file(layers.readers(), limits);
            // Refused or not, nobody needs them again: the same manifest gives the same refusal.
            layers.discard();
            let file = file?;
            config.check_program(&file)?;
            Ok(file.bytes)
        })
        .await
    }

    /// Files an artifact that was put together here.
    async fn keep(&self, bytes: Bytes) -> Result<Digest, FetchError> {
        let cache = self.cache.clone();
        blocking(move || {
            Ok(match cache.put(&bytes) {
                Ok(digest) => digest,
                Err(error) => {
                    tracing::debug!(%error, "an artifact was not cached");
                    Digest::of(&bytes)
                }
            })
        })
        .await
    }
}

impl Layers {
    fn readers(&self) -> impl Iterator<Item = Reader<'_>> {
        self.order.iter().map(|digest| Reader { layer: &self.distinct[digest], source: None })
    }

    /// Gives up what was downloaded only to be put together.
    fn discard(&self) {
        for layer in self.distinct.values() {
            if let Layer::Downloaded(partial) = layer {
                partial.discard();
            }
        }
    }
}

/// A layer that is opened when it is read: one that is listed twice has one file, and one place in it.
struct Reader<'a> {
    layer: &'a Layer,
    source: Option<Source>,
}

enum Source {
    Memory(Cursor<Bytes>),
    Disk(File),
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let source = match (self.source.take(), self.layer) {
            (Some(source), _) => source,
            (None, Layer::Cached(bytes)) => Source::Memory(Cursor::new(bytes.clone())),
            (None, Layer::Downloaded(partial)) => Source::Disk(partial.reader()?),
        };
        match self.source.insert(source) {
            Source::Memory(bytes) => bytes.read(buffer),
            Source::Disk(file) => file.read(buffer),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| RegistryError::Disk(io::Error::other(error)))?
}
