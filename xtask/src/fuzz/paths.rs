//! Where the crate of the fuzz targets is, and everything about one of them.

use std::path::{Path, PathBuf};

use crate::workspace;

pub(super) fn crate_dir() -> PathBuf {
    workspace::root().join("crates/fuzz")
}

/// Where everything about one target is.
pub(super) struct Paths {
    pub(super) binary: PathBuf,
    pub(super) seeds: PathBuf,
    /// What libFuzzer learnt, its log, and inputs that failed.
    pub(super) work: PathBuf,
}

impl Paths {
    pub(super) fn of(target: &str, binaries: &Path) -> Self {
        Self {
            binary: binaries.join(target),
            seeds: crate_dir().join("seeds").join(target),
            work: workspace::target_dir().join("fuzz/work").join(target),
        }
    }
}
