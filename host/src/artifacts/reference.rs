//! A reference as an operator wrote it, and what it means.

use std::path::PathBuf;

use super::FetchError;

/// What a reference points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `file:///abs/path` or `/abs/path`.
    File(PathBuf),
    /// `builtin://name`: a provider compiled into the host.
    Builtin(String),
    /// Everything else is an OCI reference, with or without `oci://`, `http://` or `https://` before it.
    Registry(String),
}

/// A reference as it was written, with what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRef {
    text: String,
    location: Location,
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
            ("oci://registry.test/Echo:1", Location::Registry("oci://registry.test/Echo:1".into())),
        ];
        for (text, location) in cases {
            let reference = ArtifactRef::parse(text).expect("a reference");
            assert_eq!(reference.as_str(), text);
            assert_eq!(*reference.location(), location);
        }
        assert!(matches!(ArtifactRef::parse("  "), Err(FetchError::Empty)));
    }
}
