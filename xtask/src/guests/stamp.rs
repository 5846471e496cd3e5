//! What a built guest was made of, written beside it.
//!
//! A stamp changes with every source file, its name and its content, with the toolchain and with this program's own
//! commands. Invariant: a file without a stamp, or with another one, does not count as built.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Guest, compile};
use crate::workspace;

/// The stamp of a guest as it would be built now.
pub(super) fn of(guest: &Guest, tool: &Path) -> Result<String> {
    let command = compile::command(guest.name, tool, Path::new(""), Path::new(""));
    let mut parts = vec![workspace::shown(&command).into_bytes(), tool.as_os_str().as_encoded_bytes().to_vec()];
    for (below, folder) in guest.sources() {
        for file in files(&folder)? {
            parts.push(Path::new(below).join(&file).as_os_str().as_encoded_bytes().to_vec());
            let path = folder.join(&file);
            parts.push(fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?);
        }
    }
    Ok(format!("{:016x}", workspace::fingerprint(&parts)))
}

/// Whether the file is there and carries the stamp.
pub(super) fn is_of(file: &Path, stamp: &str) -> bool {
    file.is_file() && fs::read_to_string(beside(file)).is_ok_and(|written| written == stamp)
}

/// Writes the stamp of a file.
pub(super) fn write(file: &Path, stamp: &str) -> Result<()> {
    fs::write(beside(file), stamp).with_context(|| format!("cannot write the stamp of `{}`", file.display()))
}

fn beside(file: &Path) -> PathBuf {
    file.with_extension("stamp")
}

/// Every file below a folder, relative to it, in order.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![folder.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read `{}`", dir.display()))? {
            let path = entry.context("cannot read a directory entry")?.path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.push(path.strip_prefix(folder).expect("it was found below the folder").to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_toolchain_is_another_stamp_and_the_same_is_the_same() {
        let guest = Guest::named("c").expect("listed");
        let stamp = |tool: &str| of(guest, Path::new(tool)).expect("the sources are there");
        assert_eq!(stamp("zig-1"), stamp("zig-1"));
        assert_ne!(stamp("zig-1"), stamp("zig-2"));
    }

    #[test]
    fn a_file_counts_only_with_its_own_stamp() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("c.wasm");
        write(&file, "1").expect("written");
        assert!(!is_of(&file, "1"), "a stamp is no file");
        fs::write(&file, "").expect("a file");
        assert!(is_of(&file, "1"));
        assert!(!is_of(&file, "2"));
    }

    #[test]
    fn files_are_found_below_folders_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("b")).expect("a directory");
        for file in ["c", "b/d", "a"] {
            fs::write(dir.path().join(file), "").expect("a file");
        }
        assert_eq!(files(dir.path()).expect("readable"), ["a", "b/d", "c"].map(PathBuf::from));
    }
}
