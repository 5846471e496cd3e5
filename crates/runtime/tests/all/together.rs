//! What all guests have together: places, memory. Who has less than others gets what it needs, and nobody all of it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use contracts::CallError;
use runtime::{CallContext, Guest, GuestLimits, Outbound, OutboundCall, Runtime, RuntimeConfig};
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{Duration, Instant},
};

use crate::support::{self, ACTOR, ECHO, context, identity, load, within};

/// Grows its memory by so many pages, or traps; then calls out.
const GROWS: &str = r#"(module
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (if (i32.eq (memory.grow (i32.const PAGES)) (i32.const -1)) (then unreachable))
    (drop (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)
      (i32.const 0) (i32.const 0)))
    (i32.const 1)))"#;

struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

#[async_trait]
impl Outbound for Gate {
    async fn call(&self, _call: OutboundCall) -> Result<Bytes, CallError> {
        self.arrived.add_permits(1);
        self.open.acquire().await.expect("never closed").forget();
        Ok(Bytes::new())
    }
}

impl Gate {
    /// Waits until so many guests have come to it.
    async fn arrivals(&self, count: u32) {
        let arrived = tokio::time::timeout(Duration::from_secs(20), self.arrived.acquire_many(count)).await;
        arrived.expect("they come to the gate").unwrap().forget();
    }

    fn new() -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), open: Semaphore::new(0) })
    }

    fn start(self: &Arc<Self>, guest: &Guest) -> JoinHandle<Result<Bytes, CallError>> {
        let (guest, outbound) = (guest.clone(), self.clone());
        tokio::spawn(async move { guest.call("x", Bytes::new(), CallContext { outbound, ..context() }).await })
    }
}

async fn load_in(runtime: &Runtime, text: &str, pages: u32) -> Guest {
    let wasm = wat::parse_str(text.replace("PAGES", &pages.to_string())).unwrap();
    let limits = GuestLimits { memory_bytes: 64 << 20, queue: 0, idle_instances: 0, ..support::limits() };
    runtime.load(wasm.into(), identity(), limits).await.unwrap()
}

async fn answers(guest: &Guest) {
    assert_eq!(guest.call("x", "hi".into(), context()).await.unwrap(), "hi");
}

#[tokio::test]
async fn an_actor_leaves_places_to_others_and_is_told_so_before_anything_began() {
    let runtime = Runtime::new(&RuntimeConfig { max_instances: 16, ..RuntimeConfig::default() }).unwrap();
    let (greedy, neighbour) = (load_in(&runtime, GROWS, 0).await, load_in(&runtime, ECHO, 0).await);
    let gate = Gate::new();
    let calls: Vec<_> = (0..12).map(|_| gate.start(&greedy)).collect();
    gate.arrivals(12).await;
    let error = gate.start(&greedy).await.unwrap().unwrap_err();
    assert_eq!(error.code(), "busy");
    assert!(error.turned_away_by(ACTOR), "another host may be asked");
    assert!(error.to_string().contains("is left to other actors"), "{error}");
    answers(&neighbour).await;
    // With nobody else there it may have the rest.
    drop(neighbour);
    let more: Vec<_> = (0..4).map(|_| gate.start(&greedy)).collect();
    gate.arrivals(4).await;
    gate.open.add_permits(16);
    for call in calls.into_iter().chain(more) {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn memory_of_all_guests_has_a_bound_that_ends_the_greedy_and_spares_the_others() {
    const ALL: u64 = 128 << 20;
    let config = RuntimeConfig { max_instances: 64, guest_memory_bytes: Some(ALL), ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).unwrap();
    let (greedy, neighbour) = (load_in(&runtime, GROWS, 256).await, load_in(&runtime, ECHO, 0).await);
    let gate = Gate::new();
    let calls: Vec<_> = (0..5).map(|_| gate.start(&greedy)).collect();
    gate.arrivals(5).await;
    let error = gate.start(&greedy).await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::NoRoom { begun: true, what, .. } if what.contains("128 MiB")), "{error}");
    assert!(runtime.guest_memory().0 <= ALL / 4 * 3);
    answers(&neighbour).await;
    gate.open.add_permits(5);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(runtime.guest_memory(), (0, ALL));
    gate.open.add_permits(1);
    gate.start(&greedy).await.unwrap().expect("there is room again");
}

