//! The machine a figure is from: without it a figure says nothing.

use std::{fs, thread};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// What Linux says about itself; `unknown` elsewhere.
#[derive(Debug, Clone)]
pub struct Machine {
    cores: usize,
    memory_mib: u64,
    cpu: String,
    kernel: String,
    load: String,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Self {
        let file = |path| fs::read_to_string(path).unwrap_or_default();
        let kib = value_of(&file("/proc/meminfo"), "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok());
        let unknown = || "unknown".to_owned();
        Self {
            cores: thread::available_parallelism().map_or(0, Into::into),
            memory_mib: kib.unwrap_or(0_u64) / 1024,
            cpu: value_of(&file("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            kernel: Some(file("/proc/sys/kernel/osrelease").trim().to_owned())
                .filter(|text| !text.is_empty())
                .unwrap_or_else(unknown),
            load: load(),
        }
    }

    /// One line.
    pub fn shown(&self) -> String {
        let Self { cores, memory_mib, cpu, kernel, load } = self;
        format!("{cores} cores of {cpu}, {memory_mib} MiB, kernel {kernel}, load average before {load}")
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "cores": self.cores, "memory_mib": self.memory_mib, "cpu": self.cpu, "kernel": self.kernel,
            "load_before": self.load, "load_after": load(),
        })
    }
}

/// Running and waiting processes over the last minute. Above a few tenths at the start, somebody else is measuring too.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|text| !text.is_empty()).unwrap_or("unknown").to_owned()
}

/// A figure of the memory of a process in bytes, by its name in `/proc/PID/status`.
pub fn memory_of(pid: &str, name: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let value = value_of(&status, name).with_context(|| format!("no `{name}`"))?;
    let kib: f64 = value.split(' ').next().unwrap_or_default().parse().context("memory is no number")?;
    Ok(kib * 1024.0)
}

/// The first `key : value` line with this key.
pub fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_files_are_found_by_their_key() {
        let text = "processor\t: 0\nmodel name\t: A: fine one\nmodel name\t: another\n";
        assert_eq!(value_of(text, "model name").as_deref(), Some("A: fine one"));
        assert_eq!(value_of(text, "model"), None);
    }
}
