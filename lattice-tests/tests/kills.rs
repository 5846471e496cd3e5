//! Processes killed with SIGKILL: nothing stays behind, nobody else suffers, and the lattice knows soon.
#![cfg(target_os = "linux")] // children are found through /proc

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use lattice_tests::{
    Actor, HTTPSERVER, Signer, TestLattice, binary, eventually, eventually_within, free_address, get, try_get,
};
use rustix::process::{Pid, Signal, kill_process};

const PROVIDER: &str = "builtin://httpserver";
/// How soon inventories and ports must be right again.
const SOON: Duration = Duration::from_secs(5);

/// Processes whose program lies below a directory: the providers that a host has unpacked there.
fn running_from(dir: &Path) -> Vec<Pid> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| {
        let program = fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).unwrap_or_default();
        program.starts_with(dir)
    })
    .collect()
}

/// The program of the HTTP server provider, beside the other binaries.
fn provider_program() -> PathBuf {
    binary("wash-httpserver")
}

async fn is_free(address: SocketAddr) {
    eventually_within(SOON, &format!("{address} free"), || {
        std::future::ready(TcpListener::bind(address).map(drop).map_err(|error| error.to_string()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_is_missed_within_seconds_and_nobody_else_fails() {
    let Some(mut lattice) = TestLattice::start_processes(["a", "b"]).await else { return };
    let (operator, signer, address) = (lattice.operator().await, Signer::default(), free_address());
    let (a, b) = (lattice.id("a"), lattice.id("b"));
    let echo = signer.actor(Actor::Echo);
    let provider = operator.start_provider(&a, PROVIDER).await.expect("the provider starts");
    for host in [a, b] {
        operator.start_actor(&host, &echo.reference()).await.expect("the actor starts");
    }
    operator.link(&echo.id, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/before").await;

    let load = tokio::spawn(async move {
        let mut failures = Vec::new();
        for _ in 0..300 {
            match try_get(address, "/load").await {
                Ok(answer) if answer.status.is_success() => {}
                other => failures.push(format!("{other:?}")),
            }
        }
        failures
    });
    lattice.process("b").kill().await;
    eventually_within(SOON, "host B gone", || async {
        let hosts: Vec<_> = match operator.hosts().await {
            Ok(hosts) => hosts.iter().map(|host| host.id).collect(),
            Err(error) => return Err(error.to_string()),
        };
        if hosts == [a] { Ok(()) } else { Err(format!("{hosts:?}")) }
    })
    .await;
    assert_eq!(load.await.expect("the load runs to its end"), Vec::<String>::new());
}

/// A host process with a provider and an actor that answers.
async fn serving() -> Option<(TestLattice, Signer, SocketAddr)> {
    let lattice = TestLattice::start_processes(["a"]).await?;
    let (operator, signer, address) = (lattice.operator().await, Signer::default(), free_address());
    let a = lattice.id("a");
    let provider = operator.start_provider(&a, PROVIDER).await.expect("the provider starts");
    let actor = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("the actor starts");
    operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/before").await;
    Some((lattice, signer, address))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_leaves_no_port() {
    let Some((mut lattice, _signer, address)) = serving().await else { return };
    lattice.process("a").kill().await;
    is_free(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_takes_up_its_work_when_it_returns() {
    let Some((mut lattice, _signer, address)) = serving().await else { return };
    let a = lattice.id("a");
    lattice.process("a").kill().await;
    lattice.start_again("a").await;
    assert_eq!(lattice.id("a"), a, "the same host");
    assert!(get(address, "/again").await.contains("/again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_provider_process_is_started_again_with_its_links() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer, address) = (lattice.operator().await, Signer::default(), free_address());
    let a = lattice.id("a");
    let par = signer.provider(&fs::read(provider_program()).expect("the program"), HTTPSERVER);
    let provider = operator.start_provider(&a, &par.reference()).await.expect("the process starts");
    assert_eq!(provider, par.id);
    let actor = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("the actor starts");
    operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the process takes the link");
    assert!(get(address, "/before").await.contains("/before"));

    let state_dir = lattice.host("a").state_dir.clone();
    let [pid] = running_from(&state_dir)[..] else { panic!("one provider process runs") };
    kill_process(pid, Signal::KILL).expect("it runs");
    eventually("another process", || {
        let running = running_from(&state_dir);
        std::future::ready(if running.len() == 1 && running[0] != pid { Ok(()) } else { Err(format!("{running:?}")) })
    })
    .await;
    assert!(get(address, "/after").await.contains("/after"));
    assert_eq!(operator.inventory(&a).await.providers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_leaves_no_provider_process() {
    let Some(mut lattice) = TestLattice::start_processes(["a"]).await else { return };
    let (operator, signer, address) = (lattice.operator().await, Signer::default(), free_address());
    let a = lattice.id("a");
    let par = signer.provider(&fs::read(provider_program()).expect("the program"), HTTPSERVER);
    let provider = operator.start_provider(&a, &par.reference()).await.expect("the process starts");
    let actor = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("the actor starts");
    operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the process takes the link");
    let state_dir = lattice.host("a").state_dir.clone();
    assert_eq!(running_from(&state_dir).len(), 1);

    lattice.process("a").kill().await;
    eventually_within(SOON, "no provider process", || {
        let running = running_from(&state_dir);
        std::future::ready(if running.is_empty() { Ok(()) } else { Err(format!("{running:?}")) })
    })
    .await;
    is_free(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_stopped_in_order_takes_its_provider_processes_along() {
    let Some(mut lattice) = TestLattice::start_processes(["a"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let par = signer.provider(&fs::read(provider_program()).expect("the program"), HTTPSERVER);
    operator.start_provider(&lattice.id("a"), &par.reference()).await.expect("the process starts");
    let state_dir = lattice.host("a").state_dir.clone();
    assert_eq!(running_from(&state_dir).len(), 1);
    lattice.stop("a").await;
    assert!(running_from(&state_dir).is_empty(), "awaited before the host ends");
}
