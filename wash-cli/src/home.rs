//! Where wash keeps things: `~/.wash`, or the directory that `WASH_HOME` names.
//!
//! The one place that spells these paths. It refuses to know what is in the files, and creates none of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lattice::LatticeId;

use crate::failure::{Failure, Result};

/// The directory of everything that wash remembers.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The directory of `WASH_HOME`, else `~/.wash`. Nothing is created yet.
    ///
    /// # Errors
    /// Neither `WASH_HOME` nor a home directory is known.
    pub fn from_env() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("WASH_HOME").or_else(|| set("HOME").map(|home| home.join(".wash"))).ok_or_else(|| {
            Failure::new("no directory for keys and state: neither `WASH_HOME` nor `HOME` is set")
                .hint("set `WASH_HOME` to a directory of yours")
        })?;
        Ok(Self { root: std::path::absolute(&root).unwrap_or(root) })
    }

    /// A home in a directory of the caller's choice.
    #[cfg(test)]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Seeds, one file each.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Saved connection settings, one file each.
    pub fn contexts(&self) -> PathBuf {
        self.root.join("contexts")
    }

    /// What was fetched from registries, shared by `wash` and the hosts of this machine.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("cache/artifacts")
    }

    /// Compiled code, shared by `wash` and the hosts of this machine.
    pub fn code(&self) -> PathBuf {
        self.root.join("cache/compiled")
    }

    /// Programs that wash starts, such as `nats-server`.
    pub fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// State directories of all hosts of this machine, a directory per lattice.
    pub fn hosts(&self) -> PathBuf {
        self.root.join("hosts")
    }

    /// State directories of this machine's hosts in one lattice.
    pub fn hosts_of(&self, lattice: &LatticeId) -> PathBuf {
        self.hosts().join(lattice.to_string())
    }
}

/// Subdirectories (or links to directories), sorted by name with numbers in numeric order. A missing parent has none.
pub fn subdirectories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).unwrap_or_default();
    let mut found: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort_by_key(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        (name.parse::<u64>().unwrap_or(u64::MAX), name)
    });
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn numbered_directories_come_in_numeric_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["10", "2", "lab", "1"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("0"), "a file").unwrap();
        let names: Vec<_> = subdirectories(dir.path())
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["1", "2", "10", "lab"]);
        assert!(subdirectories(&dir.path().join("absent")).is_empty());
    }
}
