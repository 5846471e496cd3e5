//! What references stood for last: manifest and artifact, so that a start needs no registry.
//!
//! A hint, not a truth: the artifact it leads to is verified like any other.

use std::fs;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::{Cache, KNOWN};
use crate::digest::Digest;

/// Longest file looked at, bytes.
const MAX_KNOWN: u64 = 16 << 10;

/// What a reference stood for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The digest that pins it: of its index where there is one, else of its manifest.
    pub resolved: Digest,
    /// The digest of the manifest for this machine.
    pub manifest: Digest,
    /// The digest of the artifact.
    pub artifact: Digest,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    key: String,
    resolved: String,
    manifest: String,
    artifact: String,
}

impl Cache {
    /// Remembers what `key`, a reference or the digest of a manifest, stands for.
    pub(crate) fn remember(&self, key: &str, known: &Known) {
        let Known { resolved, manifest, artifact } = known;
        let stored = Stored {
            key: key.to_owned(),
            resolved: resolved.to_string(),
            manifest: manifest.to_string(),
            artifact: artifact.to_string(),
        };
        let text = serde_json::to_vec(&stored).expect("texts are JSON data");
        if let Err(error) = self.write(&self.known(key), &text) {
            self.complain(&error);
        }
    }

    /// What `key` stood for last.
    #[must_use]
    pub fn recall(&self, key: &str) -> Option<Known> {
        let stored = self.read_known(key).ok()?;
        let known = Known {
            resolved: stored.resolved.parse().ok()?,
            manifest: stored.manifest.parse().ok()?,
            artifact: stored.artifact.parse().ok()?,
        };
        (stored.key == key).then_some(known)
    }

    fn read_known(&self, key: &str) -> io::Result<Stored> {
        let mut text = Vec::new();
        fs::File::open(self.known(key))?.take(MAX_KNOWN).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn known(&self, key: &str) -> std::path::PathBuf {
        self.path(KNOWN).join(Digest::of(key.as_bytes()).hex())
    }
}
