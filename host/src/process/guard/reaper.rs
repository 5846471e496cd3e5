//! Being the guard: start the provider, wait, kill what is below, end as the provider did. Linux, which has reapers.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, wait,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{LOOK_EVERY, complain, when_written};
use crate::providers::launcher::die_with_parent;

/// What a provider whose host is gone has to release what it holds. Those of ours take no more (`provider-sdk`).
const GRACE: Duration = Duration::from_secs(5);
/// For what may not be killed: programs that have become another user's.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// Between two looks at the host, for kernels that do not tell.
const HOST_EVERY: Duration = Duration::from_secs(1);
/// How a shell says that a program cannot be started.
const NOT_STARTED: u8 = 127;

/// Guards `program` for `host` until nothing of it is left.
pub(super) fn run(host: Pid, program: OsString) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(Guard { host }.run(program))) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("cannot start the provider: {error}"));
            ExitCode::from(NOT_STARTED)
        }
    }
}

struct Guard {
    host: Pid,
}

impl Guard {
    async fn run(&self, program: OsString) -> io::Result<ExitCode> {
        set_child_subreaper(Some(getpid()))?;
        let mut asked = signal(SignalKind::terminate())?;
        let mut died = signal(SignalKind::user_defined1())?;
        let mut ended = signal(SignalKind::child())?;
        set_parent_process_death_signal(Some(Signal::USR1))?;
        if self.is_orphan() {
            return Ok(ExitCode::SUCCESS); // the host ended before it would have been told
        }
        let provider = start(&program)?;
        let mut look = tokio::time::interval(HOST_EVERY);
        let mut status = None;
        while status.is_none() {
            tokio::select! {
                _ = ended.recv() => status = reap(provider),
                _ = asked.recv() => break,
                _ = died.recv() => {}
                _ = look.tick() => {}
            }
            if self.is_orphan() {
                // It may have something to put in order.
                let _ = kill_process(provider, Signal::TERM);
                let until = tokio::time::Instant::now() + GRACE;
                while status.is_none() && tokio::time::timeout_at(until, ended.recv()).await.is_ok() {
                    status = reap(provider);
                }
                break;
            }
        }
        let status = end_all(provider, status);
        Ok(status.map_or(ExitCode::FAILURE, end_like))
    }

    fn is_orphan(&self) -> bool {
        getppid() != Some(self.host)
    }
}

fn start(program: &OsStr) -> io::Result<Pid> {
    let mut command = Command::new(program);
    command.process_group(0);
    die_with_parent(&mut command);
    let child = when_written(|| command.spawn())?;
    // The host's line is for the provider alone.
    if let Ok(null) = fs::File::open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
    }
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("a process without an id"))
}

/// Buries the dead; how the provider ended, if it is among them.
fn reap(provider: Pid) -> Option<WaitStatus> {
    let mut status = None;
    while let Ok(Some((pid, ended))) = wait(WaitOptions::NOHANG) {
        if pid == provider {
            status = Some(ended);
        }
    }
    status
}

/// Kills every descendant: whoever loses its parent becomes a child of ours, and is next.
fn end_all(provider: Pid, mut status: Option<WaitStatus>) -> Option<WaitStatus> {
    let began = Instant::now();
    loop {
        for child in children() {
            // Not waited for yet, so the id is still its own.
            let _ = kill_process(child, Signal::KILL);
        }
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, ended))) if pid == provider => status = Some(ended),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return status, // no child is left
            }
        }
        if began.elapsed() > GIVE_UP_AFTER {
            complain("some processes that the provider has started cannot be ended: they run as another user");
            return status;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The processes whose parent this one is.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().to_string();
    let is_child = |pid: &i32| {
        // `pid (name) state parent …`, and a name may hold anything.
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(own.as_str())
    };
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(is_child).filter_map(Pid::from_raw).collect()
}

/// Ends as the provider did, so that the host sees how that was.
fn end_like(status: WaitStatus) -> ExitCode {
    if let Some(code) = status.exit_status() {
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let Some(number) = status.terminating_signal() else { return ExitCode::FAILURE };
    let handled = [Signal::TERM, Signal::USR1, Signal::CHILD];
    if let Some(signal) = Signal::from_named_raw(number).filter(|signal| !handled.contains(signal)) {
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
        let _ = kill_process(getpid(), signal);
    }
    ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX)) // as a shell says it
}
