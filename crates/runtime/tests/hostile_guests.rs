//! The guests in `guests/hostile`, modules and components: each ends as the table says, and afterwards everything is as
//! it was. What needs an operand per function is in `hostile.rs`; what needs `wasi:http` is in `components.rs`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::{CallError, httpserver::HANDLE_REQUEST};
use futures_util::future::join_all;
use runtime::{CallContext, Guest, GuestLimits, Limit, Outbound, OutboundCall};
use support::{call, eventually, limits, load_with, neighbour_answers, within};

/// Where a call must end; the text is part of the error's sentence.
const GUESTS: &[(&str, &str, &str)] = &[
    ("after_failure", "reported", "failed on purpose"),
    ("bad_utf8", "trap", "namespace is not UTF-8"),
    ("component_bad_pointer", "trap", "pointer"),
    ("component_bad_utf8", "trap", "utf-8"),
    ("component_bad_variant", "trap", "discriminant"),
    ("component_division", "trap", "integer divide by zero"),
    ("component_huge_length", "trap", "out of bounds"),
    ("component_loop_in_call", "deadline_exceeded", ""),
    ("component_loop_in_start", "deadline_exceeded", ""),
    ("component_memory", "limit_exceeded", "`memory_bytes` of 8388608"),
    ("component_recursion", "trap", "call stack exhausted"),
    ("component_table", "limit_exceeded", "`table_elements` of 1000"),
    ("component_unreachable", "trap", "unreachable"),
    ("division", "trap", "integer divide by zero"),
    ("host_calls", "limit_exceeded", "`host_calls_per_call` of 100"),
    ("huge_length", "limit_exceeded", "`payload_bytes` of 1048576"),
    ("log_flood", "deadline_exceeded", ""),
    ("loop_in_call", "deadline_exceeded", ""),
    ("loop_in_callback", "deadline_exceeded", ""),
    ("loop_in_start", "deadline_exceeded", ""),
    ("memory_one_step", "limit_exceeded", "`memory_bytes` of 8388608"),
    ("memory_small_steps", "limit_exceeded", "`memory_bytes` of 8388608"),
    ("nested_msgpack", "ok", ""),
    ("out_of_bounds", "trap", "outside of the guest's memory"),
    ("recursion", "trap", "call stack exhausted"),
    ("reentrant", "reported", "8"),
    ("start_calls_out", "ok", ""),
    ("table_growth", "limit_exceeded", "`table_elements` of 1000"),
    ("unreachable", "trap", "unreachable"),
];

/// Time for whatever computes without end.
const PATIENCE: Duration = Duration::from_millis(300);

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests/hostile")
}

async fn load(name: &str, limits: GuestLimits) -> Guest {
    let text = fs::read_to_string(directory().join(format!("{name}.wat"))).unwrap();
    load_with(&text, limits).await
}

/// Calls of a guest come back to it.
#[derive(Default)]
struct Back {
    guest: OnceLock<Guest>,
}

#[async_trait]
impl Outbound for Back {
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
        if call.operation == "fail" {
            return Err(CallError::Reported { message: "failed on purpose".to_owned() });
        }
        if call.operation != "again" {
            return Ok("done".into());
        }
        let guest = self.guest.get().expect("set before the first call");
        let back = Arc::new(Self { guest: OnceLock::from(guest.clone()) });
        let context = CallContext { deadline: call.deadline, trace: call.trace, outbound: back };
        guest.call(&call.operation, call.payload, context).await
    }
}

fn context_of(guest: &Guest, time: Duration) -> CallContext {
    CallContext { outbound: Arc::new(Back { guest: OnceLock::from(guest.clone()) }), ..within(time) }
}

/// One call; how it ended, as code and sentence.
async fn outcome(guest: &Guest, time: Duration) -> (String, String) {
    match guest.call("Test.Call", "argument".into(), context_of(guest, time)).await {
        Ok(_) => ("ok".to_owned(), String::new()),
        Err(error) => (error.code().to_owned(), error.to_string()),
    }
}

/// The pool of these tests is small, and some of them fill it.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The limits of these tests; a guest that calls itself must leave room for the neighbour.
fn limits_of(name: &str) -> GuestLimits {
    match name {
        "reentrant" => GuestLimits { max_concurrent: 8, queue: 0, ..limits() },
        _ => limits(),
    }
}

