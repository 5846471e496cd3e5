//! What is pushed: bytes of an artifact together with how a registry shall file them.
//!
//! Media types are those of protocol section 2.3. What something is follows from its content, never from a file name.
//! Invariant: actors and providers that [`PushContent::recognize`] lets through are signed and unchanged.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use claims::{archive, wasm};
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::format::{Format, WasmFileFault, check_one_wasm};
use crate::{image, manifest};

/// Media type of the layer of an actor.
pub const ACTOR_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
/// Media type of the configuration of an actor.
pub const ACTOR_CONFIG: &str = "application/vnd.wasmcloud.actor.archive.config";
/// Media type of the layer of a provider.
pub const PROVIDER_LAYER: &str = "application/vnd.wasmcloud.provider.archive.layer.v1+par";
/// Media type of the configuration of a provider.
pub const PROVIDER_CONFIG: &str = "application/vnd.wasmcloud.provider.archive.config";
/// Media type of a wasm file as a layer.
pub const WASM_LAYER: &str = "application/wasm";
/// Media type of the configuration beside [`WASM_LAYER`].
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// What an artifact is, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArtifactKind {
    /// A signed module or component.
    Actor,
    /// A signed provider archive.
    Provider,
    /// A module or component that is not signed.
    Wasm,
}

impl ArtifactKind {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Provider => "provider",
            Self::Wasm => "wasm",
        }
    }

    /// What `bytes` are, when they are signed: an actor or a provider.
    ///
    /// # Errors
    /// [`NotAnArtifact`] with the reason.
    pub fn recognize(bytes: &[u8]) -> Result<Self, NotAnArtifact> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let format = Format::of(bytes);
        if matches!(format, Format::Module | Format::Component) {
            check_one_wasm(bytes).map_err(NotAnArtifact::Damaged)?;
            wasm::verify_actor(bytes, now).map_err(|source| NotAnArtifact::Actor(Box::new(source)))?;
            return Ok(Self::Actor);
        }
        if !format.may_be_archive() {
            return Err(NotAnArtifact::Unknown(format));
        }
        let (archive, _) = archive::check_from(bytes, archive::Limits::default())
            .map_err(|source| NotAnArtifact::Provider(Box::new(source)))?;
        archive.check_times(now).map_err(|source| NotAnArtifact::Provider(Box::new(source)))?;
        Ok(Self::Provider)
    }
}

/// Why something is neither an actor nor a provider.
#[derive(Debug, thiserror::Error)]
pub enum NotAnArtifact {
    /// WebAssembly whose claims do not hold.
    #[error("this is WebAssembly, but not a signed actor")]
    Actor(#[source] Box<claims::ArtifactError>),
    /// An archive whose claims do not hold.
    #[error("this is an archive, but not a signed provider")]
    Provider(#[source] Box<claims::ArchiveError>),
    /// WebAssembly with something behind it.
    #[error("this is WebAssembly, but not one file of it")]
    Damaged(#[source] WasmFileFault),
    /// Anything else.
    #[error("this is {0}, neither WebAssembly nor a provider archive")]
    Unknown(Format),
}

impl NotAnArtifact {
    /// Stable word for logs, tests and replies; that of the claims where they are at fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Actor(source) => source.code(),
            Self::Provider(source) => source.code(),
            Self::Damaged(_) => "not_one_wasm",
            Self::Unknown(_) => "not_an_artifact",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Actor(_) => "sign it with `wash claims sign`".to_owned(),
            Self::Provider(_) => "make the archive with `wash par create`".to_owned(),
            Self::Damaged(_) => "make the file again; it is not what a compiler or `wash claims sign` wrote".to_owned(),
            Self::Unknown(Format::Precompiled) => {
                "push the WebAssembly it was made from: compiled code is for the machine that made it".to_owned()
            }
            Self::Unknown(Format::Elf | Format::MachO | Format::Pe | Format::Script) => {
                "make a provider archive of it with `wash par create`".to_owned()
            }
            Self::Unknown(_) => "give a `.wasm` file or a `.par` archive".to_owned(),
        }
    }
}

/// Something to push.
#[derive(Debug, Clone)]
pub struct PushContent {
    pub(crate) layer: Bytes,
    pub(crate) layer_type: &'static str,
    pub(crate) config: Bytes,
    pub(crate) config_type: &'static str,
    pub(crate) annotations: BTreeMap<String, String>,
    is_image: bool,
}

impl PushContent {
    /// A signed actor, filed as `wash` always did.
    pub fn actor(bytes: impl Into<Bytes>) -> Self {
        Self::single(bytes.into(), ACTOR_LAYER, "{}".into(), ACTOR_CONFIG)
    }

