//! The drafts of `wasi:keyvalue` by version.

/// The draft of 0.82.
pub(super) const V01: &[&str] = &["@0.1.0"];

/// The drafts of 0.2; they differ in cursors, in the sign of numbers, and in compare-and-swap.
pub(super) const DRAFT: &str = "@0.2.0-draft";
pub(super) const DRAFT2: &str = "@0.2.0-draft2";
pub(super) const V02: &[&str] = &[DRAFT, DRAFT2];
