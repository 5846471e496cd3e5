//! The processes that belong to a directory: whose environment, command line or working directory names it.
//!
//! Found by looking at what runs, not by remembering what was started: a host starts servers of its own, and the claim
//! «nothing is left» must not depend on anybody's bookkeeping.

use std::{
    fs,
    path::Path,
    process::{self, Command},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::wait::until;
use crate::workspace;

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: i32,
    /// The command line, program first.
    pub args: Vec<String>,
}

impl Process {
    /// Whether its program is called `name`.
    pub fn is(&self, name: &str) -> bool {
        self.args.first().and_then(|program| Path::new(program).file_name()).is_some_and(|file| file == name)
    }

    /// Sends a signal; one that is gone already is fine.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, signal); // the only failure for our own processes: it has ended
        }
    }

    /// Waits until it runs no longer.
    pub fn wait_gone(&self, dir: &Path, limit: Duration) -> Result<()> {
        until(&format!("end of process {}", self.pid), limit, || {
            if of(dir).iter().any(|process| process.pid == self.pid) { Err("it runs".to_owned()) } else { Ok(()) }
        })
    }
}

/// Every process that belongs to `dir`, except this one.
pub(super) fn of(dir: &Path) -> Vec<Process> {
    let dir = dir.to_string_lossy();
    let found = if Path::new("/proc/self/environ").exists() { from_proc(&dir) } else { from_ps(&dir) };
    let own = i32::try_from(process::id()).unwrap_or_default();
    found.unwrap_or_default().into_iter().filter(|process| process.pid != own).collect()
}

/// Ends every process that belongs to `dir`: asked first, then forced.
pub(super) fn end_all(dir: &Path) {
    for (signal, limit) in [(Signal::TERM, Duration::from_secs(5)), (Signal::KILL, Duration::from_secs(5))] {
        let found = of(dir);
        if found.is_empty() {
            return;
        }
        found.iter().for_each(|process| process.signal(signal));
        // The next round, or the check at the end, says what is still there.
        let _ = until("end of all processes", limit, || if of(dir).is_empty() { Ok(()) } else { Err(String::new()) });
    }
}

fn from_proc(dir: &str) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list processes")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ends meanwhile, and one that has ended but was not awaited, read as empty.
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let command_line = String::from_utf8_lossy(&read("cmdline")).into_owned();
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        let working_dir = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if [&command_line, &environment, &*working_dir.to_string_lossy()].iter().any(|text| text.contains(dir)) {
            let args = command_line.split_terminator('\0').map(str::to_owned).collect();
            found.push(Process { pid, args });
        }
    }
    Ok(found)
}

/// Where there is no `/proc`: `ps` with the environment behind the command line.
fn from_ps(dir: &str) -> Result<Vec<Process>> {
    let listing = workspace::output_of(Command::new("ps").args(["axeww", "-o", "pid=,command="]))?;
    let lines = listing.lines().filter(|line| line.contains(dir));
    let process = |line: &str| {
        let mut words = line.split_whitespace();
        Some(Process { pid: words.next()?.parse().ok()?, args: words.map(str::to_owned).collect() })
    };
    Ok(lines.filter_map(process).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_its_environment_and_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut child =
            Command::new("sleep").arg("60").env("MARK", dir.path()).current_dir("/").spawn().expect("a process");
        let pid = i32::try_from(child.id()).expect("a pid");
        let found = until("the process", Duration::from_secs(5), || {
            let all = of(dir.path());
            if all.len() == 1 && all[0].is("sleep") { Ok(all) } else { Err(format!("{all:?}")) }
        });
        assert_eq!(found.expect("one process")[0].pid, pid);

        end_all(dir.path());
        assert_eq!(of(dir.path()), []);
        child.wait().expect("it has ended");
    }
}
