//! Hostile references: what is no file, archives that lie, registries that drip. What the host takes for them, and what its
//! other work notices.

mod faults_support;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Write,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use artifacts::Digest;
use bytes::Bytes;
use faults_support::{LONG, any_link, figure};
use flate2::{Compression, write::GzEncoder};
use lattice::{
    LinkName,
    control::{ScaleActor, StartProvider},
    event::EventData,
};
use lattice_tests::{Actor, NatsServer, Operator, Signer, TestLattice, eventually_within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Someone whose calls have nothing to do with what goes on.
struct Neighbour {
    task: JoinHandle<()>,
    took: Arc<Mutex<Vec<Duration>>>,
}

impl Neighbour {
    async fn start(lattice: &TestLattice, operator: &Operator, signer: &Signer) -> Self {
        let actor = signer.actor(Actor::Echo);
        operator.start_actor(&lattice.id("a"), &actor.reference()).await.expect("it starts");
        let (caller, took) = (lattice.caller("a").within(LONG), Arc::<Mutex<Vec<Duration>>>::default());
        let seen = took.clone();
        let task = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                let answer = caller.call(&actor.id, "Test.Echo", Bytes::from_static(b"x")).await;
                assert_eq!(answer.expect("an answer"), "x");
                seen.lock().expect("no panic").push(began.elapsed());
                sleep(Duration::from_millis(10)).await; // the load is what is tested, not waited for
            }
        });
        Self { task, took }
    }

    /// How many calls were answered, and the time in which 99 of 100 were.
    fn end(self) -> (usize, Duration) {
        assert!(!self.task.is_finished(), "a call failed");
        self.task.abort();
        let mut took = self.took.lock().expect("no panic").clone();
        took.sort();
        (took.len(), took[(took.len() * 99 / 100).min(took.len() - 1)])
    }
}

/// The most memory a process ever had, MiB.
fn peak_mib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

async fn one_host(environment: &[(&str, &OsStr)]) -> Option<(TestLattice, Operator)> {
    let mut lattice = TestLattice::empty(NatsServer::start().await?);
    lattice.set_environment(environment);
    lattice.add_process("a").await;
    lattice.assemble().await;
    let operator = lattice.operator().await;
    Some((lattice, operator))
}

/// Sends all these starts at once and waits until each has failed; why, by reference.
async fn all_fail(
    lattice: &TestLattice,
    operator: &Operator,
    actors: Vec<String>,
    providers: Vec<String>,
) -> BTreeMap<String, String> {
    let (host, count) = (lattice.id("a"), actors.len() + providers.len());
    let mut events = operator.events().await;
    for actor_ref in actors {
        let command = ScaleActor { actor_ref, max_instances: 1, ..ScaleActor::default() };
        operator.control.scale_actor(&host, &command).await.expect("it is taken");
    }
    for provider_ref in providers {
        let command = StartProvider {
            provider_ref,
            link_name: LinkName::default(),
            annotations: BTreeMap::new(),
            configuration: None,
            host_id: String::new(),
        };
        operator.control.start_provider(&host, &command).await.expect("it is taken");
    }
    let mut failed = BTreeMap::new();
    while failed.len() < count {
        let event = timeout(Duration::from_secs(90), events.next()).await;
        let event = event.unwrap_or_else(|_| panic!("{} of {count} starts have ended", failed.len()));
        match event.expect("events go on").data {
            EventData::ActorScaleFailed(data) => drop(failed.insert(data.image_ref, data.error)),
            EventData::ProviderStartFailed(data) => drop(failed.insert(data.provider_ref, data.error)),
            EventData::ActorsStarted(_) | EventData::ProviderStarted(_) => panic!("something of it runs"),
            _ => {}
        }
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_hundred_starts_of_what_is_no_file_end_at_once_and_quote_nothing() {
    let Some((mut lattice, operator)) = one_host(&[]).await else { return };
    let signer = Signer::default();
    let neighbour = Neighbour::start(&lattice, &operator, &signer).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), mode).expect("a pipe");
    let secret = "root:$6$hunter2:19000:0:99999:7:::\n".repeat(40);
    fs::write(path("shadow"), &secret).expect("written");
    let targets = [path("pipe"), "/dev/zero".into(), "/proc/kmsg".into(), path("shadow"), directory.path().to_owned()];
    let links: Vec<String> = (0..700)
        .map(|number| {
            let link = path(&number.to_string());
            std::os::unix::fs::symlink(&targets[number % targets.len()], &link).expect("a link");
            link.display().to_string()
        })
        .collect();
    let (actors, providers) = links.split_at(350);
    let pid = lattice.process("a").pid();
    let (before, began) = (peak_mib(pid), Instant::now());
    let failed = all_fail(&lattice, &operator, actors.to_vec(), providers.to_vec()).await;
    let took = began.elapsed();
    for (reference, reason) in &failed {
        assert!(!reason.contains("hunter2") && !reason.contains("root:"), "{reference}: {reason}");
    }
    let said = |words: &str| failed.values().filter(|reason| reason.contains(words)).count();
    assert_eq!(
        (said("is a pipe"), said("is a device"), said("is a text file"), said("is a directory")),
        (140, 140, 140, 140)
    );

    // Everything else goes on, and the end as well.
    timeout(LONG, operator.control.put_link(&any_link())).await.expect("not held up").expect("taken");
    let (calls, p99) = neighbour.end();
    let grown = peak_mib(pid) - before;
    assert!(grown < 64, "{grown} MiB for nothing");
    let stopping = Instant::now();
    lattice.stop("a").await;
    let stopped = stopping.elapsed();
    assert!(stopped < Duration::from_secs(12), "{stopped:?}");
    figure(
        "700 starts of no file",
        &format!(
            "all refused in {took:.1?}; {grown} MiB more; {calls} calls of a neighbour, p99 {p99:.1?}; stop {stopped:.1?}"
        ),
    );
}

