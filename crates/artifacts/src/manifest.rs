//! Manifests: what a registry says an artifact consists of, and indexes of them, one per platform.
//!
//! Reads what a stranger wrote, within bounds, into our own types; fetches nothing. Invariant: every digest in a
//! [`Document`] is a sha-256, and no list in it is longer than its bound.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;

use crate::digest::{Digest, DigestError};
use crate::json_fault::JsonFault;
use crate::text::excerpt;

/// Layers of one artifact.
pub const MAX_LAYERS: usize = 64;
/// Manifests of one index.
pub const MAX_ENTRIES: usize = 1024;

/// Media type of an OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of docker's index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a registry answers when asked for a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One artifact.
    Manifest(Manifest),
    /// A choice of artifacts.
    Index(Index),
}

/// One artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What kind of artifact it is, where the manifest says so apart from its config.
    pub artifact_type: Option<String>,
    /// Its configuration.
    pub config: Blob,
    /// Its content, in order.
    pub layers: Vec<Blob>,
    /// What its maker noted.
    pub annotations: BTreeMap<String, String>,
}

/// A choice of artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// What there is.
    pub entries: Vec<Entry>,
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its manifest.
    pub manifest: Blob,
    /// Operating system and architecture it is for.
    pub platform: Option<Platform>,
}

/// An operating system and an architecture, in the words of Go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// Some bytes in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What they are.
    pub media_type: String,
    /// Their name.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// What their maker noted.
    pub annotations: BTreeMap<String, String>,
}

/// What tells the kinds of documents apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: u64,
    media_type: Option<String>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// Reads a manifest or an index.
///
/// # Errors
/// [`ManifestError`] when it is neither, or goes beyond a bound.
pub fn parse(text: &[u8]) -> Result<Document, ManifestError> {
    let shape: Shape = serde_json::from_slice(text).map_err(|error| ManifestError::NotJson(error.into()))?;
    if shape.schema_version != 2 {
        return Err(ManifestError::Version { version: shape.schema_version });
    }
    // A document that reads as both would be one artifact to us and another one to somebody else.
    let (known, is_index) = match (shape.layers.is_some(), shape.manifests.is_some()) {
        (true, false) => ([OCI_MANIFEST, DOCKER_MANIFEST], false),
        (false, true) => ([OCI_INDEX, DOCKER_LIST], true),
        (true, true) => return Err(ManifestError::Ambiguous),
        (false, false) => return Err(ManifestError::unknown(shape.media_type.as_deref())),
    };
    if let Some(media_type) = shape.media_type.filter(|media_type| !known.contains(&media_type.as_str())) {
        return Err(ManifestError::unknown(Some(&media_type)));
    }
    if is_index {
        let index: ImageIndex = serde_json::from_slice(text).map_err(|error| ManifestError::NotJson(error.into()))?;
        read_index(&index).map(Document::Index)
    } else {
        let manifest: ImageManifest =
            serde_json::from_slice(text).map_err(|error| ManifestError::NotJson(error.into()))?;
        read_manifest(&manifest).map(Document::Manifest)
    }
}

fn read_manifest(manifest: &ImageManifest) -> Result<Manifest, ManifestError> {
    if manifest.layers().is_empty() {
        return Err(ManifestError::NoLayers);
    }
    if manifest.layers().len() > MAX_LAYERS {
        return Err(ManifestError::TooMany { what: "layers", limit: MAX_LAYERS });
    }
    Ok(Manifest {
        artifact_type: manifest.artifact_type().as_ref().map(ToString::to_string),
        config: blob(manifest.config())?,
        layers: manifest.layers().iter().map(blob).collect::<Result<_, _>>()?,
        annotations: manifest.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
    })
}

fn read_index(index: &ImageIndex) -> Result<Index, ManifestError> {
    if index.manifests().len() > MAX_ENTRIES {
        return Err(ManifestError::TooMany { what: "manifests", limit: MAX_ENTRIES });
    }
    let entry = |descriptor: &Descriptor| {
        let platform = descriptor.platform().as_ref().map(|platform| Platform {
            os: excerpt(&platform.os().to_string()),
            architecture: excerpt(&platform.architecture().to_string()),
        });
        Ok(Entry { manifest: blob(descriptor)?, platform })
    };
    Ok(Index { entries: index.manifests().iter().map(entry).collect::<Result<_, _>>()? })
}

fn blob(descriptor: &Descriptor) -> Result<Blob, ManifestError> {
    Ok(Blob {
        media_type: excerpt(descriptor.media_type().as_ref()),
        digest: descriptor.digest().to_string().parse().map_err(ManifestError::Digest)?,
        size: descriptor.size(),
        annotations: descriptor.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
    })
}

