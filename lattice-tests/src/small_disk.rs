//! A disk of a few megabytes that a test can fill: a tmpfs of its own, which takes root to mount.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use test_needs::skip;

/// A mounted disk; unmounted with the value.
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Mounts one; none where that is not allowed, which is then said.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[must_use]
    pub fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let size = format!("size={megabytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self { dir });
        }
        skip("the right to mount a tmpfs (root has it)");
        None
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves no room.
    ///
    /// # Panics
    /// When it cannot be filled.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.ballast()).expect("a file");
        for piece in [vec![0; 1 << 16], vec![0; 1 << 12], vec![0; 1]] {
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not full.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("what fills it");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a host that is just ending may still have files there.
        Command::new("umount").arg("-l").arg(self.path()).status().ok();
    }
}