/// An archive of zeroes behind one header that may lie.
fn archive(kind: tar::EntryType, says: u64, zeroes: usize) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.as_mut_bytes()[..16].copy_from_slice(b"x86_64-linux.bin");
    header.set_size(says);
    header.set_cksum();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(header.as_bytes()).expect("packed");
    let piece = vec![0; 1 << 20];
    (0..zeroes).for_each(|_| packed.write_all(&piece).expect("packed"));
    packed.finish().expect("packed")
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_archives_that_lie_take_no_memory_and_little_time() {
    let Some((mut lattice, operator)) = one_host(&[]).await else { return };
    let signer = Signer::default();
    let neighbour = Neighbour::start(&lattice, &operator, &signer).await;
    let kinds = [
        archive(tar::EntryType::Regular, 900 << 20, 300),
        archive(tar::EntryType::Regular, 60 << 20, 300),
        archive(tar::EntryType::GNULongName, 200 << 20, 300),
        archive(tar::EntryType::XHeader, 200 << 20, 300),
    ];
    let size = kinds.iter().map(Vec::len).max().unwrap_or(0);
    let references: Vec<String> = (0..40)
        .map(|number| signer.write(&format!("{number}.par.gz"), &kinds[number % kinds.len()]).display().to_string())
        .collect();
    let pid = lattice.process("a").pid();
    let (before, began) = (peak_mib(pid), Instant::now());
    let failed = all_fail(&lattice, &operator, Vec::new(), references).await;
    let took = began.elapsed();
    let (calls, p99) = neighbour.end();
    let grown = peak_mib(pid) - before;
    assert!(failed.values().all(|reason| reason.contains("provider archive")), "{failed:?}");
    assert!(grown < 128, "{grown} MiB for archives of {size} bytes");
    figure(
        "40 archives that lie",
        &format!(
            "of up to {size} bytes; refused in {took:.1?}; {grown} MiB more; {calls} calls of a neighbour, p99 {p99:.1?}"
        ),
    );
}

/// A registry that has one actor under every name, whose bytes come at once or one a second.
async fn registry(actor: &Path, drips: bool) -> SocketAddr {
    let bytes = Bytes::from(fs::read(actor).expect("an actor"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, bytes.clone(), drips));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, actor: Bytes, drips: bool) -> std::io::Result<()> {
    let config = b"{}";
    let blob = |media_type: &str, bytes: &[u8]| serde_json::json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": blob(artifacts::ACTOR_CONFIG, config),
        "layers": [blob(artifacts::ACTOR_LAYER, &actor)],
    });
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await? > 0 {
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_blob = String::from_utf8_lossy(&request).contains("/blobs/");
        request.clear();
        let body = if is_blob { actor.clone() } else { manifest.to_string().into() };
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes()).await?;
        if !is_blob || !drips {
            stream.write_all(&body).await?;
            continue;
        }
        for byte in body {
            stream.write_all(&[byte]).await?;
            sleep(Duration::from_secs(1)).await; // this is the fault
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_drips_is_given_up_and_holds_up_neither_another_one_nor_the_stop() {
    let signer = Signer::default();
    let actor = signer.actor(Actor::Echo);
    let (slow, honest) = (registry(&actor.path, true).await, registry(&actor.path, false).await);
    let insecure = format!("{slow},{honest}");
    let environment = [("WASMCLOUD_OCI_ALLOWED_INSECURE", OsStr::new(&insecure))];
    let Some((mut lattice, operator)) = one_host(&environment).await else { return };
    let neighbour = Neighbour::start(&lattice, &operator, &signer).await;
    let pid = lattice.process("a").pid();
    let before = peak_mib(pid);
    let mut events = operator.events().await;
    let began = Instant::now();
    for number in 0..40 {
        let actor_ref = format!("{slow}/demo:{number}");
        let command = ScaleActor { actor_ref, max_instances: 1, ..ScaleActor::default() };
        operator.control.scale_actor(&lattice.id("a"), &command).await.expect("it is taken");
    }
    let honest = format!("{honest}/demo:1");
    let started = Instant::now();
    let id = timeout(LONG, operator.start_actor(&lattice.id("a"), &honest)).await.expect("held up").expect("it starts");
    let held_up = started.elapsed();
    assert_eq!(id, actor.id);
    let reason = loop {
        let event = timeout(Duration::from_secs(60), events.next()).await.expect("the slow one is given up");
        // Those in line find the artifact in the cache by then, and the actor running from the other registry.
        if let EventData::ActorScaleFailed(data) = event.expect("events go on").data
            && !data.error.contains("different image reference")
        {
            break data.error;
        }
    };
    let given_up = began.elapsed();
    assert!(reason.contains("too slow"), "{reason}");
    let (calls, p99) = neighbour.end();
    let grown = peak_mib(pid) - before;
    let stopping = Instant::now();
    lattice.stop("a").await;
    let stopped = stopping.elapsed();
    assert!(stopped < Duration::from_secs(12), "{stopped:?}");
    figure(
        "40 starts from a registry that sends a byte a second",
        &format!(
            "given up after {given_up:.1?}; the same artifact from another one after {held_up:.1?}; {grown} MiB more; \
             {calls} calls of a neighbour, p99 {p99:.1?}; stop meanwhile {stopped:.1?}"
        ),
    );
    eventually_within(LONG, "a host that is gone", || async {
        if Path::new(&format!("/proc/{pid}")).exists() { Err("there") } else { Ok(()) }
    })
    .await;
}
