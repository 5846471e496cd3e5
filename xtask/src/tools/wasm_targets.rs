//! The Rust targets that actors are built for.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    actors::{COMMAND, COMPONENT, MODULE},
    workspace,
};

/// What the actors are built for.
pub(super) const OF_ACTORS: &[&str] = &[MODULE, COMPONENT];
/// What programs that tests run are built for, besides.
pub(super) const OF_TESTS: &[&str] = &[COMMAND];

/// Adds the missing ones through rustup.
pub(super) fn provide(targets: &[&'static str]) -> Result<()> {
    let missing: Vec<&str> = targets.iter().copied().filter(|target| !is_installed(target)).collect();
    if missing.is_empty() {
        println!("tools: wasm targets {}", targets.join(", "));
        return Ok(());
    }
    println!("tools: missing Rust targets {}; adding them to the toolchain with rustup", missing.join(", "));
    workspace::run_visibly(Command::new("rustup").current_dir(workspace::root()).args(["target", "add"]).args(&missing))
        .context("the Rust targets for actors are missing and rustup could not add them")
}

/// Asks rustc, not rustup: a toolchain that came another way may have the targets too.
fn is_installed(target: &str) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(workspace::root()).args(["--print", "target-libdir", "--target", target]);
    workspace::output_of(&mut rustc).is_ok_and(|dir| std::path::Path::new(&dir).is_dir())
}
