//! The provider processes of a host, found by what they run: hosts unpack archives into their state directory.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Processes whose program lies below a directory: the providers that a host has unpacked there.
#[must_use]
pub fn processes_below(dir: &Path) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.starts_with(dir)))
        .collect()
}

/// Sends SIGKILL to a process that a test has found with [`processes_below`].
///
/// # Panics
/// When it does not run.
pub fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a process id");
    kill_process(pid, Signal::KILL).expect("it runs");
}
