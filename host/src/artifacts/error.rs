//! Why an artifact cannot be had.

use std::time::Duration;

use artifacts::{CacheError, FileError, Format, ReferenceError, RegistryError, WasmFileFault};

use super::Kind;
use crate::process::error_chain::error_chain;

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

/// Why an artifact cannot be had. It is told to the lattice, so nothing in it is from a file of this machine.
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
    /// The file cannot be read, is none, or is too large.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file's system does not answer.
    #[error("`{path}` was not read within {after:?}: its file system does not answer, or others are waited for")]
    FileSilent {
        /// The path.
        path: String,
        /// How long was waited.
        after: Duration,
    },
    /// It is something else.
    #[error("`{reference}` is {found}, not {wanted}; {}", .wanted.instead_of(*.found))]
    WrongKind {
        /// As written.
        reference: String,
        /// What it is.
        found: Format,
        /// What was to be started.
        wanted: Kind,
    },
    /// Two files in one, or something behind the end.
    #[error("`{reference}` is not one WebAssembly file: {source}; make it again")]
    NotOneFile {
        /// As written.
        reference: String,
        /// What is wrong with it.
        source: WasmFileFault,
    },
    /// Too many others are being loaded, or too much.
    #[error("too many artifacts are being loaded here; try again later")]
    Busy,
    /// Not a file, and not a reference either.
    #[error("`{reference}` is neither a file nor a reference: {source}; {}", .source.next_step())]
    NotAReference {
        /// As written.
        reference: String,
        /// Why.
        source: ReferenceError,
    },
    /// The registry did not give it.
    #[error("cannot fetch `{reference}`: {}; {}", error_chain(.source.as_ref()), .source.next_step())]
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
    #[error("loading the artifact was interrupted: the host is stopping")]
    Interrupted,
}

impl FetchError {
    /// Stable word for logs, tests and docs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_reference",
            Self::FilesNotAllowed { .. } => "files_not_allowed",
            Self::File(source) => source.code(),
            Self::FileSilent { .. } => "file_silent",
            Self::WrongKind { .. } => "wrong_kind",
            Self::NotOneFile { .. } => "not_one_wasm",
            Self::Busy => "busy",
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
            Self::Registry { source, .. } => source.is_away() || source.code() == "busy",
            Self::File(FileError::Unreadable { .. } | FileError::Changed { .. }) => true,
            Self::FileSilent { .. } | Self::Busy | Self::Interrupted => true,
            _ => false,
        }
    }
}
