//! Every rule is needed: without it, a run shows what is lost.

use std::thread;

use super::{history::History, plan::Plan, run};
use crate::rules::{Rule, without};

/// Seeds that are tried for one rule.
const SEEDS: u64 = 20_000;

/// The first seed that misses a rule, and what it misses. With the rule, it passes.
fn first_that_misses(rule: Rule) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let plan = Plan::of(seed);
        let missed = without(rule, || run(&plan, &History::default())).err()?;
        run(&plan, &History::default()).is_ok().then_some((seed, missed))
    })
}

/// For each rule, on every processor.
fn side_by_side() -> Vec<Option<(u64, String)>> {
    thread::scope(|scope| {
        let working: Vec<_> = Rule::ALL.map(|rule| scope.spawn(move || first_that_misses(rule))).into();
        working.into_iter().map(|missed| missed.join().expect("a run does not panic")).collect()
    })
}

#[test]
fn every_rule_is_needed() {
    let mut unneeded = Vec::new();
    let missed = side_by_side();
    for (rule, missed) in Rule::ALL.into_iter().zip(missed) {
        match missed {
            Some((seed, missed)) => println!("{rule:?}: seed {seed}: {missed}"),
            None => unneeded.push(rule),
        }
    }
    assert!(unneeded.is_empty(), "no run of {SEEDS} misses these rules: {unneeded:?}");
}