/// Every guest once, at the same time as a neighbour.
async fn run_all() {
    let mut wrong = Vec::new();
    for &(name, code, text) in GUESTS {
        let guest = load(name, limits_of(name)).await;
        let time = if code == "deadline_exceeded" { PATIENCE } else { Duration::from_secs(20) };
        let theirs = guest.clone();
        let hostile = tokio::spawn(async move { outcome(&theirs, time).await });
        neighbour_answers().await;
        let (ended, said) = hostile.await.unwrap_or_else(|error| panic!("{name}: {error}"));
        // Caller and callback have the same deadline; where the callback's end is noticed first, the caller reports it.
        let right = ended == code || name == "loop_in_callback" && said.contains("deadline exceeded");
        if !right || !said.contains(text) {
            wrong.push(format!("{name} ended as {ended}: {said}"));
        }
        eventually(name, || guest.running() == 0).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Memory of this process.
#[cfg(target_os = "linux")]
fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn every_guest_of_the_directory_is_in_the_table() {
    let files = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(files, GUESTS.iter().map(|(name, ..)| (*name).to_owned()).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hostile_guest_ends_as_the_table_says_and_leaves_nothing_behind() {
    let _alone = ONE_AT_A_TIME.lock().await;
    run_all().await;
    #[cfg(target_os = "linux")]
    {
        let before = resident_bytes();
        run_all().await;
        let after = resident_bytes();
        assert!(after < before + (48 << 20), "{before} bytes, then {after}");
    }
    eventually("all have ended", || support::runtime().running() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_instances_that_take_all_the_memory_they_can_get_give_it_back() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let guest = load("memory_small_steps", limits()).await;
    let all = (0..100).map(|_| {
        let guest = guest.clone();
        tokio::spawn(async move { outcome(&guest, Duration::from_secs(60)).await })
    });
    let all: Vec<_> = all.collect();
    neighbour_or_busy().await;
    for ended in join_all(all).await {
        let (code, said) = ended.unwrap();
        // The pool of these tests has fewer places than there are calls.
        assert!(code == "busy" || said.contains("`memory_bytes` of 8388608"), "{said}");
    }
    eventually("the end of them all", || guest.running() == 0).await;
    let broken = guest.breaches()[&Limit::Memory];
    assert!(broken >= 32, "{broken} of 100");
    neighbour_answers().await;
}

/// A neighbour is served, or told at once that the pool is full.
async fn neighbour_or_busy() {
    let neighbour = load_with(support::ECHO, limits()).await;
    match call(&neighbour, b"still here").await {
        Ok(answer) => assert_eq!(answer, "still here"),
        Err(error) => assert_eq!(error.code(), "busy"),
    }
}

#[tokio::test]
async fn what_a_guest_answers_over_http_may_be_nested_ten_thousand_deep() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let guest = load("nested_msgpack", limits()).await;
    assert_eq!(guest.call(HANDLE_REQUEST, Bytes::new(), support::context()).await.unwrap().len(), 10_000);
    let body = http_body_util::BodyExt::boxed_unsync(http_body_util::BodyExt::map_err(
        http_body_util::Empty::new(),
        |never| match never {},
    ));
    let error = guest.handle_http(http::Request::new(body), 1000, support::context()).await.err().unwrap();
    assert_eq!(error.code(), "malformed");
    neighbour_answers().await;
}

#[tokio::test]
async fn processor_time_has_a_limit_whatever_the_deadline() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for name in ["loop_in_call", "loop_in_start", "component_loop_in_call", "component_loop_in_start"] {
        let guest = load(name, GuestLimits { cpu_time: Duration::from_millis(50), ..limits() }).await;
        let (code, said) = outcome(&guest, Duration::from_secs(20)).await;
        assert_eq!(code, "limit_exceeded", "{name}");
        assert!(said.contains("`cpu_time` of 50ms"), "{said}");
        assert_eq!(guest.breaches(), BTreeMap::from([(Limit::CpuTime, 1)]));
    }
}

#[tokio::test]
async fn waiting_takes_no_processor_time() {
    let _alone = ONE_AT_A_TIME.lock().await;
    // Sleeps for a second by the monotonic clock.
    let text = r#"(module
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "_start")
        (i32.store (i32.const 16) (i32.const 1))
        (i64.store (i32.const 24) (i64.const 1000000000))
        (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))))"#;
    let guest = load_with(text, GuestLimits { cpu_time: Duration::from_millis(100), ..limits() }).await;
    assert_eq!(outcome(&guest, Duration::from_secs(20)).await, ("ok".to_owned(), String::new()));
}

#[tokio::test]
async fn log_lines_have_a_limit_for_each_call_and_for_each_second() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let guest = load("log_flood", GuestLimits { log_lines_per_second: 5, ..limits() }).await;
    outcome(&guest, PATIENCE).await;
    outcome(&guest, PATIENCE).await;
    let broken = guest.breaches();
    assert!(broken[&Limit::LogLinesPerSecond] >= 1, "{broken:?}");
    let guest = load("log_flood", GuestLimits { log_lines_per_call: 5, ..limits() }).await;
    outcome(&guest, PATIENCE).await;
    assert!(guest.breaches()[&Limit::LogLines] >= 1);
}

#[tokio::test]
async fn every_kind_of_breach_is_counted_for_its_actor_alone() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let own = GuestLimits { call_time: Duration::from_millis(50), ..limits() };
    for (name, limits, limit) in [
        ("memory_one_step", limits(), Limit::Memory),
        ("table_growth", limits(), Limit::Tables),
        ("host_calls", limits(), Limit::HostCalls),
        ("huge_length", limits(), Limit::Payload),
        ("loop_in_call", own, Limit::CallTime),
    ] {
        let (guest, neighbour) = (load(name, limits.clone()).await, load_with(support::ECHO, limits).await);
        outcome(&guest, Duration::from_secs(20)).await;
        outcome(&guest, Duration::from_secs(20)).await;
        assert_eq!(guest.breaches(), BTreeMap::from([(limit, 2)]), "{name}");
        call(&neighbour, b"x").await.unwrap();
        assert!(neighbour.breaches().is_empty());
    }
    let guest = load("loop_in_call", limits()).await;
    outcome(&guest, PATIENCE).await;
    assert!(guest.breaches().is_empty(), "the caller's deadline is no limit of the actor");
}

#[tokio::test]
async fn a_full_queue_is_counted() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let guest = load("loop_in_call", GuestLimits { max_concurrent: 1, queue: 0, ..limits() }).await;
    let theirs = guest.clone();
    let first = tokio::spawn(async move { outcome(&theirs, PATIENCE).await.0 });
    eventually("the first call", || guest.running() == 1).await;
    assert_eq!(outcome(&guest, PATIENCE).await.0, "busy");
    assert_eq!(guest.breaches(), BTreeMap::from([(Limit::Queue, 1)]));
    assert_eq!(first.await.unwrap(), "deadline_exceeded");
}
