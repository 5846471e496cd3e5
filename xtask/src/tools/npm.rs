//! Packages of npm, pinned by the lock file of a folder, under the target directory.
//!
//! Nothing of a package runs while it is installed. Invariant: a directory under its final name is complete, and belongs
//! to the manifest and the lock file as they are now.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::node::Node;
use crate::workspace;

const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";

/// Installs what the manifest and the lock file in `folder` say, below `tools`, unless it is there.
///
/// # Errors
/// When npm cannot provide the packages.
pub fn provide(node: &Node, folder: &Path, tools: &Path) -> Result<PathBuf> {
    let dir = dir(folder, tools)?;
    if dir.is_dir() {
        return Ok(dir);
    }
    println!("tools: installing the npm packages of {} into {}", folder.display(), dir.display());
    fs::create_dir_all(tools).with_context(|| format!("cannot create `{}`", tools.display()))?;
    let work = tempfile::Builder::new().prefix(".npm-").tempdir_in(tools).context("cannot create a directory")?;
    for file in [MANIFEST, LOCK] {
        fs::copy(folder.join(file), work.path().join(file)).with_context(|| format!("cannot copy `{file}`"))?;
    }
    // `install`, not `ci`: a lock file lists optional packages of the platforms its writer could see only.
    let mut npm = node.npm();
    npm.current_dir(work.path()).args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]);
    workspace::output_of(&mut npm).context("npm cannot provide the packages")?;
    fs::rename(work.path(), &dir).with_context(|| format!("cannot write `{}`", dir.display()))?;
    Ok(dir)
}

/// Where they are, or will be: a name that changes with the manifest and the lock file.
///
/// # Errors
/// When one of the two cannot be read.
pub fn dir(folder: &Path, tools: &Path) -> Result<PathBuf> {
    let mut read = Vec::new();
    for file in [MANIFEST, LOCK] {
        let path = folder.join(file);
        read.push(fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?);
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(tools.join(format!("npm-{name}-{:016x}", workspace::fingerprint(&read))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_lock_file_is_another_directory() {
        let folder = tempfile::tempdir().expect("a directory");
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).expect("a file");
        let named = || dir(folder.path(), Path::new("tools"));
        assert!(named().is_err(), "nothing is pinned");

        write(MANIFEST, "{}");
        write(LOCK, "1");
        let first = named().expect("pinned");
        assert_eq!(first, named().expect("pinned"));
        write(LOCK, "2");
        assert_ne!(first, named().expect("pinned"));
    }
}
