//! Which nats-server is used: the first of flag, `NATS_SERVER_BIN`, `PATH` and `~/.wash/bin`, never below 2.10.
//!
//! Finding only. Installing one is [`crate::tools`]; running one is the harness's and `wash up`'s.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use semver::Version;

use crate::workspace;

/// Environment variable that names the binary.
pub const VARIABLE: &str = "NATS_SERVER_BIN";
/// Lowest version with what hosts need of JetStream.
pub const LOWEST: Version = Version::new(2, 10, 0);
const FILE: &str = "nats-server";

/// A nats-server that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsServer {
    /// The binary.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
    /// Where it was named.
    pub origin: &'static str,
}

/// Where binaries of our own are kept: `bin` under `WASH_HOME`, which defaults to `~/.wash`.
///
/// # Errors
/// When neither `WASH_HOME` nor `HOME` is set.
pub fn wash_bin_dir() -> Result<PathBuf> {
    let home =
        env::var_os("WASH_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".wash")));
    Ok(home.context("neither `WASH_HOME` nor `HOME` is set")?.join("bin"))
}

/// The nats-server to use, or none when there is none anywhere.
///
/// # Errors
/// When one was named but cannot be used: it is missing, does not run, or is too old.
pub fn find(flag: Option<&Path>) -> Result<Option<NatsServer>> {
    let Some((path, origin)) = first(flag, env::var_os(VARIABLE), env::var_os("PATH"), wash_bin_dir().ok()) else {
        return Ok(None);
    };
    let version = version_of(&path).with_context(|| format!("{origin} names `{}` as nats-server", path.display()))?;
    Ok(Some(NatsServer { path, version, origin }))
}

/// The first place that names one. A flag or a variable that names a missing file is an answer too: silently taking
/// another binary than the one asked for would be worse than failing.
fn first(
    flag: Option<&Path>,
    variable: Option<OsString>,
    path: Option<OsString>,
    wash_bin: Option<PathBuf>,
) -> Option<(PathBuf, &'static str)> {
    if let Some(named) = flag {
        return Some((named.to_owned(), "--nats-server"));
    }
    if let Some(named) = variable.filter(|named| !named.is_empty()) {
        return Some((named.into(), VARIABLE));
    }
    let dirs: Vec<PathBuf> = path.map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    let on_path = dirs.into_iter().map(|dir| (dir.join(FILE), "PATH"));
    let ours = wash_bin.into_iter().map(|dir| (dir.join(FILE), "~/.wash/bin"));
    on_path.chain(ours).find(|(file, _)| file.is_file())
}

/// Asks the binary for its version and refuses one that is too old.
///
/// # Errors
/// When it does not run, says something unexpected, or is below [`LOWEST`].
pub fn version_of(path: &Path) -> Result<Version> {
    let said = workspace::output_of(Command::new(path).arg("--version"))?;
    let version = parse_version(&said).with_context(|| format!("`{said}` is not the version of a nats-server"))?;
    if version < LOWEST {
        bail!("nats-server {version} is too old: {LOWEST} or newer is needed");
    }
    Ok(version)
}

fn parse_version(said: &str) -> Option<Version> {
    let number = said.strip_prefix("nats-server:")?.trim().trim_start_matches('v');
    let version = Version::parse(number).ok()?;
    Some(Version::new(version.major, version.minor, version.patch)) // a release candidate counts as its release
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_line_of_a_server_is_understood() {
        assert_eq!(parse_version("nats-server: v2.15.1"), Some(Version::new(2, 15, 1)));
        assert_eq!(parse_version("nats-server: v2.10.0-RC.2"), Some(LOWEST));
        assert_eq!(parse_version("GNU bash, version 5"), None);
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_a_variable_over_directories() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(FILE), "").expect("a file");
        let path = || Some(dir.path().as_os_str().to_owned());
        let origin = |found: Option<(PathBuf, &'static str)>| found.map(|(_, origin)| origin);

        assert_eq!(origin(first(Some(Path::new("x")), Some("y".into()), path(), None)), Some("--nats-server"));
        assert_eq!(origin(first(None, Some("y".into()), path(), None)), Some(VARIABLE));
        assert_eq!(origin(first(None, Some(OsString::new()), path(), None)), Some("PATH"));
        assert_eq!(origin(first(None, None, None, Some(dir.path().to_owned()))), Some("~/.wash/bin"));
        assert_eq!(origin(first(None, None, Some("/nowhere".into()), None)), None);
    }

    #[test]
    fn an_old_server_is_refused_with_the_version_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let old = dir.path().join(FILE);
        std::fs::write(&old, "#!/bin/sh\necho 'nats-server: v2.9.25'\n").expect("a script");
        std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
        let error = version_of(&old).expect_err("too old").to_string();
        assert!(error.contains("2.9.25") && error.contains("2.10.0"), "{error}");
    }
}