#[tokio::test]
async fn who_does_not_fit_waits_for_room_up_to_its_deadline() {
    let config = RuntimeConfig { max_instances: 64, guest_memory_bytes: Some(128 << 20), ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).unwrap();
    let greedy = load_in(&runtime, GROWS, 758).await;
    let gate = Gate::new();
    let (first, second) = (gate.start(&greedy), gate.start(&load_in(&runtime, GROWS, 750).await));
    gate.arrivals(2).await;
    assert!(runtime.guest_memory().0 > 94 << 20, "{:?}", runtime.guest_memory());
    let began = Instant::now();
    let error = greedy.call("x", Bytes::new(), within(Duration::from_millis(100))).await.unwrap_err();
    assert!(error.turned_away_by(ACTOR) && error.code() == "busy", "{error}");
    assert!(began.elapsed() >= Duration::from_millis(100));
    let waiting = gate.start(&greedy);
    gate.open.add_permits(3);
    for call in [first, second, waiting] {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_a_guest_says_of_its_failure_is_bounded_and_cleaned() {
    // Sixty megabytes of `\x1b`.
    let error = r#"(module
      (import "wasmbus" "__guest_error" (func $error (param i32 i32)))
      (memory (export "memory") 962)
      (func (export "__guest_call") (param i32 i32) (result i32)
        (memory.fill (i32.const 0) (i32.const 27) (i32.const 63000000))
        (call $error (i32.const 0) (i32.const 63000000))
        (i32.const 0)))"#;
    let limits = GuestLimits { memory_bytes: 64 << 20, response_bytes: 128 << 20, ..support::limits() };
    let guest = support::load_with(error, limits).await;
    let CallError::Reported { message } = support::call(&guest, b"").await.unwrap_err() else { panic!("reported") };
    assert!(message.len() < 65 << 10, "{}", message.len());
    assert!(!message.contains(char::is_control) && message.starts_with('\u{FFFD}'));
    let traps = r#"(module (memory (export "memory") 1)
      (func $"\1b[31mred\07" unreachable)
      (func (export "__guest_call") (param i32 i32) (result i32) (call $"\1b[31mred\07") (i32.const 1)))"#;
    let error = support::call(&load(traps).await, b"").await.unwrap_err();
    assert_eq!(error.code(), "trap");
    assert!(error.to_string().contains("[31mred") && !error.to_string().contains(char::is_control), "{error:?}");
}

/// Fills all of its memory, and takes its time over it.
const FILLS: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32) (local $n i32)
    (if (i32.eq (memory.grow (i32.const 958)) (i32.const -1)) (then unreachable))
    (loop $again
      (memory.fill (i32.const 0) (local.get $n) (i32.const 62000000))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $n) (i32.const 20))))
    (i32.const 1)))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures for docs/faults.md; takes 1.5 GiB"]
async fn figures_of_300_calls_that_fill_their_memory() {
    let config = RuntimeConfig { guest_memory_bytes: Some(2 << 30), ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).unwrap();
    let (greedy, neighbour) = (load_in(&runtime, FILLS, 0).await, load_in(&runtime, ECHO, 0).await);
    let began = Instant::now();
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let greedy = greedy.clone();
            tokio::spawn(async move { greedy.call("x", Bytes::new(), context()).await.map(drop) })
        })
        .collect();
    let mut times = Vec::new();
    while !calls.iter().all(JoinHandle::is_finished) {
        let one = Instant::now();
        answers(&neighbour).await;
        times.push(one.elapsed());
        tokio::task::yield_now().await;
    }
    times.sort();
    let mut ended = std::collections::BTreeMap::new();
    for call in calls {
        let code = call.await.unwrap().map_or_else(|error| error.code().to_owned(), |()| "answered".to_owned());
        *ended.entry(code).or_insert(0) += 1;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let p99 = times[times.len() * 99 / 100];
    println!("FIGURE {ended:?} in {:?}; neighbour: {} calls, p99 {p99:?}; {peak}", began.elapsed(), times.len());
}
