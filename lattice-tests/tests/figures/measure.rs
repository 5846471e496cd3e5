//! A host process under attack: its memory with that of its children, and the calls of a neighbour.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::ActorId;
use lattice_tests::{Actor, Caller, NatsServer, Operator, Signer, TestLattice};
use tokio::{task::JoinHandle, time::sleep};

/// Longer than a neighbour waits for anything here.
pub const LONG: Duration = Duration::from_secs(120);
/// How long a neighbour is looked at while nothing else goes on.
const QUIET: Duration = Duration::from_secs(3);
/// Between two calls of the neighbour.
const PAUSE: Duration = Duration::from_millis(5);

/// One host with one well-behaved actor.
pub struct Scene {
    pub lattice: TestLattice,
    pub operator: Operator,
    pub signer: Signer,
    pub pid: i32,
    neighbour: ActorId,
    quiet: Times,
    before: u64,
}

impl Scene {
    /// With these settings in the environment of the host; none without a nats-server.
    pub async fn new(settings: &[(&str, &str)]) -> Option<Self> {
        let mut lattice = TestLattice::empty(NatsServer::start().await?);
        let settings: Vec<(&str, OsString)> = settings.iter().map(|(name, value)| (*name, value.into())).collect();
        let settings: Vec<(&str, &OsStr)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
        lattice.set_environment(&settings);
        lattice.add_process("a").await;
        lattice.assemble().await;
        let (operator, signer) = (lattice.operator().await, Signer::default());
        let echo = signer.actor(Actor::Echo);
        let neighbour = operator.start_actor(&lattice.id("a"), &echo.reference()).await.expect("it starts");
        let pid = lattice.process("a").pid();
        let calls = Calls::start(lattice.caller("a"), neighbour);
        sleep(QUIET).await; // what is looked at
        let (quiet, before) = (calls.end().await, memory(pid));
        Some(Self { lattice, operator, signer, pid, neighbour, quiet, before })
    }

    /// Carries out an attack. What it took, and what it led to.
    pub async fn attack<T>(&self, attack: impl Future<Output = T>) -> (Cost, T) {
        let (peak, calls) = (Peak::of(self.pid), Calls::start(self.lattice.caller("a"), self.neighbour));
        let began = Instant::now();
        let led_to = attack.await;
        let took = began.elapsed();
        let (before, quiet) = (self.before, self.quiet);
        (Cost { before, peak: peak.end().await, took, quiet, attacked: calls.end().await }, led_to)
    }
}

/// What an attack took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Memory of the host and its children before it, and the most of it, in MiB.
    pub before: u64,
    pub peak: u64,
    took: Duration,
    quiet: Times,
    attacked: Times,
}

impl Cost {
    /// The line for people.
    pub fn tell(&self, attack: &str, led_to: &str) {
        let Self { before, peak, took, quiet, attacked } = self;
        println!(
            "figure: {attack}: {took:.1?}; memory {before} MiB before, {peak} MiB at peak; neighbour quiet {quiet}, \
             under attack {attacked}; {led_to}"
        );
    }

    /// The most that the host grew, in MiB.
    pub fn grown(&self) -> u64 {
        self.peak.saturating_sub(self.before)
    }

    /// How many calls of the neighbour were answered meanwhile.
    pub fn answered(&self) -> usize {
        self.attacked.count
    }
}

/// How long calls took.
#[derive(Debug, Clone, Copy)]
struct Times {
    count: usize,
    half: Duration,
    most: Duration,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        Self { count: times.len(), half: at(50), most: at(99) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1?} p99 {:.1?} of {}", self.half, self.most, self.count)
    }
}

/// A neighbour that calls, one call after another. A call that fails is a panic.
struct Calls {
    task: JoinHandle<Vec<Duration>>,
    end: tokio::sync::oneshot::Sender<()>,
}

impl Calls {
    fn start(caller: Caller, actor: ActorId) -> Self {
        let (end, mut ended) = tokio::sync::oneshot::channel();
        let caller = caller.within(LONG);
        let task = tokio::spawn(async move {
            let mut times = Vec::new();
            while ended.try_recv().is_err() {
                let began = Instant::now();
                let answer = caller.call(&actor, "Test.Echo", Bytes::from_static(b"x")).await;
                assert_eq!(answer.expect("a neighbour is served"), "x");
                times.push(began.elapsed());
                sleep(PAUSE).await; // the pace is part of what is measured
            }
            times
        });
        Self { task, end }
    }

    async fn end(self) -> Times {
        self.end.send(()).expect("it still calls");
        Times::of(self.task.await.expect("no call failed"))
    }
}

/// Looks at the memory of a process and all below it, from time to time.
struct Peak {
    most: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Peak {
    fn of(pid: i32) -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let seen = most.clone();
        let task = tokio::task::spawn(async move {
            loop {
                seen.fetch_max(memory(pid), Relaxed);
                sleep(Duration::from_millis(20)).await; // a sample
            }
        });
        Self { most, task }
    }

    async fn end(self) -> u64 {
        self.task.abort();
        self.most.load(Relaxed)
    }
}

/// Memory of a process and of all below it, in MiB.
pub fn memory(pid: i32) -> u64 {
    let of_one = |pid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        line.unwrap_or(0_u64)
    };
    (of_one(pid) + below(pid).into_iter().map(of_one).sum::<u64>()) / 1024
}

/// The children of a process, and theirs.
fn below(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let children: Vec<i32> = children
        .flat_map(|line| line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    let further: Vec<i32> = children.iter().flat_map(|child| below(*child)).collect();
    [children, further].concat()
}
