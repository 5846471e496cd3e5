//! Where wash keeps things: `~/.wash`, or the directory that `WASH_HOME` names.
//!
//! The one place that spells these paths. It refuses to know what is in the files, and creates none of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lattice::LatticeId;

/// Stands for the home of a user who has none. Nothing is there, and nobody, root included, can make anything there; so
/// whoever only looks finds nothing, and whoever would keep something fails where it matters, see [`is_nowhere`].
const NOWHERE: &str = "/proc/no-home-directory";

/// The directory of everything that wash remembers.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The directory of `WASH_HOME`, else `.wash` below `HOME`, else below the home that the system knows for this user. Nothing
    /// is created yet, and a user who has none of these is refused only where something must be kept.
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let below = |home: PathBuf| home.join(".wash");
        let of_user = || std::env::home_dir().filter(|home| home.is_absolute()).map(below);
        let root = set("WASH_HOME").or_else(|| set("HOME").map(below)).or_else(of_user);
        let root = root.unwrap_or_else(|| NOWHERE.into());
        Self { root: std::path::absolute(&root).unwrap_or(root) }
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

/// Whether a path is below the home of a user who has none.
pub fn is_nowhere(path: &Path) -> bool {
    path.starts_with(NOWHERE)
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
