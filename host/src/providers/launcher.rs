//! Starting child processes that cannot outlive this one, with what they start themselves.
//!
//! Under a [`guard`] where this program can be one. The kernel sends the parent-death signal when the *thread* that
//! forked ends, so all children are forked by one thread that lives as long as the process. Each child is the leader of
//! its own process group. Invariant: a [`Launched`] that is dropped ends, with everything below it.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt as _,
    process::{ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    process::{Child, ChildStderr, ChildStdin, Command},
    runtime::Handle,
    sync::oneshot,
};

use crate::process::guard;

/// How long a guard may take to end what is below it, before it is killed itself.
const END_WITHIN: Duration = Duration::from_secs(8);

type Job = (std::process::Command, bool, Handle, oneshot::Sender<io::Result<Child>>);

/// A child.
pub struct Launched {
    child: Child,
    id: Option<Pid>,
    is_guarded: bool,
}

impl Launched {
    /// Its standard input and error, once.
    pub fn take_streams(&mut self) -> (Option<ChildStdin>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stderr.take())
    }

    /// Waits for its end by itself; nothing below it is left then, if it is guarded. Cancel safe.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }

    /// Ends it at once, with everything below it.
    pub async fn end(&mut self) {
        if self.is_guarded {
            self.signal(Signal::TERM);
            if tokio::time::timeout(END_WITHIN, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::error!(pid = ?self.id, "the guard of a provider does not end; killing it");
        }
        self.child.kill().await.ok();
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // Fails when it has ended.
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) && self.is_guarded {
            return; // its id may be another's by now
        }
        if self.is_guarded {
            self.signal(Signal::TERM);
        } else if let Some(group) = self.id {
            // Also after its end: what it has started is in its group. Fails when nobody is left in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Starts `program` with a pipe to its stdin; `prepare` sets environment and streams. The child ends with this process,
/// whatever ends it.
///
/// # Errors
/// The system's reason when the program cannot be started. Under a guard that is seen by its exit.
pub async fn spawn(program: &OsStr, prepare: impl FnOnce(&mut std::process::Command)) -> io::Result<Launched> {
    let guarded = guard::command(program);
    let is_guarded = guarded.is_some();
    let mut command = guarded.unwrap_or_else(|| std::process::Command::new(program));
    prepare(&mut command);
    command.process_group(0).stdin(Stdio::piped());
    die_with_parent(&mut command);
    let child = fork(command, is_guarded).await?;
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    Ok(Launched { child, id, is_guarded })
}

async fn fork(command: std::process::Command, is_guarded: bool) -> io::Result<Child> {
    static LAUNCHER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let (reply, outcome) = oneshot::channel();
    let launcher = LAUNCHER.get_or_init(start_thread);
    let ended = |_| io::Error::other("the launcher thread ended");
    launcher.send((command, is_guarded, Handle::current(), reply)).map_err(|_| ended(()))?;
    outcome.await.map_err(|_| ended(()))?
}

fn start_thread() -> mpsc::Sender<Job> {
    let (jobs, incoming) = mpsc::channel::<Job>();
    let serve = move || {
        for (command, is_guarded, runtime, reply) in incoming {
            let _entered = runtime.enter(); // the child is reaped by the runtime that asked for it
            let mut command = Command::from(command);
            // A guard that is killed can end nobody.
            command.kill_on_drop(!is_guarded);
            reply.send(guard::when_written(|| command.spawn())).ok();
        }
    };
    std::thread::Builder::new().name("launcher".to_owned()).spawn(serve).expect("a thread can be started");
    jobs
}

/// Lets the child be killed when the thread that forks it ends.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the parent-death signal must be set between fork and exec")]
pub(crate) fn die_with_parent(command: &mut std::process::Command) {
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        if rustix::process::getppid() == Some(parent) {
            return Ok(());
        }
        Err(io::Error::from(rustix::io::Errno::SRCH)) // the parent ended before the signal was set
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. `prepare` makes two system calls
    // (prctl, getppid) and builds an `io::Error` from a number, which neither allocates nor locks.
    unsafe { command.pre_exec(prepare) };
}

/// Elsewhere nothing tells.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_command: &mut std::process::Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_program_is_an_error_and_the_launcher_goes_on() {
        assert!(spawn(OsStr::new("/nowhere/no-such-program"), |_| {}).await.is_err());
        let mut child = spawn(OsStr::new("/bin/cat"), |_| {}).await.expect("cat starts");
        drop(child.take_streams());
        assert!(child.ended().await.expect("it ends").success());
    }

    #[tokio::test]
    async fn a_dropped_child_is_killed() {
        let child = spawn(OsStr::new("/bin/cat"), |_| {}).await.expect("cat starts");
        let pid = child.id.expect("it runs");
        drop(child);
        for _ in 0..500 {
            if rustix::process::test_kill_process(pid).is_err() {
                return;
            }
            tokio::task::yield_now().await;
            std::thread::yield_now();
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the child still runs");
    }
}
