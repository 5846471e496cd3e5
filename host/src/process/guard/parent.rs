//! A child that ends with the thread that forked it.

#[cfg(target_os = "linux")]
use std::{io, os::unix::process::CommandExt as _};

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
