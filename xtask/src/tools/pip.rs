//! Pinned packages of pip, each in a directory of its own under the target directory.
//!
//! A package is pinned by version and by the hash of every wheel; pip refuses anything else. Invariant: a directory
//! under its final name is complete.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::workspace;

/// A package, as it is pinned.
#[derive(Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// SHA-256 of its wheels: Linux x86_64 and aarch64, macOS arm64 and x86_64.
    pub wheels: [&'static str; 4],
}

impl Package {
    /// Where it is, or will be, below `tools`.
    #[must_use]
    pub fn dir(&self, tools: &Path) -> PathBuf {
        tools.join(format!("{}-{}", self.name, self.version))
    }

    fn requirement(&self) -> String {
        let hashes: String = self.wheels.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
        format!("{}=={}{hashes}\n", self.name, self.version)
    }
}

/// Installs the package below `tools` unless it is there, and says so before.
///
/// # Errors
/// When there is no pip, or it cannot provide the package.
pub fn provide(package: &Package, tools: &Path) -> Result<PathBuf> {
    let dir = package.dir(tools);
    if dir.is_dir() {
        return Ok(dir);
    }
    println!("tools: installing the pip package {} {} into {}", package.name, package.version, dir.display());
    fs::create_dir_all(tools).with_context(|| format!("cannot create `{}`", tools.display()))?;
    // Beside the destination, so that the last step is a rename on one file system.
    let work = tempfile::Builder::new().prefix(".pip-").tempdir_in(tools).context("cannot create a directory")?;
    let requirements = work.path().join("requirements.txt");
    fs::write(&requirements, package.requirement()).context("cannot write the requirement")?;
    let installed = work.path().join("installed");

    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-compile"]);
    pip.args(["--only-binary=:all:", "--root-user-action=ignore", "--require-hashes"]);
    pip.arg("--requirement").arg(&requirements).arg("--target").arg(&installed);
    workspace::output_of(&mut pip).with_context(|| format!("pip cannot provide `{}`", package.name))?;
    fs::rename(&installed, &dir).with_context(|| format!("cannot write `{}`", dir.display()))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: Package = Package { name: "nothing", version: "1.2.3", wheels: ["a", "b", "c", "d"] };

    #[test]
    fn the_requirement_pins_the_version_and_every_wheel() {
        let wheels = "--hash=sha256:a --hash=sha256:b --hash=sha256:c --hash=sha256:d";
        assert_eq!(PACKAGE.requirement(), format!("nothing==1.2.3 {wheels}\n"));
    }

    #[test]
    fn what_is_there_is_not_installed_again() {
        let tools = tempfile::tempdir().expect("a directory");
        fs::create_dir(PACKAGE.dir(tools.path())).expect("a directory");
        assert_eq!(provide(&PACKAGE, tools.path()).expect("it is there"), tools.path().join("nothing-1.2.3"));
    }
}