    /// A provider archive, filed as `wash` always did.
    pub fn provider(bytes: impl Into<Bytes>) -> Self {
        Self::single(bytes.into(), PROVIDER_LAYER, "{}".into(), PROVIDER_CONFIG)
    }

    /// WebAssembly in the form other wasm tools read: one layer of `application/wasm`.
    pub fn wasm(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let os = if matches!(wasm::layer(&bytes), Ok(wasm::Layer::Component)) { "wasip2" } else { "wasip1" };
        let config = json!({ "architecture": "wasm", "os": os, "layerDigests": [Digest::of(&bytes).to_string()] });
        Self::single(bytes, WASM_LAYER, config.to_string().into(), WASM_CONFIG)
    }

    /// WebAssembly as a container image that holds only `/{file_name}` and runs it.
    #[must_use]
    pub fn image(bytes: &[u8], file_name: &str) -> Self {
        let image::Image { layer, config } = image::build(bytes, file_name);
        let content = Self::single(layer, image::OCI_LAYER_GZIP, config, image::OCI_CONFIG);
        Self { is_image: true, ..content }.annotate(image::VARIANT, image::COMPAT_SMART)
    }

    /// What `bytes` are, by their content.
    ///
    /// # Errors
    /// [`NotAnArtifact`] when they are neither a signed actor nor a signed provider.
    pub fn recognize(bytes: impl Into<Bytes>) -> Result<Self, NotAnArtifact> {
        let bytes = bytes.into();
        Ok(match ArtifactKind::recognize(&bytes)? {
            ArtifactKind::Provider => Self::provider(bytes),
            ArtifactKind::Actor | ArtifactKind::Wasm => Self::actor(bytes),
        })
    }

    fn single(layer: Bytes, layer_type: &'static str, config: Bytes, config_type: &'static str) -> Self {
        Self { layer, layer_type, config, config_type, annotations: BTreeMap::new(), is_image: false }
    }

    /// With another configuration; its media type stays.
    #[must_use]
    pub fn with_config(mut self, config: impl Into<Bytes>) -> Self {
        self.config = config.into();
        self
    }

    /// With an annotation on the manifest.
    #[must_use]
    pub fn annotate(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// What this is.
    #[must_use]
    pub fn kind(&self) -> ArtifactKind {
        match self.layer_type {
            ACTOR_LAYER => ArtifactKind::Actor,
            PROVIDER_LAYER => ArtifactKind::Provider,
            _ => ArtifactKind::Wasm,
        }
    }

    /// The manifest, as it is pushed. Actors and providers have the members older tools write and no others.
    #[must_use]
    pub fn manifest(&self) -> Bytes {
        let blob = |media_type: &str, bytes: &Bytes| json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() });
        let mut members = json!({
            "schemaVersion": 2,
            "config": blob(self.config_type, &self.config),
            "layers": [blob(self.layer_type, &self.layer)],
        });
        if !self.annotations.is_empty() {
            members["annotations"] = json!(self.annotations);
        }
        if self.is_image || self.layer_type == WASM_LAYER {
            members["mediaType"] = Value::from(manifest::OCI_MANIFEST);
        }
        members.to_string().into()
    }
}
