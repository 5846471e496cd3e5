//! The text files of a checkout, which is all that rules see.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The text files of a checkout.
pub(super) struct Checkout {
    pub(super) files: Vec<File>,
}

/// One text file, its path relative to the root and with `/`.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl Checkout {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).with_context(|| format!("cannot read `{}`", dir.display()))? {
                let path = entry.context("cannot read a directory entry")?.path();
                if path.is_dir() && !path.is_symlink() {
                    let skipped = path.file_name().is_some_and(|name| name == "target" || name == ".git");
                    dirs.extend((!skipped).then_some(path));
                } else if let Ok(text) = fs::read_to_string(&path) {
                    files.push(File { path: relative(root, path), text }); // what is not text is not ours to judge
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}

fn relative(root: &Path, path: PathBuf) -> String {
    path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
impl Checkout {
    /// A checkout made up for the test of a rule.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| File { path: path.to_owned(), text: text.to_owned() };
        Self { files: files.iter().map(file).collect() }
    }
}
