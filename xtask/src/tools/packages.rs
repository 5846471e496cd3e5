//! Providing what tests run besides nats-server: a registry server with two tools we did not write that speak to it, and
//! a Redis server, and a library that makes a process believe in another time.
//!
//! They come from the operating system's packages. Installing those takes Debian or a relative of it and root; anywhere
//! else what is missing is said and nothing fails here: the tests that need it skip visibly, and fail where `CI` is set.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::workspace;

/// Programs, each with the Debian package of the same name.
pub const PROGRAMS: &[&str] = &["docker-registry", "buildah", "skopeo", "redis-server", "faketime"];

/// Provides the programs and says what is used.
///
/// # Errors
/// Where `CI` is set, when a program is missing after all: there no test may be skipped.
pub(super) fn provide() -> Result<()> {
    if let Some(problem) = install_missing() {
        if test_needs::is_ci() {
            bail!("{problem}");
        }
        println!("tools: {problem}; tests that need them will be skipped");
    }
    for program in PROGRAMS {
        if let Some(path) = find(program) {
            println!("tools: {program} (PATH: {})", path.display());
        }
    }
    Ok(())
}

/// What is still missing afterwards, and why.
fn install_missing() -> Option<String> {
    let missing = missing();
    if missing.is_empty() {
        return None;
    }
    let (names, packages) = (missing.join(", "), missing.join(" "));
    if !can_install() {
        return Some(format!("{names} not found; on Debian: sudo apt-get install --no-install-recommends {packages}"));
    }
    println!("tools: {names} not found; installing the packages of the operating system");
    match install(&missing) {
        Ok(()) => {
            let left = self::missing();
            (!left.is_empty()).then(|| format!("{} not found although the packages are installed", left.join(", ")))
        }
        Err(error) => Some(format!("{names} cannot be installed: {error:#}")),
    }
}

/// A program on `PATH`.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn missing() -> Vec<&'static str> {
    PROGRAMS.iter().copied().filter(|program| find(program).is_none()).collect()
}

fn can_install() -> bool {
    rustix::process::geteuid().is_root() && find("apt-get").is_some()
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    workspace::run_visibly(apt().args(["--quiet", "update"]))?;
    workspace::run_visibly(apt().args(["--quiet", "install", "--yes", "--no-install-recommends"]).args(packages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_path_and_only_when_it_can_run() {
        assert!(find("sh").is_some_and(|sh| sh.is_absolute()));
        assert!(find("no-such-program").is_none());
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("registry");
        std::fs::write(&file, "").expect("a file");
        assert!(!is_executable(&file));
        assert!(!is_executable(dir.path()));
    }
}
