//! What the actor may do wrong: each ends its own call with an error that says what it was, and nobody else's.

use std::time::{Duration, Instant};

use contracts::CallError;
use http_body_util::BodyExt;
use lattice_tests::Actor;
use runtime::{GuestLimits, Limit, Runtime, RuntimeConfig};

use crate::world::{ask, context, eventually, identity, limits, load, said, wasm, within};

async fn failed(path: &str, limits: GuestLimits, time: Duration) -> CallError {
    let guest = load(limits).await;
    let began = Instant::now();
    let error = match ask(&guest, path, within(time)).await {
        Err(error) => error,
        Ok(answer) => panic!("`{path}` answered {}", answer.status()),
    };
    assert!(began.elapsed() < Duration::from_secs(10), "`{path}` took {:?}", began.elapsed());
    eventually("the end of the call", || guest.running() == 0).await;
    assert_eq!(said(&load(super::world::limits()).await, "/").await, "hello from a component of WASI 0.3: /\n");
    error
}

const SOON: Duration = Duration::from_millis(300);
const LATER: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_ends_at_its_deadline_or_with_its_processor_time() {
    assert_eq!(failed("/spin", limits(), SOON).await.code(), "deadline_exceeded");
    let limits = GuestLimits { cpu_time: Duration::from_millis(50), ..limits() };
    let error = failed("/spin", limits, LATER).await;
    assert!(error.to_string().contains("`cpu_time`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_never_answers_ends_at_the_deadline() {
    assert_eq!(failed("/never", limits(), SOON).await.code(), "deadline_exceeded");
    assert_eq!(failed("/busy", limits(), SOON).await.code(), "deadline_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_everything_else_that_can_be_hoarded_is_bounded() {
    let error = failed("/memory", limits(), LATER).await;
    assert!(error.to_string().contains("`memory_bytes`"), "{error}");
    for path in ["/handles", "/streams", "/tasks"] {
        let error = failed(path, limits(), LATER).await;
        assert!(error.to_string().contains("`component_handles`"), "`{path}`: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_told_as_one() {
    let error = failed("/trap", limits(), LATER).await;
    assert_eq!(error.code(), "trap", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_counted() {
    let guest = load(GuestLimits { cpu_time: Duration::from_millis(100), ..limits() }).await;
    let error = ask(&guest, "/log", context()).await.expect_err("no answer");
    assert!(error.to_string().contains("`cpu_time`"), "{error}");
    let breaches = guest.breaches();
    assert_eq!(breaches.get(&Limit::CpuTime), Some(&1));
    assert!(breaches[&Limit::LogLines] > 0, "{breaches:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_short_does_not_look_complete() {
    let guest = load(limits()).await;
    for (path, time) in [("/cut", LATER), ("/unfinished", SOON)] {
        let answer = match ask(&guest, path, within(time)).await {
            Ok(answer) => answer,
            // It failed before anything of its answer had left.
            Err(error) => {
                assert_eq!((path, error.code()), ("/cut", "trap"));
                continue;
            }
        };
        let mut body = answer.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "the beginning");
        assert!(body.frame().await.unwrap().is_err(), "`{path}` is not complete");
        eventually("the end of the call", || guest.running() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_reading_stops_the_guest() {
    let guest = load(limits()).await;
    let answer = ask(&guest, "/unfinished", context()).await.expect("the head is out");
    assert_eq!(guest.running(), 1);
    drop(answer);
    eventually("the end of the guest", || guest.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_instances_than_there_are_places() {
    let config = RuntimeConfig { max_instances: 8, wasi_p3: true, ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).unwrap();
    let load = || runtime.load(wasm(Actor::P3), identity(&[]), GuestLimits { queue: 0, ..limits() });
    let (guest, full) = (load().await.unwrap(), load().await.unwrap());
    let places = runtime.newer_reservation().expect("it was made").max_instances;
    assert_eq!(places, 4);
    let mut answers = Vec::new();
    let busy = loop {
        match ask(&full, "/unfinished", context()).await {
            Ok(answer) => answers.push(answer),
            Err(error) => break error,
        }
        assert!(answers.len() <= places as usize);
    };
    assert_eq!(busy.code(), "busy");
    drop(answers);
    eventually("their end", || full.running() == 0).await;
    assert!(said(&guest, "/").await.starts_with("hello"));
}