impl Index {
    /// The artifact for a machine like `here`. WebAssembly runs anywhere, so an entry for it comes first; then one for
    /// this platform; then the only entry there is, if it does not say what it is for.
    ///
    /// # Errors
    /// [`ManifestError::NoPlatform`] when none fits, [`ManifestError::Nested`] when the one that does is an index again.
    pub fn choose(&self, here: &Platform) -> Result<&Entry, ManifestError> {
        let native = || self.entries.iter().find(|entry| entry.is_for(|p| p == here));
        let only = || self.entries.first().filter(|entry| self.entries.len() == 1 && entry.platform.is_none());
        // Of entries that are equally good the first, as in every index.
        let wasm = self.entries.iter().filter(|entry| entry.is_for(Platform::is_wasm));
        let chosen = wasm.min_by_key(|entry| entry.platform.as_ref().map(Platform::wasm_rank));
        let chosen = chosen.or_else(native).or_else(only).ok_or_else(|| ManifestError::NoPlatform {
            wanted: here.to_string(),
            available: self
                .entries
                .iter()
                .filter_map(|entry| entry.platform.as_ref().map(Platform::to_string))
                .take(16)
                .collect(),
        })?;
        if [OCI_INDEX, DOCKER_LIST].contains(&chosen.manifest.media_type.as_str()) {
            return Err(ManifestError::Nested);
        }
        Ok(chosen)
    }
}

impl Entry {
    fn is_for(&self, test: impl Fn(&Platform) -> bool) -> bool {
        self.platform.as_ref().is_some_and(test)
    }
}

impl Platform {
    /// Whether WebAssembly is meant. Tools disagree on what is its system and what its architecture.
    fn is_wasm(&self) -> bool {
        matches!(self.architecture.as_str(), "wasm" | "wasm32" | "wasm64")
            || matches!(self.os.as_str(), "wasi" | "wasip1" | "wasip2" | "wasm")
    }

    /// What is taken first when there are several: components, then modules, then what may need more than we have.
    fn wasm_rank(&self) -> (usize, bool) {
        let order = ["wasip2", "wasi", "wasip1"];
        let os = order.iter().position(|os| *os == self.os).unwrap_or(order.len());
        (os, self.architecture == "wasm64")
    }

    /// The machine this runs on.
    #[must_use]
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        let os = if std::env::consts::OS == "macos" { "darwin" } else { std::env::consts::OS };
        Self { os: os.to_owned(), architecture: architecture.to_owned() }
    }
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape of a manifest.
    #[error("the manifest cannot be read")]
    NotJson(#[source] JsonFault),
    /// Another generation of manifests.
    #[error("the manifest is of schema version {version}; only version 2 is supported")]
    Version {
        /// The version.
        version: u64,
    },
    /// Another kind of document.
    #[error("a manifest of type `{media_type}` is not supported")]
    Unknown {
        /// Its media type, as far as it says.
        media_type: String,
    },
    /// Manifest and index at once.
    #[error("the manifest lists both `layers` and `manifests`")]
    Ambiguous,
    /// Nothing in it.
    #[error("the manifest has no layers")]
    NoLayers,
    /// A list beyond its bound.
    #[error("the manifest lists more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A digest that is none, or not sha-256.
    #[error("a digest in the manifest is no good")]
    Digest(#[source] DigestError),
    /// Nothing for this machine.
    #[error("the index has nothing for WebAssembly or `{wanted}`, only for: {}", listed(available))]
    NoPlatform {
        /// This machine.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// An index in an index.
    #[error("the index leads to another index")]
    Nested,
}

fn listed(available: &[String]) -> String {
    if available.is_empty() {
        "nothing that says what it is for".to_owned()
    } else {
        format!("`{}`", available.join("`, `"))
    }
}

impl ManifestError {
    fn unknown(media_type: Option<&str>) -> Self {
        Self::Unknown { media_type: media_type.map_or_else(|| "unknown".to_owned(), excerpt) }
    }

    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "manifest_unreadable",
            Self::Version { .. } => "manifest_version",
            Self::Unknown { .. } => "manifest_type",
            Self::Ambiguous => "manifest_ambiguous",
            Self::NoLayers => "manifest_without_layers",
            Self::TooMany { .. } => "manifest_too_long",
            Self::Digest(source) => source.code(),
            Self::NoPlatform { .. } => "no_platform",
            Self::Nested => "index_in_index",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::NoPlatform { wanted, .. } => {
                format!("push it for `{wanted}` or `wasi/wasm`, or refer to one of its manifests by digest")
            }
            Self::Nested => "refer to the manifest by digest".to_owned(),
            _ => "push the artifact again with `wash push`".to_owned(),
        }
    }
}
