//! The tests: many seeds, one seed, and what becomes of a seed that shows a fault.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::{
    history::History,
    plan::{Plan, Step},
    run,
};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 10_000;
/// Seeds of a full one.
const ALL_SEEDS: u64 = 1_000_000;

/// What a seed leads to, if it is a fault: what is wrong, the smallest plan that shows it, and what happened in it.
fn fault(seed: u64) -> Option<String> {
    let plan = Plan::of(seed);
    let error = run(&plan, &History::default()).err()?;
    let small = plan.smallest(|plan| run(plan, &History::default()).is_err());
    let history = History::with_trace();
    let found = run(&small, &history).err().unwrap_or(error);
    let Plan { shape, steps, .. } = &small;
    let steps: Vec<String> = steps.iter().map(|(at, step): &(u64, Step)| format!("  {at:>6} ms  {step:?}")).collect();
    let (steps, trace) = (steps.join("\n"), history.trace().join("\n"));
    Some(format!("SEED={seed}: {found}\n{shape:?}\n{steps}\nwhat happened:\n{trace}"))
}

/// Runs seeds on every processor; the smallest one that shows a fault.
fn first_fault(seeds: std::ops::Range<u64>) -> Option<u64> {
    let (next, first) = (AtomicU64::new(seeds.start), AtomicU64::new(u64::MAX));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || seed > first.load(Ordering::Relaxed) {
                return;
            }
            if run(&Plan::of(seed), &History::default()).is_err() {
                first.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    Some(first.into_inner()).filter(|seed| *seed < u64::MAX)
}

fn all_pass(seeds: std::ops::Range<u64>) {
    if let Some(seed) = first_fault(seeds) {
        panic!("{}", fault(seed).unwrap_or_else(|| format!("SEED={seed} failed once and not again")));
    }
}

#[test]
fn replicas_agree_and_lose_nothing_whatever_happens() {
    all_pass(0..SEEDS);
}

#[test]
#[ignore = "a million seeds take many minutes: `cargo xtask test --full` runs them"]
fn a_million_seeds() {
    all_pass(SEEDS..ALL_SEEDS);
}

/// With `SEED` in the environment that one, and what happened in it; without, a seed runs twice and the same way.
#[test]
fn one_seed() {
    let named = std::env::var("SEED").ok();
    let seed = named.as_deref().map_or(1, |seed| seed.parse().expect("`SEED` is a number"));
    let trace = || {
        let history = History::with_trace();
        let outcome = run(&Plan::of(seed), &history);
        (history.trace(), outcome)
    };
    let (first, second) = (trace(), trace());
    assert_eq!(first, second, "the same seed is the same run");
    if named.is_some() {
        println!("{}\n{:?}", first.0.join("\n"), first.1);
        assert!(first.1.is_ok(), "{}", fault(seed).unwrap_or_default());
    }
}
