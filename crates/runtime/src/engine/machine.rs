//! The machine as far as it bounds the engine: its memory and the address space of this process.
//!
//! Reads, decides nothing. What cannot be found out is taken as unlimited.

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Bytes of memory, of the machine or of the control group this process is in, whichever is less.
    pub(crate) memory: u64,
    /// Bytes of address space, where that is limited (`ulimit -v`).
    pub(crate) address_space: Option<u64>,
}

impl Machine {
    /// The one this process runs on.
    pub(crate) fn here() -> Self {
        Self { memory: memory(), address_space: address_space() }
    }

    /// The part of it that a second engine may reckon with.
    pub(crate) fn quarter(self) -> Self {
        Self { memory: self.memory / 4, address_space: self.address_space.map(|bytes| bytes / 4) }
    }
}

#[cfg(target_os = "linux")]
fn memory() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let installed = read("/proc/meminfo").and_then(|text| installed(&text));
    let groups = read("/proc/self/cgroup").map(|text| limit_files(&text)).unwrap_or_default();
    let limits = groups.iter().filter_map(|path| read(path)?.trim().parse().ok());
    limits.chain(installed).min().unwrap_or(u64::MAX)
}

#[cfg(not(target_os = "linux"))]
fn memory() -> u64 {
    u64::MAX
}

#[cfg(unix)]
fn address_space() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(not(unix))]
fn address_space() -> Option<u64> {
    None
}

/// Gives memory that was freed back to the system. The C library keeps it where something next to it is in use, which
/// after a thousand guests is nearly everywhere. Other threads may wait for it for some milliseconds.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "nothing safe offers it")]
pub(crate) fn return_freed_memory() {
    // SAFETY: it may be called at any time, from any thread, and touches nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give back what they do not need.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn return_freed_memory() {}

/// `MemTotal` of `/proc/meminfo`.
#[cfg(target_os = "linux")]
fn installed(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The files which may limit the memory of a process with this `/proc/self/cgroup`: those of its groups and of all
/// groups above them, of both versions, and where a container sees its own group as the root.
#[cfg(target_os = "linux")]
fn limit_files(cgroup: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{path}/{name}"));
            let Some((parent, _)) = path.rsplit_once('/') else { break };
            path = parent;
        }
    }
    files
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn installed_memory_is_read_in_bytes() {
        assert_eq!(installed("MemTotal:         524288 kB\nMemFree: 1 kB\n"), Some(512 << 20));
        assert_eq!(installed("MemFree: 1 kB\n"), None);
        assert!(Machine::here().memory > 1 << 20);
    }

    #[test]
    fn limits_of_all_groups_above_count() {
        let text = "9:name=systemd:/\n4:memory:/a/b\n0::/user/app\n";
        let files = [
            "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/user/app/memory.max",
            "/sys/fs/cgroup/user/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(limit_files(text), files);
    }
}
