//! Why an artifact cannot be had.

use artifacts::{CacheError, ReferenceError, RegistryError};

use super::MAX_ARTIFACT_BYTES;
use crate::reason::reason;

/// Why the host has no way to artifacts.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// Registry settings that cannot work.
    #[error("registry settings")]
    Registry(#[from] RegistryError),
    /// The cache cannot be opened.
    #[error("cache of artifacts; choose another place with `--cache-dir`")]
    Cache(#[from] CacheError),
}

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing was asked for.
    #[error("the artifact reference is empty")]
    Empty,
    /// Files are not allowed on this host.
    #[error("this host does not load files; start it with `--allow-file-load` to run `{reference}`")]
    FilesNotAllowed {
        /// As written.
        reference: String,
    },
    /// The file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Unreadable {
        /// The path.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Too large.
    #[error("`{path}` has {bytes} bytes; at most {MAX_ARTIFACT_BYTES} are accepted")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// Not a file, and not a reference either.
    #[error("`{reference}` is neither a file nor a reference: {source}; {}", .source.next_step())]
    NotAReference {
        /// As written.
        reference: String,
        /// Why.
        source: ReferenceError,
    },
    /// The registry did not give it.
    #[error("cannot fetch `{reference}`: {}; {}", reason(.source.as_ref()), .source.next_step())]
    Registry {
        /// As written.
        reference: String,
        /// Why.
        source: Box<artifacts::FetchError>,
    },
    /// No provider of that name is compiled in.
    #[error("no provider `{name}` is built into this host; it has: {}", .known.join(", "))]
    UnknownBuiltin {
        /// The name.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A built-in provider was named where an actor is needed, or the other way round.
    #[error("`{reference}` is a built-in provider, not an actor")]
    NotAnActor {
        /// As written.
        reference: String,
    },
    /// The host is stopping.
    #[error("reading the artifact was interrupted")]
    Interrupted,
}

impl FetchError {
    /// Stable word for logs, tests and docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_reference",
            Self::FilesNotAllowed { .. } => "files_not_allowed",
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
            Self::NotAReference { source, .. } => source.code(),
            Self::Registry { source, .. } => source.code(),
            Self::UnknownBuiltin { .. } => "unknown_builtin",
            Self::NotAnActor { .. } => "not_an_actor",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether the same fetch may succeed later without anybody changing anything here: a registry comes back, a disk is
    /// mounted.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Registry { source, .. } => source.is_away(),
            Self::Unreadable { .. } => true,
            _ => false,
        }
    }
}
