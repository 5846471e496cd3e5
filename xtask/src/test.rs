//! `cargo xtask test`: every test of the workspace, with what the tests need.
//!
//! Cargo's output streams through unchanged; this command adds the environment before it and the sum after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use test_needs::Skip;

use crate::{
    actors::{self, ACTORS},
    fuzz, guests, nats_server, tools, workspace,
};

/// Flags of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tools: tools::Args,
    /// Also the tests that take minutes (those marked `#[ignore]`), and each fuzz target for half a minute.
    #[arg(long)]
    full: bool,
    /// Passed on to `cargo test`: `cargo xtask test -- --package claims`, `cargo xtask test -- -- --nocapture`.
    #[arg(last = true)]
    cargo: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When tools cannot be provided, something does not build, or a test fails.
pub fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    let tools = tools::provide_for_tests(&args.tools)?;
    actors::build()?;
    let (selection, harness) = split(&args.cargo);
    let guests = if runs_guests(&selection) { guests::build_for_tests()? } else { Vec::new() };
    workspace::build_everything()?;
    let built = started.elapsed();

    let mut cargo = workspace::cargo(workspace::root());
    cargo.arg("test").args(&selection).args(["--no-fail-fast", "--"]).args(harness).stdout(Stdio::piped());
    if args.full {
        cargo.arg("--include-ignored");
    }
    cargo.env(nats_server::VARIABLE, &tools.nats_server.path);
    cargo.env(workspace::BUILT, "1");
    let skipped = workspace::target_dir().join("skipped-tests");
    fs::write(&skipped, "").with_context(|| format!("cannot write `{}`", skipped.display()))?;
    cargo.env(test_needs::LIST, &skipped);
    for actor in ACTORS {
        cargo.env(actor.variable, actor.path());
    }
    for guest in guests {
        cargo.env(guest.variable, guest.path());
    }
    println!("$ {}", workspace::shown(&cargo));
    let started = Instant::now();
    let mut child = cargo.spawn().context("cannot run cargo")?;
    let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
    let mut sum = Sum::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read what cargo says")?;
        println!("{line}");
        sum.add(&line);
    }
    let status = child.wait().context("cannot wait for cargo")?;
    let list = fs::read_to_string(&skipped).with_context(|| format!("cannot read `{}`", skipped.display()))?;
    let skipped = Skipped::of(&list);
    println!("{}", sum.closing_line(skipped.tests(), built, started.elapsed()));
    print!("{}", skipped.lines());
    if !status.success() || sum.failed > 0 {
        bail!("some tests failed");
    }
    if args.full {
        fuzz::run(&fuzz::Args::short())?;
    }
    Ok(())
}

/// What is for cargo, everything unless packages are named, and what is for the test programs.
fn split(args: &[String]) -> (Vec<&str>, Vec<&str>) {
    let mut args = args.iter().map(String::as_str);
    let mut selection: Vec<&str> = args.by_ref().take_while(|arg| *arg != "--").collect();
    if !selection.iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package")) {
        selection.insert(0, "--workspace");
    }
    (selection, args.collect())
}

/// Whether the tests of `lattice-tests` are among them, which run the guests in other languages.
fn runs_guests(selection: &[&str]) -> bool {
    selection.iter().any(|arg| *arg == "--workspace" || arg.ends_with("lattice-tests"))
}

/// The closing lines of all suites, added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    suites: u32,
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Sum {
    /// Adds a line of the form `test result: ok. 3 passed; 0 failed; 1 ignored; …`; other lines count nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        self.suites += 1;
        for count in counts.split(';') {
            let mut words = count.split_whitespace();
            let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<u32>), words.next()) else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// The harness knows no skips: a test that returned early counts among its passed ones, and not here.
    fn closing_line(&self, skipped: u32, build: Duration, run: Duration) -> String {
        let Self { suites, passed, failed, ignored } = self;
        format!(
            "total: {} tests in {suites} suites: {} passed, {failed} failed, {skipped} skipped, {ignored} ignored; \
             build {:.1} s, run {:.1} s",
            passed + failed + ignored,
            passed.saturating_sub(skipped),
            build.as_secs_f64(),
            run.as_secs_f64()
        )
    }
}

/// Tests that did not run, by what was missing.
#[derive(Debug, Default)]
struct Skipped(BTreeMap<String, BTreeSet<String>>);

impl Skipped {
    fn of(list: &str) -> Self {
        let mut skipped = Self::default();
        for skip in list.lines().filter_map(Skip::parse) {
            skipped.0.entry(skip.missing).or_default().insert(skip.test);
        }
        skipped
    }

    /// How many tests that are; one that misses several things is one.
    fn tests(&self) -> u32 {
        let tests: BTreeSet<&String> = self.0.values().flatten().collect();
        u32::try_from(tests.len()).unwrap_or(u32::MAX)
    }

    fn lines(&self) -> String {
        let line = |(missing, tests): (&String, &BTreeSet<String>)| {
            let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
            format!("skipped: {missing} is missing: {}\n", tests.join(", "))
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_tested_unless_packages_are_named() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(split(&[]), (vec!["--workspace"], vec![]));
        assert_eq!(split(&words("-p claims")), (vec!["-p", "claims"], vec![]));
        assert_eq!(split(&words("--lib -- --nocapture x")), (vec!["--workspace", "--lib"], vec!["--nocapture", "x"]));
    }

    #[test]
    fn guests_are_built_for_those_who_run_them_only() {
        assert!(runs_guests(&["--workspace", "--lib"]));
        assert!(runs_guests(&["--package", "lattice-tests"]));
        assert!(runs_guests(&["--package=lattice-tests"]));
        assert!(!runs_guests(&["-p", "claims"]));
    }

    #[test]
    fn closing_lines_of_suites_add_up_and_other_lines_do_not_count() {
        let mut sum = Sum::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s",
            "test a ... ok",
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.50s",
        ] {
            sum.add(line);
        }
        assert_eq!(sum, Sum { suites: 2, passed: 8, failed: 2, ignored: 1 });
        let line = sum.closing_line(3, Duration::from_millis(61_240), Duration::from_millis(2_500));
        assert_eq!(
            line,
            "total: 11 tests in 2 suites: 5 passed, 2 failed, 3 skipped, 1 ignored; build 61.2 s, run 2.5 s"
        );
    }

    #[test]
    fn what_was_skipped_is_counted_once_and_named_by_what_was_missing() {
        let skipped = Skipped::of("b\ta redis-server\na\ta redis-server\nb\ta nats-server\nb\ta redis-server\nnoise\n");
        assert_eq!(skipped.tests(), 2);
        assert_eq!(skipped.lines(), "skipped: a nats-server is missing: b\nskipped: a redis-server is missing: a, b\n");
        assert_eq!((Skipped::of("").tests(), Skipped::of("").lines()), (0, String::new()));
    }
}
