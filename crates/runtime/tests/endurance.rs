//! Many loads, many guests: memory stays where it was. The short versions always run; the long ones are `#[ignore]`d,
//! and print figures (`cargo test --release -p runtime --test endurance -- --ignored --nocapture`).

#![cfg(target_os = "linux")]

mod support;

use std::{
    fs,
    time::{Duration, Instant},
};

use bytes::Bytes;
use runtime::{CodeCacheConfig, Guest, Runtime, RuntimeConfig};
use support::{ECHO, call, identity, limits};

const KIB: u64 = 1 << 10;
const PATIENCE: Duration = Duration::from_secs(300);
/// Long enough for all guests of a test to be loaded, so that all of them are unloaded together.
const LOOK: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 2 });

/// Memory of this process in bytes: all of it, and what of it is not backed by a file.
fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").expect("readable");
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    (kib("VmRSS:") * KIB, kib("RssAnon:") * KIB)
}

struct World {
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let code_cache = Some(CodeCacheConfig { dir: dir.path().to_owned(), max_bytes: 1 << 30 });
        let unload_code_after = Some(LOOK);
        let config = RuntimeConfig { code_cache, unload_code_after, max_instances: 16, ..RuntimeConfig::default() };
        Self { runtime: Runtime::new(&config).expect("an engine"), _dir: dir }
    }

    async fn load(&self, wasm: Bytes) -> Guest {
        self.runtime.load(wasm, identity(), limits()).await.expect("loads")
    }

    /// Loads, calls once, unloads.
    async fn visit(&self, wasm: Bytes) {
        let guest = self.load(wasm).await;
        assert_eq!(call(&guest, b"hello").await.expect("answers"), "hello");
    }
}

fn module(number: usize) -> Bytes {
    numbered(&wat::parse_str(ECHO).expect("valid text"), number)
}

fn component(number: usize) -> Bytes {
    numbered(include_bytes!("guests/http.wasm"), number)
}

/// The same wasm as another artifact: with a custom section of its own.
fn numbered(wasm: &[u8], number: usize) -> Bytes {
    let number = format!("{number:08}");
    [wasm, &[0, 10, 1, b'n'], number.as_bytes()].concat().into()
}

async fn come_and_go(times: usize, different: usize, slack: u64) {
    let world = World::new();
    let begun = Instant::now();
    for number in 0..times / 10 {
        world.visit(module(number % different)).await;
    }
    let before = resident();
    for number in times / 10..times {
        world.visit(module(number % different)).await;
    }
    let after = resident();
    println!("{times} loads, calls and unloads in {:.1?}: resident {before:?}, then {after:?}", begun.elapsed());
    assert!(after.0 <= before.0 + slack, "from {before:?} to {after:?}");
}

async fn loaded_and_idle(what: &str, count: usize, wasm: impl Fn(usize) -> Bytes, budget: u64) {
    let world = World::new();
    // Whatever is needed once.
    let mut guests = vec![world.load(wasm(0)).await];
    let (before, begun) = (resident(), Instant::now());
    for number in 1..=count {
        guests.push(world.load(wasm(number)).await);
    }
    let loaded = resident();
    let each = |(all, anonymous): (u64, u64)| {
        let each = |after: u64, before: u64| after.saturating_sub(before) / count as u64;
        (each(all, before.0), each(anonymous, before.1))
    };
    // Memory is given back after the last of them was let go of.
    while guests.iter().any(Guest::has_code_in_memory) || each(resident()).1 > budget {
        assert!(begun.elapsed() < PATIENCE, "{:?} bytes each", each(resident()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (when, (all, anonymous)) in [("loaded", each(loaded)), ("idle", each(resident()))] {
        println!("{count} {when} {what}s: {} KiB each, {} KiB of it not in files", all / KIB, anonymous / KIB);
    }
    drop(guests);
}

#[tokio::test]
async fn three_hundred_loads_in_a_row_leave_nothing_behind() {
    come_and_go(300, 300, 16 << 20).await;
}

#[tokio::test]
async fn fifty_idle_guests_are_small() {
    loaded_and_idle("module", 50, module, 64 * KIB).await;
    loaded_and_idle("component", 50, component, 64 * KIB).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn ten_thousand_loads_in_a_row_leave_nothing_behind() {
    come_and_go(10_000, 100, 8 << 20).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn a_thousand_idle_guests_are_within_their_budget() {
    loaded_and_idle("module", 1000, module, 64 * KIB).await;
    loaded_and_idle("component", 1000, component, 64 * KIB).await;
}
