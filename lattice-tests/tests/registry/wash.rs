//! The real `wash` with a home of its own, hosts of `wash up` included.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use lattice_tests::{Access, Guarded, Registry, binary, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// `wash` with a home and a working directory of its own.
pub struct Wash {
    home: TempDir,
    env: Vec<(&'static str, OsString)>,
}

impl Wash {
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut wash = Self { home, env: Vec::new() };
        wash.set("HOME", wash.path("."));
        wash.set("WASH_HOME", wash.path("wash"));
        wash.set("PATH", "/usr/bin:/bin");
        wash.set("USER", "ada");
        wash
    }

    /// Sets a variable of its environment, which is empty otherwise.
    pub fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.env.push((name, value.into()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("cannot read `{name}`: {error}"))
    }

    pub fn output(&self, args: &[&str]) -> Output {
        let mut wash = Command::new(binary("wash"));
        wash.env_clear().envs(self.env.iter().cloned()).current_dir(self.home.path());
        wash.args(["--output", "json"]).args(args).output().expect("wash runs")
    }

    /// Runs what must succeed, and gives its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.output(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`wash {}` failed: {stderr}", args.join(" "));
        serde_json::from_slice(&output.stdout).expect("JSON on stdout")
    }

    /// Runs what must fail with exit code 1 and say what to do next, and gives its JSON.
    pub fn failure(&self, args: &[&str]) -> Value {
        let output = self.output(args);
        let failure: Value = serde_json::from_slice(&output.stderr)
            .unwrap_or_else(|_| panic!("no failure: {}", String::from_utf8_lossy(&output.stdout)));
        assert_eq!(output.status.code(), Some(1), "{failure}");
        assert!(failure["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no next step: {failure}");
        failure
    }

    /// A host of this home, without NATS; it ends with the value.
    pub async fn up(&self, state_dir: &str, flags: &[&str]) -> Guarded {
        let state_dir = self.path(state_dir);
        fs::create_dir_all(&state_dir).expect("a directory");
        let mut args: Vec<OsString> = ["up", "--no-nats", "--state-dir"].map(OsString::from).into();
        args.push(state_dir.clone().into());
        args.extend(flags.iter().map(OsString::from));
        let env: Vec<_> = self.env.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        let mut host = Guarded::start(&binary("wash"), &args, &env, &state_dir.with_extension("log"));
        eventually("a host on its control socket", || {
            let running = host.is_running();
            let answered = running && self.output(&["get", "hosts", "--socket", &socket(&state_dir)]).status.success();
            std::future::ready(if answered { Ok(()) } else { Err(format!("running: {running}")) })
        })
        .await;
        host
    }

    /// Where `up` with this state directory can be reached.
    pub fn socket(&self, state_dir: &str) -> String {
        socket(&self.path(state_dir))
    }
}

fn socket(state_dir: &Path) -> String {
    state_dir.join("host.sock").display().to_string()
}

/// The flags of `wash` for a registry.
pub fn flags(registry: &Registry, access: Access) -> Vec<String> {
    let mut flags = Vec::new();
    if access.tls {
        flags.extend(["--ca-file".to_owned(), registry.ca_file().display().to_string()]);
    } else {
        flags.push("--insecure".to_owned());
    }
    if access.password {
        flags.extend(["-u", Registry::USER, "-p", Registry::PASSWORD].map(str::to_owned));
    }
    flags
}

/// Words of a command, those of flags behind them.
pub fn words<'a>(command: &[&'a str], flags: &'a [String]) -> Vec<&'a str> {
    command.iter().copied().chain(flags.iter().map(String::as_str)).collect()
}
