//! Child processes that do not outlive the test, however it ends.
//!
//! A shell stands between: it awaits the program, and kills it when our end of its standard input closes, which the
//! operating system does for us even when the test process is killed. (The parent-death signal is tied to the thread
//! that started the child, and test threads come and go.)

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually_within;

/// Runs `"$@"` into the file `$LOG`; prints its pid; ends after it, or ends it when standard input closes.
const GUARD: &str = r#"
exec 3<&0 2>/dev/null
"$@" 3<&- </dev/null >>"$LOG" 2>&1 &
program=$!
( read -r _ <&3; kill -9 "$program" ) >/dev/null 2>&1 &
watcher=$!
exec 3<&-
echo "$program"
wait "$program"
kill "$watcher" 2>/dev/null
"#;

/// A running program.
#[derive(Debug)]
pub struct Guarded {
    shell: Child,
    pid: Pid,
    log: PathBuf,
}

impl Guarded {
    /// Starts a program; what it prints goes into `log`.
    ///
    /// # Panics
    /// When there is no shell.
    pub fn start<S: AsRef<OsStr>>(program: &Path, args: &[S], env: &[(&str, &OsStr)], log: &Path) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", GUARD, "guard"]).arg(program).args(args);
        shell.env("LOG", log).envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("/bin/sh");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("asked for as a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the shell prints a pid");
        let pid = line.trim().parse().ok().and_then(Pid::from_raw).expect("the shell prints a pid");
        Self { shell, pid, log: log.to_owned() }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the operating system does not say.
    pub fn is_running(&mut self) -> bool {
        self.shell.try_wait().expect("a child can be awaited").is_none()
    }

    /// Sends SIGKILL and waits until it is gone.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL).await;
    }

    /// Sends SIGTERM and waits until it is gone.
    pub async fn terminate(&mut self) {
        self.signal(Signal::TERM).await;
    }

    /// Lets it stand still (SIGSTOP).
    pub fn pause(&self) {
        let _ = kill_process(self.pid, Signal::STOP); // fails only when it has ended
    }

    /// Lets it go on after [`Self::pause`].
    pub fn go_on(&self) {
        let _ = kill_process(self.pid, Signal::CONT); // fails only when it has ended
    }

    async fn signal(&mut self, signal: Signal) {
        let _ = kill_process(self.pid, signal); // fails only when it has ended
        let (pid, limit) = (self.pid(), Duration::from_secs(20));
        eventually_within(limit, &format!("end of process {pid}"), || {
            std::future::ready(if self.is_running() { Err("it runs") } else { Ok(()) })
        })
        .await;
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.shell.stdin.take()); // the shell kills the program
        let _ = self.shell.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("-- end of {}\n{}", self.log.display(), lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_there(pid: i32) -> bool {
        Pid::from_raw(pid).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }

    fn sleeper(dir: &Path) -> Guarded {
        Guarded::start(Path::new("/bin/sh"), &["-c", "echo hi; exec sleep 60"], &[], &dir.join("log"))
    }

    #[tokio::test]
    async fn a_program_ends_with_its_guard() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut guarded = sleeper(dir.path());
        let pid = guarded.pid();
        assert!(guarded.is_running() && is_there(pid));
        drop(guarded);
        assert!(!is_there(pid));
    }

    #[tokio::test]
    async fn a_killed_program_is_seen_as_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut guarded = sleeper(dir.path());
        crate::eventually("output", || std::future::ready(if guarded.log() == "hi\n" { Ok(()) } else { Err("none") }))
            .await;
        guarded.kill().await;
        assert!(!guarded.is_running() && !is_there(guarded.pid()));
    }
}
