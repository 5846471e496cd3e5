//! Container images whose only content is a wasm file: `FROM scratch` and one `COPY`.
//!
//! Decides whether an image is one and takes the file out of its layers; makes such images too. Images come from
//! strangers: nothing is unpacked to disk, and what is unpacked to memory is bounded. Invariant: a [`WasmFile`] was the
//! only file in all layers.

mod build;
mod unpack;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::json_fault::JsonFault;

pub(crate) use build::{Image, build};
pub use unpack::{Limits, WasmFile, extract_wasm_file, single_wasm_file};

/// Media type of the configuration of an image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of the configuration of an image by docker.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Media type of a layer.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Media type of a compressed layer.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Media type of a layer by docker.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Media type of a compressed layer by docker.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Annotation by which an image says that it is for a wasm runtime.
pub const VARIANT: &str = "module.wasm.image/variant";
/// What [`VARIANT`] says when runtimes shall look at the entrypoint too.
pub const COMPAT_SMART: &str = "compat-smart";

const WASM_SUFFIX: &str = ".wasm";

/// The parts of the configuration of an image that say what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageConfig {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Its further arguments, or the program when there is no entrypoint.
    pub cmd: Vec<String>,
    /// Where relative names of the program begin.
    pub working_dir: String,
}

#[derive(Deserialize)]
struct Config {
    config: Option<Execution>,
}

// Docker writes `null` for what is not set.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Execution {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
}

/// Reads the configuration of an image.
///
/// # Errors
/// [`ImageError::Config`].
pub fn parse_config(text: &[u8]) -> Result<ImageConfig, ImageError> {
    let config: Config = serde_json::from_slice(text).map_err(|error| ImageError::Config(error.into()))?;
    let Some(execution) = config.config else { return Ok(ImageConfig::default()) };
    Ok(ImageConfig {
        entrypoint: execution.entrypoint.unwrap_or_default(),
        cmd: execution.cmd.unwrap_or_default(),
        working_dir: execution.working_dir.unwrap_or_default(),
    })
}

impl ImageConfig {
    /// The wasm file the image runs, as a path without `/` at its beginning, if it runs one.
    #[must_use]
    pub fn program(&self) -> Option<String> {
        let program = self.entrypoint.first().or_else(|| self.cmd.first())?;
        if !program.ends_with(WASM_SUFFIX) {
            return None;
        }
        let absolute =
            if program.starts_with('/') { program.clone() } else { format!("{}/{program}", self.working_dir) };
        let parts: Vec<&str> = absolute.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        Some(parts.join("/"))
    }

    /// Checks that this is an image for a wasm runtime: it says so, or what it runs is a wasm file.
    ///
    /// # Errors
    /// [`ImageError::NotForWasm`].
    pub fn check(&self, annotations: &BTreeMap<String, String>) -> Result<(), ImageError> {
        let variant = annotations.get(VARIANT).map(String::as_str);
        if self.program().is_some() || matches!(variant, Some(COMPAT_SMART | "compat")) {
            return Ok(());
        }
        let entrypoint = self.entrypoint.iter().chain(&self.cmd).map(String::as_str).collect::<Vec<_>>().join(" ");
        Err(ImageError::NotForWasm { entrypoint: crate::text::excerpt(&entrypoint) })
    }

    /// Checks that what the image runs is the file it holds, which is at `path`.
    ///
    /// # Errors
    /// [`ImageError::OtherProgram`].
    pub fn check_program(&self, path: &str) -> Result<(), ImageError> {
        match self.program() {
            Some(program) if program != path => Err(ImageError::OtherProgram {
                program: crate::text::excerpt(&program),
                file: crate::text::excerpt(path),
            }),
            _ => Ok(()),
        }
    }
}

/// Whether a layer of this type is a file system of an image.
pub(crate) fn is_layer(media_type: &str) -> bool {
    [OCI_LAYER, OCI_LAYER_GZIP, DOCKER_LAYER, DOCKER_LAYER_GZIP].contains(&media_type)
}

/// Whether a configuration of this type makes an artifact an image.
pub(crate) fn is_config(media_type: &str) -> bool {
    [OCI_CONFIG, DOCKER_CONFIG].contains(&media_type)
}

/// Why an image is refused.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The configuration is not one.
    #[error("the configuration of the image cannot be read")]
    Config(#[source] JsonFault),
    /// An ordinary container.
    #[error("the image is not for a wasm runtime: it runs `{entrypoint}`")]
    NotForWasm {
        /// What it runs.
        entrypoint: String,
    },
    /// The entrypoint names another file than the one that is there.
    #[error("the image runs `{program}`, but holds `{file}`")]
    OtherProgram {
        /// What it runs.
        program: String,
        /// What it holds.
        file: String,
    },
    /// A layer is damaged.
    #[error("a layer of the image cannot be unpacked")]
    Unreadable(#[source] std::io::Error),
    /// What is unpacked cannot be written.
    #[error("what a layer of the image unpacks to cannot be written")]
    Unwritable(#[source] std::io::Error),
    /// A layer unpacks to more than allowed.
    #[error("the layers of the image unpack to more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// Too many entries.
    #[error("the layers of the image have more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: usize,
    },
    /// A name that leaves the image.
    #[error("`{name}` in the image leaves it")]
    BadName {
        /// The name.
        name: String,
    },
    /// A link, device or anything else that is no file.
    #[error("`{name}` in the image is a {kind}, not a plain file")]
    NotAFile {
        /// Its name.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// No wasm file.
    #[error("the image holds no wasm file")]
    NoWasm,
    /// A file of another kind.
    #[error("the image holds `{name}`, which is not a wasm file")]
    NotWasm {
        /// The file.
        name: String,
    },
    /// Two files.
    #[error("the image holds `{second}` besides `{first}`; only images with one file are supported")]
    TwoFiles {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
}

impl ImageError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "image_config",
            Self::NotForWasm { .. } => "image_not_for_wasm",
            Self::OtherProgram { .. } => "image_other_program",
            Self::Unreadable(_) => "image_unreadable",
            Self::Unwritable(_) => "image_unwritable",
            Self::TooLarge { .. } => "image_too_large",
            Self::TooManyEntries { .. } => "image_too_many_entries",
            Self::BadName { .. } => "image_bad_name",
            Self::NotAFile { .. } => "image_not_a_file",
            Self::NoWasm => "image_without_wasm",
            Self::NotWasm { .. } => "image_not_wasm",
            Self::TwoFiles { .. } => "image_two_files",
        }
    }
}
