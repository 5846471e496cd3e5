//! `wash up` with a NATS server of its own, in a home of its own; everything ends with the value.

use std::{
    ffi::OsString,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use lattice_tests::{binary, free_address, skip};
use serde_json::Value;
use tempfile::TempDir;

/// The user and group `nobody` on the systems that tests run on.
const NOBODY: u32 = 65534;

/// The home of one user, who has a port for NATS.
pub struct Home {
    dir: TempDir,
    port: u16,
    nats_server: PathBuf,
}

impl Home {
    /// None when this machine has no nats-server, which is then said.
    pub fn new() -> Option<Self> {
        let Some(found) = xtask::nats_server::find(None).expect("a usable nats-server") else {
            skip("a nats-server");
            return None;
        };
        let dir = tempfile::tempdir().expect("a directory");
        // Others may look into the directory: what is to be kept from them must be kept by what `wash` makes in it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Some(Self { dir, port: free_address().port(), nats_server: found.path })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program with nothing in its environment but this home.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("WASH_HOME", self.path("wash"))
            .env("PATH", "/usr/bin:/bin")
            .env("USER", "ada")
            .env("NATS_SERVER_BIN", &self.nats_server)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn output(&self, line: &str) -> Output {
        let mut wash = self.command(&binary("wash"));
        wash.args(["--output", "json"]).args(line.split_whitespace()).output().expect("wash runs")
    }

    /// Runs what must succeed; its JSON.
    pub fn wash(&self, line: &str) -> Value {
        let output = self.output(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`wash {line}` failed: {stderr}");
        serde_json::from_slice(&output.stdout).expect("JSON on stdout")
    }

    /// Runs what must fail; its JSON.
    pub fn failure(&self, line: &str) -> Value {
        let output = self.output(line);
        assert_eq!(output.status.code(), Some(1), "`wash {line}`: {}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stderr).expect("JSON on stderr")
    }

    /// `wash up -d` on the port of this home.
    pub fn up(&self, flags: &str) -> Value {
        self.wash(&format!("up -d --nats-port {} {flags}", self.port))
    }

    /// How many hosts answer a `wash` that is told the port and nothing else.
    pub fn hosts(&self) -> usize {
        let answer = self.wash(&format!("get hosts -p {}", self.port));
        answer["hosts"].as_array().map_or(0, Vec::len)
    }

    /// Another user of this machine, who has this `wash` and a home of his own; none when we may not become him.
    pub fn nobody(&self) -> Option<Nobody<'_>> {
        if !rustix::process::geteuid().is_root() {
            skip("a root user, who may run a program as another");
            return None;
        }
        let program = self.path("wash-of-nobody");
        fs::copy(binary("wash"), &program).expect("a copy that he may run");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let home = self.path("nobody");
        fs::create_dir(&home).expect("a directory");
        std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).expect("it is ours to give");
        Some(Nobody { home: self, program, own: home })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.output("down --all");
    }
}

/// See [`Home::nobody`].
pub struct Nobody<'a> {
    home: &'a Home,
    program: PathBuf,
    own: PathBuf,
}

impl Nobody<'_> {
    pub fn run<S: Into<OsString>>(&self, program: &Path, args: impl IntoIterator<Item = S>) -> Output {
        let mut command = self.home.command(program);
        command
            .args(args.into_iter().map(Into::into))
            .env("HOME", &self.own)
            .env("WASH_HOME", self.own.join("wash"))
            .env("USER", "nobody")
            .current_dir(&self.own)
            .uid(NOBODY)
            .gid(NOBODY);
        command.output().expect("it runs")
    }

    /// `wash` as this user.
    pub fn wash(&self, line: &str) -> Output {
        self.run(&self.program, ["--output", "json"].into_iter().chain(line.split_whitespace()))
    }
}
