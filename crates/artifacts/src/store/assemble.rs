//! From the layers of a manifest to the bytes of an artifact.
//!
//! One layer is the artifact. Several are its parts, in order. The layers of an image hold it as their only file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::layers::{self, Form};
use super::{ArtifactStore, FetchError, FetchOptions, Fetched, Origin};
use crate::cache::{self, Claim, Partial};
use crate::digest::Digest;
use crate::format::Format;
use crate::image::{self, ImageConfig, Limits};
use crate::manifest::Blob;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::{RegistryError, Resolved};

/// Layers that are here, in the order of the manifest.
struct Layers {
    order: Vec<Digest>,
    distinct: HashMap<Digest, Layer>,
}

/// A layer that is on this machine's disk, whole and undamaged.
enum Layer {
    Cached(cache::Blob),
    Downloaded(Partial),
}

impl ArtifactStore {
    pub(super) async fn download(
        &self,
        resolved: Resolved,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Fetched, FetchError> {
        let size = resolved.manifest.layers.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size));
        self.check_size(&resolved.reference.to_string(), size, options)?;
        let (reference, manifest) = (&resolved.reference, &resolved.manifest);
        let (bytes, digest, from_cache) = match layers::form(manifest)? {
            Form::Parts(parts) => match parts.as_slice() {
                [layer] => self.only_layer(reference, layer, options, progress).await?,
                parts => {
                    let layers = self.layers(reference, parts, options, progress).await?;
                    (self.concatenate(layers).await?, None, false)
                }
            },
            Form::OneOf(some) => {
                let layers = self.layers(reference, &some, options, progress).await?;
                let layer = self.recognized(layers, some).await?;
                self.only_layer(reference, &layer, options, progress).await?
            }
            Form::Image => {
                let config = self.image_config(&resolved).await?;
                let layers: Vec<&Blob> = manifest.layers.iter().collect();
                let layers = self.layers(reference, &layers, options, progress).await?;
                (self.unpack(layers, config, options).await?, None, false)
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
        // Until it is here it takes no memory, however long that takes.
        match self.layer(reference, layer, options, progress).await? {
            Layer::Cached(blob) => match self.read_blob(layer.digest, blob).await? {
                Some(bytes) => Ok((bytes, Some(layer.digest), true)),
                None => Err(RegistryError::Disk(io::Error::other("a cached file changed while it was read")).into()),
            },
            Layer::Downloaded(partial) => {
                let reserved = self.budget.reserve(partial.len()).await?;
                let cache = self.cache.clone();
                let bytes =
                    blocking(move || cache.complete(&partial).map_err(|error| RegistryError::Disk(error).into()));
                Ok((reserved.hold(bytes.await?), Some(layer.digest), false))
            }
        }
    }

    /// All layers, in order; one that is listed several times is there once.
    async fn layers(
        &self,
        reference: &Reference,
        layers: &[&Blob],
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<Layers, FetchError> {
        let mut here = Layers { order: Vec::new(), distinct: HashMap::new() };
        for layer in layers.iter().copied() {
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
            self.cache.claim(layer.digest, reference.registry()).await.map_err(RegistryError::Disk)?
        };
        Ok(match claim {
            Claim::Ready(blob) => Layer::Cached(blob),
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

    /// The one of `some` that is WebAssembly or may be an archive; all of them are here.
    async fn recognized(&self, layers: Layers, some: Vec<&Blob>) -> Result<Blob, FetchError> {
        let types = layers::types(some.iter().copied());
        let (fitting, layers) = blocking(move || {
            let fits = |mut layer: Reader<'_>| {
                let mut head = Vec::with_capacity(Format::HEAD);
                layer.by_ref().take(Format::HEAD as u64).read_to_end(&mut head).map_err(RegistryError::Disk)?;
                let format = Format::of(&head);
                Ok::<_, FetchError>(format.is_wasm() || format.may_be_archive())
            };
            let fitting: Vec<bool> = layers.readers().map(fits).collect::<Result<_, _>>()?;
            Ok((fitting, layers))
        })
        .await?;
        let named: Vec<&Blob> =
            some.into_iter().zip(fitting).filter_map(|(layer, fits)| fits.then_some(layer)).collect();
        match named.as_slice() {
            [layer] => {
                // It is whole already, and filed by whoever claims it next: the caller.
                layers.discard_except(Some(&layer.digest));
                Ok((*layer).clone())
            }
            [] => {
                layers.discard();
                Err(FetchError::UnknownLayer { media_types: types })
            }
            several => {
                layers.discard();
                Err(FetchError::Ambiguous { count: several.len(), media_types: types })
            }
        }
    }

    async fn concatenate(&self, layers: Layers) -> Result<Bytes, FetchError> {
        let size = layers.len();
        let reserved = self.budget.reserve(size).await?;
        let whole = blocking(move || {
            let mut whole = Vec::new();
            let room = usize::try_from(size).map_err(io::Error::other).map_err(RegistryError::Disk)?;
            whole.try_reserve_exact(room).map_err(|_| RegistryError::Disk(io::ErrorKind::OutOfMemory.into()))?;
            for mut layer in layers.readers() {
                layer.read_to_end(&mut whole).map_err(RegistryError::Disk)?;
            }
            layers.discard();
            Ok(whole)
        });
        Ok(reserved.hold(whole.await?))
    }

    /// The file in the layers of an image, by way of the disk: how large it is turns out only when it is unpacked.
    async fn unpack(&self, layers: Layers, config: ImageConfig, options: &FetchOptions) -> Result<Bytes, FetchError> {
        let limit = self.registry.options().max_artifact_bytes;
        let limit = options.max_bytes.map_or(limit, |most| limit.min(most));
        let unpacked = blocking(move || {
            let limits = Limits { unpacked_bytes: limit, ..Limits::default() };
            let mut unpacked = tempfile::tempfile().map_err(RegistryError::Disk)?;
            let path = image::extract_wasm_file(layers.readers(), limits, &mut unpacked);
            // Refused or not, nobody needs them again: the same manifest gives the same refusal.
            layers.discard();
            config.check_program(&path?)?;
            Ok(unpacked)
        });
        let mut unpacked = unpacked.await?;
        let size = unpacked.metadata().map_err(RegistryError::Disk)?.len();
        let reserved = self.budget.reserve(size).await?;
        let bytes = blocking(move || {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            let read = unpacked.seek(SeekFrom::Start(0)).and_then(|_| unpacked.take(size).read_to_end(&mut bytes));
            read.map_err(RegistryError::Disk)?;
            Ok(bytes)
        });
        Ok(reserved.hold(bytes.await?))
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

    /// Bytes of all of them, in the order of the manifest.
    fn len(&self) -> u64 {
        self.order.iter().map(|digest| self.distinct[digest].len()).sum()
    }

    /// Gives up what was downloaded only to be put together.
    fn discard(&self) {
        self.discard_except(None);
    }

    fn discard_except(&self, kept: Option<&Digest>) {
        for (_, layer) in self.distinct.iter().filter(|(digest, _)| Some(*digest) != kept) {
            if let Layer::Downloaded(partial) = layer {
                partial.discard();
            }
        }
    }
}

impl Layer {
    fn len(&self) -> u64 {
        match self {
            Self::Cached(blob) => blob.len,
            Self::Downloaded(partial) => partial.len(),
        }
    }
}

/// A layer that is opened when it is read: one that is listed twice has one file, and one place in it.
struct Reader<'a> {
    layer: &'a Layer,
    source: Option<File>,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let source = match (self.source.take(), self.layer) {
            (Some(source), _) => source,
            (None, Layer::Cached(blob)) => blob.reader()?,
            (None, Layer::Downloaded(partial)) => partial.reader()?,
        };
        self.source.insert(source).read(buffer)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| RegistryError::Disk(io::Error::other(error)))?
}
