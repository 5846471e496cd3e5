//! Where actors and providers come from: references, parsed once, and the bytes behind them.
//!
//! Today: files of this machine (when allowed) and compiled-in providers. The reference a client wrote is kept as
//! written; it is what acks, events and inventories show (protocol section 2.4).

use std::path::PathBuf;

use bytes::Bytes;

/// Largest artifact read into memory, bytes.
pub const MAX_ARTIFACT_BYTES: u64 = 256 << 20;

/// What a reference points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:///abs/path` or `/abs/path`.
    File(PathBuf),
    /// `builtin://name`: a provider compiled into the host.
    Builtin(String),
    /// Everything else is an OCI reference.
    Registry(String),
}

/// A reference as it was written, with what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRef {
    text: String,
    location: Location,
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
    /// Registries are not served yet.
    #[error("`{reference}` is a registry reference; this host loads `file://` references and `builtin://` providers")]
    RegistryUnsupported {
        /// As written.
        reference: String,
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
            Self::RegistryUnsupported { .. } => "registry_unsupported",
            Self::UnknownBuiltin { .. } => "unknown_builtin",
            Self::NotAnActor { .. } => "not_an_actor",
        }
    }
}

impl ArtifactRef {
    /// Reads a reference. Every non-empty text is one; whether it can be fetched is another question.
    ///
    /// # Errors
    /// [`FetchError::Empty`].
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(FetchError::Empty);
        }
        let location = if let Some(path) = text.strip_prefix("file://") {
            Location::File(path.into())
        } else if text.starts_with('/') {
            Location::File(text.into())
        } else if let Some(name) = text.strip_prefix("builtin://") {
            Location::Builtin(name.to_owned())
        } else {
            Location::Registry(text.to_owned())
        };
        Ok(Self { text: text.to_owned(), location })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it points at.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }
}

/// Reads the bytes behind a reference. Holds no lock; dropping the future abandons the read.
///
/// # Errors
/// [`FetchError`] naming the reference, the reason and, where there is one, the next step.
pub async fn fetch(reference: &ArtifactRef, allow_files: bool) -> Result<Bytes, FetchError> {
    match &reference.location {
        Location::File(_) if !allow_files => Err(FetchError::FilesNotAllowed { reference: reference.text.clone() }),
        Location::File(path) => read_file(path).await,
        Location::Builtin(_) => Err(FetchError::NotAnActor { reference: reference.text.clone() }),
        Location::Registry(text) => Err(FetchError::RegistryUnsupported { reference: text.clone() }),
    }
}

async fn read_file(path: &std::path::Path) -> Result<Bytes, FetchError> {
    let shown = path.display().to_string();
    let unreadable = |source| FetchError::Unreadable { path: shown.clone(), source };
    let bytes = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
    if bytes > MAX_ARTIFACT_BYTES {
        return Err(FetchError::TooLarge { path: shown, bytes });
    }
    tokio::fs::read(path).await.map(Bytes::from).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_keep_their_text() {
        let cases = [
            ("file:///a/b.wasm", Location::File("/a/b.wasm".into())),
            ("/a/b.wasm", Location::File("/a/b.wasm".into())),
            ("builtin://httpserver", Location::Builtin("httpserver".into())),
            ("registry.test/Echo:1", Location::Registry("registry.test/Echo:1".into())),
        ];
        for (text, location) in cases {
            let reference = ArtifactRef::parse(text).expect("a reference");
            assert_eq!(reference.as_str(), text);
            assert_eq!(*reference.location(), location);
        }
        assert!(matches!(ArtifactRef::parse("  "), Err(FetchError::Empty)));
    }

    #[tokio::test]
    async fn every_refusal_has_its_code() {
        let code = |text: &str, allow| {
            let reference = ArtifactRef::parse(text).expect("a reference");
            async move { fetch(&reference, allow).await.map_err(|error| error.code()) }
        };
        assert_eq!(code("file:///nowhere/x.wasm", false).await, Err("files_not_allowed"));
        assert_eq!(code("file:///nowhere/x.wasm", true).await, Err("unreadable"));
        assert_eq!(code("registry.test/x:1", true).await, Err("registry_unsupported"));
        assert_eq!(code("builtin://x", true).await, Err("not_an_actor"));
    }

    #[tokio::test]
    async fn a_file_beyond_the_bound_is_refused_without_reading_it() {
        let file = tempfile::NamedTempFile::new().expect("a temp file");
        file.as_file().set_len(MAX_ARTIFACT_BYTES + 1).expect("sparse");
        let reference = ArtifactRef::parse(&file.path().display().to_string()).expect("a reference");
        assert_eq!(fetch(&reference, true).await.map_err(|error| error.code()), Err("too_large"));
    }
}
