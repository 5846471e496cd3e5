//! `cargo xtask fuzz`: searches for inputs that break a parser, for so many minutes of processor time per target.
//!
//! The targets and the laws they assert are in `crates/fuzz`; this command builds them with libFuzzer and runs one after
//! another. Time is that of the processor, not of the clock, so that a figure means the same on a busy machine. What it
//! learns stays in the target directory; an input that fails belongs into `crates/fuzz/seeds`, and the message says so.

mod build;
mod paths;
mod run;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use self::{
    paths::{Paths, crate_dir},
    run::Outcome,
};

/// Flags of `fuzz`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Targets to run [default: all]; see `crates/fuzz/src/lib.rs`.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Minutes of processor time for each target.
    #[arg(long, default_value_t = 10.0, value_name = "N")]
    minutes: f64,
}

impl Args {
    /// All targets, shortly: what `cargo xtask test --full` runs.
    #[must_use]
    pub fn short() -> Self {
        Self { targets: Vec::new(), minutes: 0.5 }
    }
}

/// Runs the command.
///
/// # Errors
/// When tools are missing and cannot be provided, a target is unknown, or an input breaks one.
pub fn run(args: &Args) -> Result<()> {
    let time = Duration::try_from_secs_f64(args.minutes * 60.0).context("`--minutes` is no duration")?;
    let targets = select(&known_targets()?, &args.targets)?;
    let binaries = build::build()?;
    let mut broken = Vec::new();
    for target in &targets {
        let outcome = run::run(&Paths::of(target, &binaries), time)?;
        println!("{target:<16} {outcome}");
        if let Outcome { failure: Some(failure), .. } = outcome {
            println!("{}", advice(target, &failure.input));
            broken.push(target.as_str());
        }
    }
    if !broken.is_empty() {
        bail!("inputs were found that break {}", broken.join(", "));
    }
    Ok(())
}

fn known_targets() -> Result<BTreeSet<String>> {
    let dir = crate_dir().join("libfuzzer/targets");
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot read `{}`", dir.display()))?;
    let stem = |path: PathBuf| path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    Ok(entries.filter_map(|entry| stem(entry.ok()?.path())).collect())
}

fn select(known: &BTreeSet<String>, wanted: &[String]) -> Result<BTreeSet<String>> {
    if let Some(unknown) = wanted.iter().find(|target| !known.contains(*target)) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        bail!("there is no fuzz target `{unknown}`; there are {}", known.join(", "));
    }
    Ok(if wanted.is_empty() { known.clone() } else { wanted.iter().cloned().collect() })
}

fn advice(target: &str, input: &Path) -> String {
    let seed = format!("crates/fuzz/seeds/{target}/");
    format!(
        "  failing input: {}\n  copy it to {seed} and see it with `cargo test -p fuzz`; it stays there as a test",
        input.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_crate_and_unknown_ones_are_named() {
        let known = known_targets().expect("readable");
        assert!(known.contains("key_text"), "{known:?}");
        assert_eq!(select(&known, &[]).expect("all"), known);
        assert_eq!(select(&known, &["token".to_owned()]).expect("one").len(), 1);
        let error = select(&known, &["nothing".to_owned()]).expect_err("unknown");
        assert!(error.to_string().starts_with("there is no fuzz target `nothing`; there are "), "{error}");
    }
}
