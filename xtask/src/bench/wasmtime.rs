//! `wasmtime serve`, the baseline of HTTP → component: finding the binary, and installing it when asked to.
//!
//! Only the very version this workspace builds with counts: another one would be compared with another engine.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// Environment variable that names the binary.
pub const VARIABLE: &str = "WASMTIME_BIN";
const FEATURES: &str =
    "run,serve,cranelift,pooling-allocator,component-model,component-model-async,parallel-compilation,logging";

/// The wasmtime to compare with: the first of `WASMTIME_BIN`, what was installed for benches, and `PATH`.
///
/// # Errors
/// When there is none of our version; the text says what to do.
pub fn find() -> Result<PathBuf> {
    let wanted = version()?;
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        let found = version_of(&named)?;
        ensure!(found == wanted, "`{VARIABLE}` names wasmtime {found}, this workspace builds with {wanted}");
        return Ok(named);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|dir| dir.join("wasmtime"));
    let mut candidates = std::iter::once(installed()).chain(on_path).filter(|file| file.is_file());
    match candidates.find(|file| version_of(file).is_ok_and(|found| found == wanted)) {
        Some(found) => Ok(found),
        None => bail!("no wasmtime {wanted}; name one in `{VARIABLE}`, or `cargo xtask bench --install-wasmtime`"),
    }
}

/// Installs it into the target directory, after saying so. Takes minutes; does nothing when one is found.
///
/// # Errors
/// When cargo cannot install it.
pub fn install() -> Result<()> {
    if let Ok(found) = find() {
        println!("bench: wasmtime is there already: {}", found.display());
        return Ok(());
    }
    let (version, root) = (version()?, root());
    println!("bench: installing wasmtime-cli {version} into {}, for comparison only", root.display());
    let mut cargo = workspace::cargo(workspace::root());
    cargo.args(["install", "wasmtime-cli", "--version", &version, "--locked"]);
    cargo.args(["--no-default-features", "--features", FEATURES]);
    cargo.arg("--root").arg(&root).arg("--target-dir").arg(root.join("build"));
    workspace::run_visibly(&mut cargo)
}

fn root() -> PathBuf {
    workspace::target_dir().join("bench-tools")
}

fn installed() -> PathBuf {
    root().join("bin/wasmtime")
}

/// The version in the lock file.
fn version() -> Result<String> {
    let lock = std::fs::read_to_string(workspace::root().join("Cargo.lock")).context("cannot read `Cargo.lock`")?;
    locked_version(&lock).context("`Cargo.lock` has no wasmtime")
}

fn locked_version(lock: &str) -> Option<String> {
    let lock: toml::Table = lock.parse().ok()?;
    let packages = lock.get("package")?.as_array()?;
    let wasmtime =
        packages.iter().find(|package| package.get("name").and_then(toml::Value::as_str) == Some("wasmtime"))?;
    wasmtime.get("version")?.as_str().map(str::to_owned)
}

fn version_of(file: &std::path::Path) -> Result<String> {
    let said = workspace::output_of(Command::new(file).arg("--version"))?;
    let version = said.split(' ').nth(1).filter(|_| said.starts_with("wasmtime"));
    version.map(str::to_owned).with_context(|| format!("`{said}` is not the version of a wasmtime"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_that_of_the_package_itself() {
        let lock = "[[package]]\nname = \"wasmtime-wasi\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"wasmtime\"\nversion = \"48.0.8\"\n";
        assert_eq!(locked_version(lock).as_deref(), Some("48.0.8"));
        assert_eq!(locked_version("[[package]]\nname = \"x\"\nversion = \"1.0.0\"\n"), None);
        assert!(version().is_ok(), "this workspace is built with wasmtime");
    }
}
