//! Runs the real `wash` with a home of its own and no lattice, and renders what happened as one text.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;

/// The smallest core module: a header and nothing else.
pub const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// `wash` with a home and a working directory of its own.
pub struct Wash {
    home: tempfile::TempDir,
}

impl Wash {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a temporary directory") }
    }

    /// The working directory of the commands, with `WASH_HOME` below it.
    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("a file in a temporary directory");
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().expect("wash runs")
    }

    /// Runs with something on standard input.
    pub fn output_fed(&self, args: &[&str], input: &[u8]) -> Output {
        let mut wash = self.command(args);
        wash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = wash.spawn().expect("wash runs");
        running.stdin.take().expect("asked for").write_all(input).expect("wash reads");
        running.wait_with_output().expect("wash ends")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut wash = Command::new(env!("CARGO_BIN_EXE_wash"));
        wash.env_clear();
        let named = ["up", "-p", "--ctl-port"].iter().any(|word| args.contains(word));
        if !named {
            // The default address may have a server that is none of our business.
            wash.env("WASH_NO_NATS", "1");
        }
        wash.args(args)
            .current_dir(self.directory())
            .env("PATH", "/nonexistent")
            .env("HOME", self.directory())
            .env("WASH_HOME", self.path("wash"))
            .env("USER", "ada");
        wash
    }

    /// Runs a command line, split at blanks, and renders exit code, stdout and stderr with what differs from run to
    /// run replaced.
    pub fn run(&self, line: &str) -> String {
        self.run_args(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn run_args(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let mut text = format!("exit: {}\n", output.status.code().map_or("none".to_owned(), |code| code.to_string()));
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !bytes.is_empty() {
                text.push_str(&format!("{name}:\n{}", String::from_utf8_lossy(bytes)));
            }
        }
        self.neutral(&text)
    }

    /// Runs a command that must succeed and returns its JSON.
    pub fn json(&self, line: &str) -> serde_json::Value {
        let mut args = vec!["--output", "json"];
        args.extend(line.split_whitespace());
        let output = self.output(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`wash {line}` failed: {stderr}");
        serde_json::from_slice(&output.stdout).expect("JSON on stdout")
    }

    /// Runs a command that must fail and returns its exit code and the JSON on stderr.
    pub fn json_failure(&self, line: &str) -> (Option<i32>, serde_json::Value) {
        let mut args = vec!["--output", "json"];
        args.extend(line.split_whitespace());
        let output = self.output(&args);
        assert!(output.stdout.is_empty(), "a failure writes nothing to stdout");
        let failure = serde_json::from_slice(&output.stderr)
            .unwrap_or_else(|_| panic!("JSON on stderr, not {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), failure)
    }

    fn neutral(&self, text: &str) -> String {
        let text = text.replace(&self.directory().display().to_string(), "[DIR]");
        let mut neutral = String::new();
        let mut word = String::new();
        for c in text.chars().chain(['\n']) {
            if c.is_ascii_uppercase() || ('2'..='7').contains(&c) {
                word.push(c);
                continue;
            }
            match (word.len(), word.chars().next()) {
                (56, Some(kind)) => neutral.push_str(&format!("[{kind}]")),
                (58, Some('S')) => neutral.push_str(&format!("[{}]", &word[..2])),
                _ => neutral.push_str(&word),
            }
            word.clear();
            neutral.push(c);
        }
        neutral.pop();
        neutral
    }
}

/// Stops every host of the home when the test ends, however it ends.
pub struct Lattice(Wash);

impl Lattice {
    pub fn new() -> Self {
        Self(Wash::new())
    }
}

impl Drop for Lattice {
    fn drop(&mut self) {
        self.0.output(&["down", "--all"]);
    }
}

impl std::ops::Deref for Lattice {
    type Target = Wash;

    fn deref(&self) -> &Wash {
        &self.0
    }
}

/// What Ctrl-C sends; SIGTERM, which means the same to `wash`, where this process was started with SIGINT ignored (`nohup`,
/// the background of a script): what ignores it at its start goes on ignoring it.
pub fn ctrl_c() -> Signal {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap_or_default();
    if ignored & 1 << (Signal::INT.as_raw() - 1) == 0 { Signal::INT } else { Signal::TERM }
}
