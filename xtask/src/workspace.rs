//! Where things are in this checkout, and how cargo is run in it.

use std::{
    env,
    ffi::OsStr,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// Environment variable that tells tests that the binaries of the workspace are up to date; without it they build them.
pub const BUILT: &str = "LATTICE_BINARIES_BUILT";

/// Root of the checkout this program was built from.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the manifest of xtask is one level below the root")
}

/// Directory cargo builds the workspace into.
#[must_use]
pub fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir), // `join` keeps an absolute one as it is
        None => root().join("target"),
    }
}

/// A binary of the workspace as `profile` (`debug`, `release`, `dist`) builds it.
#[must_use]
pub fn binary(profile: &str, name: &str) -> PathBuf {
    target_dir().join(profile).join(name)
}

/// A cargo command in `dir`, the same cargo that runs us.
#[must_use]
pub fn cargo(dir: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(dir);
    command
}

/// The command as a person would type it.
#[must_use]
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program).chain(command.get_args()).map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Builds every library, binary and test of the workspace for debugging. Tests run binaries of other packages, which
/// `cargo test` alone does not promise to build; with all targets the features are those of `cargo test`, so that
/// nothing is compiled twice.
///
/// # Errors
/// When something does not compile.
pub fn build_everything() -> Result<()> {
    run_visibly(cargo(root()).args(["build", "--workspace", "--all-targets"]))
}

/// A number that changes with the parts, their lengths and their order; the same from run to run of one build of this
/// program.
#[must_use]
pub fn fingerprint(parts: &[Vec<u8>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// Prints the command, runs it with our own terminal, and fails when it fails.
///
/// # Errors
/// When it cannot be started or does not exit with 0.
pub fn run_visibly(command: &mut Command) -> Result<()> {
    let text = shown(command);
    println!("$ {text}");
    let status = command.status().with_context(|| format!("cannot run `{text}`"))?;
    if !status.success() {
        bail!("`{text}` failed: {status}");
    }
    Ok(())
}

/// Runs the command quietly and gives its trimmed standard output.
///
/// # Errors
/// When it cannot be started or does not exit with 0; the error carries what it wrote to standard error.
pub fn output_of(command: &mut Command) -> Result<String> {
    let text = shown(command);
    let output = command.output().with_context(|| format!("cannot run `{text}`"))?;
    if !output.status.success() {
        bail!("`{text}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_so_that_it_can_be_pasted() {
        let mut command = Command::new("/usr/bin/wash");
        command.args(["link", "put", "key=it's", "a b", ""]);
        assert_eq!(shown(&command), r"wash link put 'key=it'\''s' 'a b' ''");
    }

    #[test]
    fn a_fingerprint_tells_what_was_moved_from_part_to_part() {
        let of = |parts: [&str; 2]| fingerprint(&parts.map(|part| part.as_bytes().to_vec()));
        assert_eq!(of(["ab", "c"]), of(["ab", "c"]));
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
        assert_ne!(of(["ab", "c"]), of(["c", "ab"]));
    }

    #[test]
    fn the_root_holds_the_workspace_manifest() {
        assert!(root().join("Cargo.toml").is_file());
    }
}
