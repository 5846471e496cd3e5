//! Why an artifact cannot be had.

use crate::budget::NoRoom;
use crate::image::ImageError;
use crate::registry::RegistryError;

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Whatever was pushed last, which nobody allowed.
    #[error("`{reference}` means whatever was pushed last, which may be something else every time")]
    Latest {
        /// The reference.
        reference: String,
    },
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// No layer that is an artifact.
    #[error(
        "none of the artifact's layers is WebAssembly or a provider archive; they are of type {}",
        types(media_types)
    )]
    UnknownLayer {
        /// Their media types, without repetition.
        media_types: Vec<String>,
    },
    /// Several layers that may be the artifact, and nothing to tell which.
    #[error("{count} of the artifact's layers of type {} may be the artifact", types(media_types))]
    Ambiguous {
        /// How many.
        count: usize,
        /// Their media types, without repetition.
        media_types: Vec<String>,
    },
    /// Other loads take the memory that there is for loads.
    #[error(transparent)]
    Busy(#[from] NoRoom),
    /// An image that does not hold one wasm file.
    #[error("the image is not one wasm file")]
    Image(#[from] ImageError),
}

fn types(media_types: &[String]) -> String {
    let shown: Vec<String> = media_types.iter().take(8).map(|media_type| format!("`{media_type}`")).collect();
    shown.join(", ")
}

impl FetchError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Latest { .. } => "latest",
            Self::Registry(source) => source.code(),
            Self::UnknownLayer { .. } => "unknown_layer",
            Self::Ambiguous { .. } => "ambiguous_layers",
            Self::Busy(_) => "busy",
            Self::Image(source) => source.code(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Latest { .. } => "name a version, as in `:1.0.0`, or allow it with `--allow-latest`".to_owned(),
            Self::Registry(source) => source.next_step(),
            Self::Busy(_) => "try again when fewer artifacts are being loaded".to_owned(),
            Self::UnknownLayer { .. } | Self::Ambiguous { .. } => {
                "refer to something that was pushed by `wash push`, or to an image with one wasm file".to_owned()
            }
            Self::Image(_) => {
                "build it `FROM scratch` with nothing but the wasm file, or push it with `wash push --image`".to_owned()
            }
        }
    }

    /// Whether the registry is away, so that trying again later may help.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Registry(source) if source.is_away())
    }
}
