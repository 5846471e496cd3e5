//! The binaries of the workspace, for tests that need a process of their own.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use xtask::workspace;

/// A binary of the workspace: `wash`, `wash-host`, or a provider as a process.
///
/// Up to date already under `cargo xtask test`; built once otherwise. Found beside the running test, so that the
/// profile is the same.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if env::var_os(workspace::BUILT).is_none() {
            let mut cargo = workspace::cargo(workspace::root());
            cargo.args([
                "build",
                "--package",
                "wash-cli",
                "--package",
                "wash-host",
                "--package",
                "provider-httpserver",
                "--package",
                "provider-keyvalue-redb",
                "--package",
                "provider-keyvalue-redis",
            ]);
            workspace::run_visibly(&mut cargo).expect("the binaries build");
        }
    });
    let test = env::current_exe().expect("the path of the running test");
    let beside = test.parent().and_then(Path::parent).map(|dir| dir.join(name)).filter(|path| path.is_file());
    beside.unwrap_or_else(|| workspace::binary("debug", name))
}
