//! What a provider process starts ends with it, in whatever session it is and however its host ends.
#![cfg(target_os = "linux")] // processes are looked at through /proc

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use lattice_tests::{KEYVALUE, Signed, Signer, TestLattice, binary, eventually, eventually_within};
use rustix::process::{Pid, test_kill_process};

/// A provider that leaves processes behind, as its `$1` says: in its group, in a session of its own, without a parent.
const LEAVING: &str = "
echo $PPID > $dir/guard
/bin/sleep 600 & echo $! > $dir/ordinary
/usr/bin/setsid /bin/sh -c \"echo \\$\\$ > $dir/session; exec /bin/sleep 600\" &
(/usr/bin/setsid /bin/sh -c \"echo \\$\\$ > $dir/daemon; exec /bin/sleep 600\" &)
while [ ! -s $dir/session ] || [ ! -s $dir/daemon ]; do /bin/sleep 0.01; done
";
const LEFT: [&str; 3] = ["ordinary", "session", "daemon"];

struct Leaving {
    signed: Signed<claims::ProviderId>,
    dir: tempfile::TempDir,
    _signer: Signer,
}

impl Leaving {
    fn then(last: &str) -> Self {
        let (dir, signer) = (tempfile::tempdir().expect("a directory"), Signer::default());
        let store = binary("wash-keyvalue-redb");
        let script = format!("#!/bin/sh\ndir={}\nstore={}\n{LEAVING}\n{last}\n", dir.path().display(), store.display());
        Self { signed: signer.provider(script.as_bytes(), KEYVALUE), dir, _signer: signer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pid(&self, name: &str) -> i32 {
        fs::read_to_string(self.file(name)).expect("it was noted").trim().parse().expect("a process id")
    }

    fn running(&self) -> Vec<&'static str> {
        LEFT.into_iter().filter(|name| runs(self.pid(name))).collect()
    }

    async fn nothing_runs(&self, within: Duration) {
        eventually_within(within, "the end of all of them", || {
            let running = self.running();
            std::future::ready(if running.is_empty() { Ok(()) } else { Err(format!("{running:?}")) })
        })
        .await;
    }
}

fn runs(pid: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok()) && !state.contains(") Z ")
}

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_leaves_nothing() {
    let Some(lattice) = TestLattice::start_processes(["a"]).await else { return };
    let (operator, provider) = (lattice.operator().await, Leaving::then("echo 'no disk' >&2; exit 3"));
    let error = operator.start_provider(&lattice.id("a"), &provider.signed.reference()).await.expect_err("it fails");
    assert!(error.contains("exit status: 3") && error.contains("no disk"), "as it ended: {error}");
    provider.nothing_runs(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_leaves_nothing() {
    let Some(mut lattice) = TestLattice::start_processes(["a"]).await else { return };
    let (operator, provider) = (lattice.operator().await, Leaving::then("exec $store"));
    operator.start_provider(&lattice.id("a"), &provider.signed.reference()).await.expect("it starts");
    assert_eq!(provider.running(), LEFT);
    let guard = provider.pid("guard");
    let memory = fs::read_to_string(format!("/proc/{guard}/smaps_rollup")).expect("the guard runs");
    let memory = memory.lines().filter(|line| ["Rss:", "Pss:", "Private_Dirty:"].iter().any(|of| line.starts_with(of)));
    println!("FIGURE the guard of a provider takes {}", memory.collect::<Vec<_>>().join(", "));
    lattice.process("a").kill().await;
    let killed = Instant::now();
    provider.nothing_runs(SOON).await;
    println!("FIGURE nothing is left {:?} after the host was killed", killed.elapsed());
    eventually("the end of the guard", || std::future::ready(if runs(guard) { Err("it runs") } else { Ok(()) })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_beside_a_provider_that_does_not_want_to_end_leaves_nothing() {
    let Some(mut lattice) = TestLattice::start_processes(["a"]).await else { return };
    // The store answers for it; the provider itself hears no signal that can be ignored.
    let provider = Leaving::then("trap '' TERM HUP INT USR1; $store; while true; do /bin/sleep 1; done");
    let operator = lattice.operator().await;
    operator.start_provider(&lattice.id("a"), &provider.signed.reference()).await.expect("it starts");
    lattice.process("a").kill().await;
    provider.nothing_runs(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_stopped_or_dies_leaves_nothing() {
    let Some(lattice) = TestLattice::start_processes(["a"]).await else { return };
    let (operator, a) = (lattice.operator().await, lattice.id("a"));
    let provider = Leaving::then("echo $$ > $dir/pid; exec $store");
    operator.start_provider(&a, &provider.signed.reference()).await.expect("it starts");
    let before: Vec<i32> = LEFT.iter().map(|name| provider.pid(name)).collect();
    lattice_tests::kill(provider.pid("pid"));
    eventually("others in their place", || {
        let left: Vec<&i32> = before.iter().filter(|pid| runs(**pid)).collect();
        let now: Vec<i32> =
            LEFT.iter().filter_map(|name| fs::read_to_string(provider.file(name)).ok()?.trim().parse().ok()).collect();
        let fresh = now.len() == 3 && now.iter().all(|pid| !before.contains(pid) && runs(*pid));
        std::future::ready(if left.is_empty() && fresh { Ok(()) } else { Err(format!("{left:?} {now:?}")) })
    })
    .await;
    operator.stop_provider(&a, &provider.signed.id).await.expect("it stops");
    assert_eq!(provider.running(), [] as [&str; 0], "awaited before the stop is answered");
}
