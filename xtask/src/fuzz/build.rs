//! Building the libFuzzer binaries: nightly and cargo-fuzz, provided and announced when missing.
//!
//! No sanitizer is compiled in: our code has no `unsafe`, and without one the same time buys several times the inputs.
//! Overflow checks and debug assertions are on.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::paths::crate_dir;
use crate::workspace;

const CARGO_FUZZ: &str = "0.13.2";

/// Builds every target and answers the directory of the binaries.
pub(super) fn build() -> Result<PathBuf> {
    provide_nightly()?;
    let cargo_fuzz = provide_cargo_fuzz()?;
    let target_dir = workspace::target_dir().join("fuzz");
    let triple = host_triple()?;
    let mut command = nightly(Command::new(cargo_fuzz));
    command.args(["fuzz", "build", "--fuzz-dir"]).arg(crate_dir().join("libfuzzer"));
    command.args(["--sanitizer", "none", "--target", &triple]).arg("--target-dir").arg(&target_dir);
    workspace::run_visibly(command.current_dir(crate_dir()))?;
    Ok(target_dir.join(triple).join("release"))
}

/// The same command with the nightly toolchain; ours came from cargo, which names it in the environment.
fn nightly(mut command: Command) -> Command {
    command.env("RUSTUP_TOOLCHAIN", "nightly").env_remove("CARGO").env_remove("RUSTC");
    command
}

fn provide_nightly() -> Result<()> {
    let present = nightly(Command::new("rustc")).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if present.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    println!("fuzz: libFuzzer needs a nightly toolchain; adding it with rustup");
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
    workspace::run_visibly(&mut rustup).context("the nightly toolchain is missing and rustup could not add it")
}

/// cargo-fuzz from `PATH`, else from the target directory, where it is installed when it is missing.
fn provide_cargo_fuzz() -> Result<PathBuf> {
    let root = workspace::target_dir().join("tools");
    let ours = root.join("bin/cargo-fuzz");
    for candidate in [PathBuf::from("cargo-fuzz"), ours.clone()] {
        let mut version = Command::new(&candidate);
        if let Ok(version) = workspace::output_of(version.args(["fuzz", "--version"])) {
            println!("fuzz: {version}");
            return Ok(candidate);
        }
    }
    println!("fuzz: no cargo-fuzz on PATH; installing {CARGO_FUZZ} into {}", root.display());
    let mut install = workspace::cargo(workspace::root());
    install.args(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ, "--root"]).arg(&root);
    workspace::run_visibly(&mut install).context("cargo-fuzz is missing and could not be installed")?;
    Ok(ours)
}

fn host_triple() -> Result<String> {
    let about = workspace::output_of(nightly(Command::new("rustc")).arg("-vV"))?;
    let triple = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(triple.context("rustc does not say what it runs on")?.to_owned())
}
