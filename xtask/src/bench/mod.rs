//! `cargo xtask bench`: what someone waits for, measured in release mode beside raw baselines in the same run.
//!
//! This file owns the preparation (tools, actors, release binaries) and starts the bench, which is a binary of
//! `lattice-tests` (`src/bin/bench`) because it needs the harness. What is measured, and how it is told, is there.

pub mod wasmtime;

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    actors::{self, ACTORS},
    nats_server, tools, workspace,
};

const PACKAGES: &[&str] = &["wash-cli", "wash-host", "provider-httpserver", "lattice-tests"];

/// Flags of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tools: tools::Args,
    #[command(flatten)]
    bench: BenchArgs,
    /// How our binaries are built: `dist` as what is given away, with link-time optimisation, which takes a quarter of an
    /// hour.
    #[arg(long, default_value = "release", value_parser = ["release", "dist"])]
    profile: String,
    /// Build the `wasmtime` whose `serve` is the baseline of HTTP into the target directory. Takes minutes, once.
    #[arg(long)]
    install_wasmtime: bool,
}

/// Flags that are passed on to the bench, which checks them.
#[derive(Debug, clap::Args)]
struct BenchArgs {
    /// Only these groups of rows, by the names in `docs/performance.md`; repeatable.
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Time for measuring each group of rows, seconds [default: 15].
    #[arg(long)]
    seconds: Option<u64>,
    /// Samples of each figure [default: 9].
    #[arg(long)]
    samples: Option<u32>,
    /// Also write everything, every sample included, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When something cannot be provided, built or measured. A missed budget is shown, and is no error.
pub fn run(args: &Args) -> Result<()> {
    let tools = tools::provide(&args.tools)?;
    if args.install_wasmtime {
        wasmtime::install()?;
    }
    actors::build()?;
    let mut build = workspace::cargo(workspace::root());
    build
        .args(["build", "--profile", &args.profile, "--bins"])
        .args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    workspace::run_visibly(&mut build)?;

    let mut bench = Command::new(workspace::binary(&args.profile, "bench"));
    bench.args(args.bench.flags()).env(nats_server::VARIABLE, &tools.nats_server.path).env(workspace::BUILT, "1");
    for actor in ACTORS {
        bench.env(actor.variable, actor.path());
    }
    workspace::run_visibly(&mut bench)
}

impl BenchArgs {
    fn flags(&self) -> Vec<String> {
        let mut flags: Vec<String> = self.only.iter().map(|row| format!("--only={row}")).collect();
        flags.extend(self.seconds.map(|seconds| format!("--seconds={seconds}")));
        flags.extend(self.samples.map(|samples| format!("--samples={samples}")));
        flags.extend(self.json.as_ref().map(|file| format!("--json={}", file.display())));
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_the_bench_is_passed_on() {
        let only = vec!["http".to_owned(), "host".to_owned()];
        let args = BenchArgs { only, seconds: Some(5), samples: None, json: Some("figures.json".into()) };
        assert_eq!(args.flags(), ["--only=http", "--only=host", "--seconds=5", "--json=figures.json"]);
    }
}
