//! The world of one demo: a directory, ports, the real `wash` in it, and the duty to leave nothing behind.
//!
//! Invariant: every process, port and file of the demo is reachable from the directory, so putting the directory away
//! puts everything away, also after a failure or Ctrl-C.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    processes::{self, Process},
    wait::until,
};
use crate::{
    actors::ACTORS,
    nats_server::{self, NatsServer},
    ports, workspace,
};

/// Longest any single `wash` command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// See the file's opening.
pub(super) struct World {
    dir: Option<TempDir>,
    wash: PathBuf,
    /// The server that `wash up` is told to use.
    pub nats_server: PathBuf,
    /// Port of NATS.
    pub nats_port: u16,
    /// Where the link of `echo` listens.
    pub echo: SocketAddr,
    /// Where the link of `hello` listens.
    pub hello: SocketAddr,
    /// Hosts by the value of their label `zone`.
    pub hosts: Vec<Host>,
    interrupted: Arc<AtomicBool>,
    wash_home_before: BTreeSet<PathBuf>,
}

/// A host of the demo.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub zone: &'static str,
    pub id: String,
    pub process: Process,
}

/// How a command ended.
pub(super) struct Outcome {
    pub success: bool,
    /// What it printed.
    pub text: String,
}

impl World {
    /// Makes the directory and puts the built actors into it.
    pub fn create(wash: &Path, nats_server: &NatsServer) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot catch Ctrl-C")?;
        }
        let dir = tempfile::Builder::new().prefix("lattice-demo-").tempdir().context("cannot create a directory")?;
        fs::create_dir(dir.path().join("tmp")).context("cannot create a directory")?;
        for actor in ACTORS {
            let file = format!("{}.wasm", actor.name);
            fs::copy(actor.path(), dir.path().join(file)).with_context(|| format!("cannot copy `{}`", actor.name))?;
        }
        Ok(Self {
            dir: Some(dir),
            wash: wash.to_owned(),
            nats_server: nats_server.path.clone(),
            nats_port: ports::free()?.port(),
            echo: ports::free()?,
            hello: ports::free()?,
            hosts: Vec::new(),
            interrupted,
            wash_home_before: files_of_the_real_wash_home(),
        })
    }

    /// The demo's directory.
    pub fn path(&self) -> &Path {
        self.dir.as_ref().expect("the directory is there until the world is put away").path()
    }

    /// Says under which circumstances the commands can be typed by hand.
    pub fn introduce(&self) {
        println!("\nThe commands below are the real ones. They run with");
        println!("  cd {}", self.path().display());
        println!("  export WASH_HOME=$PWD/wash PATH={}:$PATH", self.wash.parent().unwrap_or(Path::new(".")).display());
    }

    /// A host by its zone.
    pub fn host(&self, zone: &str) -> &Host {
        self.hosts.iter().find(|host| host.zone == zone).expect("steps start a host before they use it")
    }

    /// Runs `wash`, shows it, and fails when it fails.
    pub fn wash<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        let outcome = self.try_wash(args)?;
        ensure!(outcome.success, "that command should have succeeded");
        Ok(outcome.text)
    }

    /// Runs `wash` and shows it, however it ends.
    pub fn try_wash<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Outcome> {
        let mut command = self.command(&self.wash);
        command.args(args);
        println!("$ {}", workspace::shown(&command));
        let printed = self.path().join("tmp/printed");
        let file = fs::File::create(&printed).context("cannot write")?;
        // One file for both, as at a terminal: what is said comes in the order it was said.
        command.stdout(file.try_clone().context("cannot write")?).stderr(file);
        let success = self.finish(command)?;
        let text = fs::read_to_string(&printed).unwrap_or_default();
        println!("{}\n", text.trim());
        Ok(Outcome { success, text })
    }

    /// Asks `wash` something without showing it; the answer as JSON.
    pub fn query(&self, args: &[&str]) -> Result<Value> {
        let mut command = self.command(&self.wash);
        command.args(args).args(["--output", "json", "--ctl-port", &self.nats_port.to_string()]);
        let text = workspace::shown(&command);
        let (answer, remarks) = (self.path().join("tmp/answer"), self.path().join("tmp/remarks"));
        command.stdout(fs::File::create(&answer).context("cannot write")?);
        command.stderr(fs::File::create(&remarks).context("cannot write")?);
        let success = self.finish(command)?;
        let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
        ensure!(success, "`{text}` failed: {}", read(&remarks).trim());
        serde_json::from_str(read(&answer).trim()).with_context(|| format!("`{text}` did not print JSON"))
    }

    /// A program in the demo's directory, with nothing of our own environment that could steer it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let foreign = |name: &str| ["WASH_", "WASMCLOUD_", "NATS_"].iter().any(|prefix| name.starts_with(prefix));
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(foreign)) {
            command.env_remove(name);
        }
        command
            .current_dir(self.path())
            .env("WASH_HOME", self.path().join("wash"))
            .env("TMPDIR", self.path().join("tmp"));
        command
    }

    /// Runs a command within a limit. Its output goes to files: a pipe would stay open as long as any detached process
    /// holds its other end.
    fn finish(&self, mut command: Command) -> Result<bool> {
        let text = workspace::shown(&command);
        let mut child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot run `{text}`"))?;
        let ended = until(&text, COMMAND_LIMIT, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        if self.was_interrupted() {
            bail!("interrupted");
        }
        ended.map(|status| status.success()).inspect_err(|_| drop(child.kill()))
    }

    /// Whether Ctrl-C was pressed.
    pub fn was_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Ctrl-C ended the stay; what follows is the orderly end, which a second Ctrl-C interrupts.
    pub fn forget_interruption(&self) {
        self.interrupted.store(false, Ordering::Relaxed);
    }

    /// Its processes.
    pub fn processes(&self) -> Vec<Process> {
        processes::of(self.path())
    }

    /// The one process called `name`.
    pub fn process(&self, name: &str) -> Result<Process> {
        let found: Vec<Process> = self.processes().into_iter().filter(|process| process.is(name)).collect();
        let [process] = &found[..] else { bail!("expected one process `{name}`, found {}", found.len()) };
        Ok(process.clone())
    }

    /// Starts a program that stays, as somebody at another terminal would.
    pub fn start(&self, command_line: impl IntoIterator<Item = String>) -> Result<()> {
        let mut words = command_line.into_iter();
        let mut command = self.command(Path::new(&words.next().context("a process without a command line")?));
        // A group of its own: Ctrl-C is for the demo, which then decides about the program.
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        println!("$ {} &\n", workspace::shown(&command));
        let mut child = command.spawn().context("cannot start it")?;
        // Awaited as soon as it ends, so that it never looks as if it still ran.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// Shows the end of every log, for whoever looks into a failure.
    pub fn show_logs(&self) {
        let Some(dir) = &self.dir else { return };
        for file in files_below(dir.path()).iter().filter(|file| file.extension().is_some_and(|e| e == "log")) {
            println!("\n-- end of {}", file.display());
            let text = fs::read_to_string(file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].iter().for_each(|line| println!("{line}"));
        }
    }

    /// Ends what still runs, removes the directory, and says what was left behind nevertheless.
    pub fn put_away(&mut self) -> Result<()> {
        let Some(dir) = self.dir.take() else { return Ok(()) };
        let path = dir.path().to_owned();
        processes::end_all(&path);
        let mut left: Vec<String> = processes::of(&path).iter().map(|process| format!("process {process:?}")).collect();
        let removed = dir.close();
        if removed.is_err() || path.exists() {
            left.push(format!("directory {}", path.display()));
        }
        let foreign = files_of_the_real_wash_home();
        left.extend(foreign.difference(&self.wash_home_before).map(|file| format!("file {}", file.display())));
        ensure!(left.is_empty(), "left behind: {}", left.join(", "));
        Ok(())
    }

    /// Whether it was put away.
    pub fn is_put_away(&self) -> bool {
        self.dir.is_none()
    }

    /// What of ours is still there: processes and ports.
    pub fn remains(&self) -> Vec<String> {
        let processes =
            self.processes().into_iter().map(|process| format!("process {} {:?}", process.pid, process.args));
        let ports = [SocketAddr::from((Ipv4Addr::LOCALHOST, self.nats_port)), self.echo, self.hello];
        let held = ports.into_iter().filter(|address| TcpListener::bind(address).is_err());
        processes.chain(held.map(|address| format!("port {address}"))).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(error) = self.put_away() {
            eprintln!("demo: {error:#}");
        }
    }
}

/// The user's own `~/.wash`, where the demo must not write. The nats-server in `bin` is put there before it begins.
fn files_of_the_real_wash_home() -> BTreeSet<PathBuf> {
    let home = nats_server::wash_bin_dir().ok().and_then(|bin| bin.parent().map(Path::to_owned));
    home.map(|home| files_below(&home).into_iter().collect()).unwrap_or_default()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.is_symlink() { dirs.push(path) } else { files.push(path) }
        }
    }
    files
}
