//! Starting child processes that cannot outlive this one.
//!
//! The kernel sends the parent-death signal when the *thread* that forked ends, so all children are forked by one
//! thread that lives as long as the process. Each child is the leader of its own process group.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::Stdio,
    sync::{OnceLock, mpsc},
};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

type Job = (std::process::Command, Handle, oneshot::Sender<io::Result<Child>>);

/// Starts `command` with a pipe to its stdin. The child dies with this process, whatever ends it.
///
/// # Errors
/// The system's reason when the program cannot be started.
pub async fn spawn(mut command: std::process::Command) -> io::Result<Child> {
    static LAUNCHER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    command.process_group(0).stdin(Stdio::piped());
    die_with_parent(&mut command);
    let (reply, outcome) = oneshot::channel();
    let launcher = LAUNCHER.get_or_init(start_thread);
    launcher.send((command, Handle::current(), reply)).map_err(|_| io::Error::other("the launcher thread ended"))?;
    outcome.await.map_err(|_| io::Error::other("the launcher thread ended"))?
}

fn start_thread() -> mpsc::Sender<Job> {
    let (jobs, incoming) = mpsc::channel::<Job>();
    let serve = move || {
        for (command, runtime, reply) in incoming {
            let _entered = runtime.enter(); // the child is reaped by the runtime that asked for it
            let mut command = Command::from(command);
            reply.send(spawn_when_written(command.kill_on_drop(true))).ok();
        }
    };
    std::thread::Builder::new().name("launcher".to_owned()).spawn(serve).expect("a thread can be started");
    jobs
}

/// A file that another thread has just written may still be open in a half-started child of this process.
fn spawn_when_written(command: &mut Command) -> io::Result<Child> {
    const ATTEMPTS: u32 = 50;
    for _ in 1..ATTEMPTS {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            outcome => return outcome,
        }
    }
    command.spawn()
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the parent-death signal must be set between fork and exec")]
fn die_with_parent(command: &mut std::process::Command) {
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

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut std::process::Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_program_is_an_error_and_the_launcher_goes_on() {
        assert!(spawn(std::process::Command::new("/nowhere/no-such-program")).await.is_err());
        let mut child = spawn(std::process::Command::new("/bin/cat")).await.expect("cat starts");
        drop(child.stdin.take());
        assert!(child.wait().await.expect("it ends").success());
    }

    #[tokio::test]
    async fn a_dropped_child_is_killed() {
        let child = spawn(std::process::Command::new("/bin/cat")).await.expect("cat starts");
        let pid = rustix::process::Pid::from_raw(child.id().expect("it runs").cast_signed()).expect("a pid");
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
