//! A reader at a shell: does what a page says, in a folder and a home of its own.
//!
//! Every command is run by `bash`, as it stands on the page, where the one before left off: same folder, same variables. Three
//! things differ, by rule: ports are replaced by free ones, `/tmp` is the reader's own, and NATS is on a port of its own, which
//! `wash` is told by the variables that it reads.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use lattice_tests::{eventually_within, free_address, skip};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use xtask::workspace;

use crate::page::{Block, Step};

/// Ports that pages name.
const PORTS: [u16; 5] = [8080, 8081, 8082, 8000, 5000];
/// Whatever a command that stays does first: compile, find a broker.
const READY: Duration = Duration::from_secs(120);
/// What the shell remembers between two commands, and how it asks over HTTP: an answer that is an error fails.
const AROUND: &str = r#"
[ -f "$READER/variables" ] && . "$READER/variables"
[ -f "$READER/folder" ] && cd "$(cat "$READER/folder")"
curl() { command curl --silent --show-error --fail --max-time 60 "$@"; }
"#;
const AFTER: &str = r#"
code=$?
export -p > "$READER/variables"
pwd > "$READER/folder"
exit $code
"#;

/// A command that goes on; it ends with the value, however a page breaks off.
struct Staying(Child);

impl Drop for Staying {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// The reader.
pub struct Reader {
    dir: TempDir,
    ports: BTreeMap<u16, u16>,
    variables: Vec<(String, String)>,
    staying: Vec<Staying>,
    /// Commands that were run.
    pub ran: usize,
    /// Commands that were passed over because the page says so.
    pub not_run: Vec<String>,
}

impl Reader {
    /// A reader with these variables beside those that every shell has.
    pub fn new(variables: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["home", "tmp", "work"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let ports = PORTS.iter().map(|port| (*port, free_address().port())).collect();
        Self { dir, ports, variables, staying: Vec::new(), ran: 0, not_run: Vec::new() }
    }

    /// The folder that pages begin in.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Does what a page says.
    ///
    /// # Panics
    /// When a command does not end as the page says.
    pub async fn follow(&mut self, steps: Vec<Step>) {
        fs::write(self.dir.path().join("folder"), self.folder().display().to_string()).expect("room");
        for step in steps {
            match step {
                Step::Commands(block) => self.block(&block).await,
                Step::File { path, text } => self.file(&path, &text),
            }
        }
        self.end_what_stays();
    }

    async fn block(&mut self, block: &Block) {
        if let Some(missing) = block.values("needs").iter().find(|program| !self.has(program)) {
            return skip(missing);
        }
        if block.says("without NATS") {
            // Neither what is handed to each shell nor what the last one left names a port any more.
            self.variables.retain(|(name, _)| !name.ends_with("_PORT"));
            self.run("unset NATS_PORT WASMCLOUD_CTL_PORT WASMCLOUD_RPC_PORT; export WASH_NO_NATS=1", false);
        }
        let mut fails = block.values("fails").to_vec();
        let waits = ["stays until ready", "interrupted when ready"].map(|key| block.values(key).first());
        let stays = waits.iter().flatten().next().copied();
        for (index, line) in block.lines.iter().enumerate() {
            if block.values("not run").iter().any(|start| line.starts_with(start.as_str())) {
                self.not_run.push(line.clone());
                continue;
            }
            self.ran += 1;
            match stays {
                Some(ready) if index + 1 == block.lines.len() => self.stay(line, ready, waits[1].is_some()).await,
                _ => {
                    let fails =
                        fails.iter().position(|start| line.starts_with(start.as_str())).map(|at| fails.remove(at));
                    self.run(line, fails.is_some());
                }
            }
        }
        assert!(fails.is_empty(), "a page says that {fails:?} fails, and no such command is there");
    }

    /// Runs a command to its end.
    fn run(&self, line: &str, fails: bool) -> String {
        let Output { status, stdout, stderr } = self.shell(line).output().expect("bash runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        // What a command that is to fail leaves: 1 of `wash`, 22 of curl for an answer that is an error.
        let expected: &[i32] = if fails { &[1, 22] } else { &[0] };
        assert!(status.code().is_some_and(|code| expected.contains(&code)), "`{line}`: {status}\n{stdout}\n{stderr}");
        stdout.into_owned()
    }

    /// Runs a command that does not end by itself.
    async fn stay(&mut self, line: &str, ready: &str, interrupt: bool) {
        let log = self.dir.path().join("staying.log");
        let out = fs::File::create(&log).expect("room");
        let mut shell = self.bash(&format!("{AROUND}\nexec env {line}"));
        shell.stdout(out.try_clone().expect("a file")).stderr(out).process_group(0);
        let mut child = Staying(shell.spawn().expect("bash runs"));
        let said = || fs::read_to_string(&log).unwrap_or_default();
        eventually_within(READY, &format!("`{ready}` after `{line}`"), || {
            let ended = child.0.try_wait().expect("our child");
            assert!(ended.is_none(), "`{line}` ended: {}", said());
            let answer = self.shell(ready).output().expect("bash runs");
            let failed = || format!("{}{}", String::from_utf8_lossy(&answer.stderr), said());
            std::future::ready(if answer.status.success() { Ok(()) } else { Err(failed()) })
        })
        .await;
        assert!(!said().contains("allocation"), "the internals of an engine are nothing to begin with: {}", said());
        if interrupt {
            kill_process_group(Pid::from_child(&child.0), ctrl_c()).expect("it runs");
            let ended = child.0.wait().expect("our child");
            assert!(ended.success(), "Ctrl-C ends `{line}`: {ended}: {}", said());
        } else {
            self.staying.push(child);
        }
    }

    fn file(&self, path: &str, text: &str) {
        let folder = fs::read_to_string(self.dir.path().join("folder")).expect("there is one");
        let path = Path::new(folder.trim()).join(path);
        let before = fs::read_to_string(&path).unwrap_or_default();
        let is_manifest = path.extension().is_some_and(|extension| extension == "toml");
        let text = if is_manifest { format!("{before}\n{text}\n") } else { format!("{text}\n") };
        fs::write(&path, text).expect("a file of the reader");
    }

    fn has(&self, program: &str) -> bool {
        self.shell(&format!("command -v {program}")).output().expect("bash runs").status.success()
    }

    fn shell(&self, line: &str) -> Command {
        self.bash(&format!("{AROUND}\n{line}\n{AFTER}"))
    }

    fn bash(&self, script: &str) -> Command {
        let mut script = script.replace("/tmp/", &format!("{}/", self.dir.path().join("tmp").display()));
        for (port, free) in &self.ports {
            for host in ["127.0.0.1", "localhost"] {
                script = script.replace(&format!("{host}:{port}"), &format!("{host}:{free}"));
            }
        }
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &script]).env_clear().stdin(Stdio::null()).current_dir(self.dir.path());
        for (name, value) in std::env::vars_os() {
            // Where the toolchain is, and how the network is reached.
            let text = name.to_string_lossy();
            let kept = ["RUSTUP_", "CARGO_HTTP_", "CARGO_NET_", "SSL_"].iter().any(|start| text.starts_with(start));
            if kept || text.to_lowercase().ends_with("_proxy") || ["PATH", "LANG", "TMPDIR"].contains(&&*text) {
                bash.env(name, value);
            }
        }
        let home = std::env::home_dir().unwrap_or_default();
        for (variable, directory) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            bash.env(variable, std::env::var_os(variable).unwrap_or_else(|| home.join(directory).into()));
        }
        bash.env("HOME", self.dir.path().join("home")).env("USER", "ada").env("READER", self.dir.path());
        bash.env("CLONE", workspace::root()).envs(self.variables.iter().map(|(name, value)| (name, value)));
        bash
    }

    fn end_what_stays(&mut self) {
        for mut child in self.staying.drain(..) {
            if child.0.try_wait().is_ok_and(|ended| ended.is_none()) {
                let _ = kill_process_group(Pid::from_child(&child.0), Signal::TERM);
            }
            let _ = child.0.wait();
        }
    }
}

/// What Ctrl-C sends; SIGTERM, which means the same to everything here, where this process was started with SIGINT ignored
/// (`nohup`, the background of a script): what ignores it at its start goes on ignoring it.
fn ctrl_c() -> Signal {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap_or_default();
    if ignored & 1 << (Signal::INT.as_raw() - 1) == 0 { Signal::INT } else { Signal::TERM }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A page that broke off leaves hosts behind.
        let _ = self.shell("wash down --all").output();
        self.end_what_stays();
    }
}
