//! Two writers that changed one key while they were apart: one of them loses, and that is said.

use crate::Bucket;

/// Whose write it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What this host has.
    Here,
    /// What the lattice has.
    Lattice,
}

/// A write that lost against another. Without the values: link values may be secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// In which bucket.
    pub bucket: Bucket,
    /// Which key.
    pub key: String,
    /// Which of the two stays.
    pub kept: Side,
}

impl Conflict {
    /// Says it in the log.
    pub fn log(&self) {
        let Self { bucket, key, kept } = self;
        let kept = match kept {
            Side::Here => "what this host has",
            Side::Lattice => "what the lattice has",
        };
        tracing::warn!(?bucket, %key, kept, "two writers changed one key while they were apart");
    }
}
