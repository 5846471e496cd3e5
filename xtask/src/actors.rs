//! The actors under `actors/`: which there are, for which target each is built, and how.
//!
//! A build leaves unsigned wasm; signing is the business of whoever uses it.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::workspace;

/// An actor of this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// Package name under `actors/`.
    pub name: &'static str,
    /// Target triple: core modules and components differ only by it.
    pub target: &'static str,
    /// Environment variable under which tests find the built file.
    pub variable: &'static str,
}

/// Target of modules (waPC).
pub const MODULE: &str = "wasm32-unknown-unknown";
/// Target of components (WASI 0.2, and of what they bring themselves of 0.3).
pub const COMPONENT: &str = "wasm32-wasip2";
/// Target of command modules (WASI preview 1), which only tests build.
pub const COMMAND: &str = "wasm32-wasip1";

/// Every actor. To add one: a folder under `actors/` and a line here.
pub const ACTORS: &[Actor] = &[
    Actor { name: "echo", target: MODULE, variable: "LATTICE_ACTOR_ECHO" },
    Actor { name: "greet", target: MODULE, variable: "LATTICE_ACTOR_GREET" },
    Actor { name: "hello", target: COMPONENT, variable: "LATTICE_ACTOR_HELLO" },
    Actor { name: "p3", target: COMPONENT, variable: "LATTICE_ACTOR_P3" },
    Actor { name: "p3-command", target: COMPONENT, variable: "LATTICE_ACTOR_P3_COMMAND" },
    Actor { name: "kvcounter", target: MODULE, variable: "LATTICE_ACTOR_KVCOUNTER" },
    Actor { name: "kvcounter-component", target: COMPONENT, variable: "LATTICE_ACTOR_KVCOUNTER_COMPONENT" },
];

impl Actor {
    /// Where the built, unsigned file is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let file = format!("{}.wasm", self.name.replace('-', "_"));
        workspace::root().join("actors/target").join(self.target).join("release").join(file)
    }
}

/// Builds all actors in release mode.
///
/// # Errors
/// When cargo fails, or leaves no file where [`Actor::path`] says.
pub fn build() -> Result<()> {
    for target in [MODULE, COMPONENT] {
        let mut cargo = workspace::cargo(&workspace::root().join("actors"));
        // Not ours: flags and a target directory that were meant for the native build.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo.args(["build", "--release", "--target-dir", "target", "--target", target]);
        for actor in ACTORS.iter().filter(|actor| actor.target == target) {
            cargo.args(["--package", actor.name]);
        }
        workspace::run_visibly(&mut cargo)?;
    }
    for actor in ACTORS {
        ensure!(
            actor.path().is_file(),
            "cargo built actor `{}` but `{}` is missing",
            actor.name,
            actor.path().display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_member_of_the_actors_workspace_is_listed() {
        let manifest = std::fs::read_to_string(workspace::root().join("actors/Cargo.toml")).expect("actors/Cargo.toml");
        let manifest: toml::Table = manifest.parse().expect("a manifest");
        let members: BTreeSet<&str> = manifest["workspace"]["members"]
            .as_array()
            .expect("members")
            .iter()
            .map(|member| member.as_str().expect("text"))
            .collect();
        assert_eq!(members, ACTORS.iter().map(|actor| actor.name).collect());
    }
}
