//! The process between a host and a provider process: it ends everything the provider has started, also when nobody is
//! left to ask for it.
//!
//! It is this program, started again with an argument of its own. As the reaper of its descendants it is given whatever the
//! provider leaves behind, in sessions of its own or not. Ends the provider when the host asks (SIGTERM) or is gone,
//! however it went; ends itself, as the provider did, once it has no descendant. Invariant: while it lives it has every
//! process of the provider below it; who kills the guard itself kills the provider, and no more.

#[cfg(target_os = "linux")]
mod reaper;

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    path::Path,
    process::{Command, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::process::{Pid, getpid};

/// The first argument of a guard; host and program follow.
const ARGUMENT: &str = "__guard-of-a-provider";
/// Between two looks whether anything is left, or is ready.
const LOOK_EVERY: Duration = Duration::from_millis(2);

static AVAILABLE: AtomicBool = AtomicBool::new(false);

/// To be called first in `main` by every program that runs hosts: it may have been started to be a guard, and then it is
/// one, and this is its exit code. From then on providers of this process get guards; those of a program that does not
/// call this have their process group alone.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        AVAILABLE.store(true, Ordering::Relaxed);
        return None;
    }
    let host = args.next().and_then(|host| Pid::from_raw(host.to_str()?.parse().ok()?));
    if let (Some(host), Some(program)) = (host, args.next()) {
        #[cfg(target_os = "linux")]
        return Some(reaper::run(host, program));
        #[cfg(not(target_os = "linux"))]
        let _ = (host, program);
    }
    complain("this is started by a host, with a process id and a program");
    Some(ExitCode::from(2))
}

/// The command that runs `program` under a guard, where there can be one. Environment and streams are the provider's.
pub(crate) fn command(program: &OsStr) -> Option<Command> {
    // This very program, also when its file was replaced since.
    const THIS: &str = "/proc/self/exe";
    if !cfg!(target_os = "linux") || !AVAILABLE.load(Ordering::Relaxed) || !Path::new(THIS).exists() {
        return None;
    }
    let mut command = Command::new(THIS);
    command.arg(ARGUMENT).arg(getpid().as_raw_nonzero().to_string()).arg(program);
    Some(command)
}

fn complain(sentence: &str) {
    // Nobody may be listening any more.
    let _ = writeln!(io::stderr(), "{sentence}");
}

/// Starts a program whose file another thread has just written: it may still be open in a half-started child.
pub(crate) fn when_written<T>(mut start: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const ATTEMPTS: u32 = 50;
    for _ in 1..ATTEMPTS {
        match start() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::sleep(LOOK_EVERY),
            outcome => return outcome,
        }
    }
    start()
}
