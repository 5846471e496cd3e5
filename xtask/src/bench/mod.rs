//! `cargo xtask bench`: what someone waits for, measured in release mode beside a raw baseline in the same run.
//!
//! This file owns the preparation (tools, actors, release binaries) and starts the bench, which is a binary of
//! `lattice-tests` (`src/bin/bench`) because it needs the harness. What is measured, and how it is told, is there.

use anyhow::Result;

use crate::{
    actors::{self, ACTORS},
    nats_server, tools, workspace,
};

const PACKAGES: &[&str] = &["wash-cli", "wash-host", "lattice-tests"];

/// Flags of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tools: tools::Args,
    /// Passed on to the bench: `cargo xtask bench -- --help` shows its options.
    #[arg(last = true)]
    bench: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When something cannot be provided or built, or the bench fails.
pub fn run(args: &Args) -> Result<()> {
    let tools = tools::provide(&args.tools)?;
    actors::build()?;
    let mut build = workspace::cargo(workspace::root());
    build.args(["build", "--release", "--bins"]).args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    workspace::run_visibly(&mut build)?;

    let mut bench = std::process::Command::new(workspace::binary("release", "bench"));
    bench.args(&args.bench).env(nats_server::VARIABLE, &tools.nats_server.path).env(workspace::BUILT, "1");
    for actor in ACTORS {
        bench.env(actor.variable, actor.path());
    }
    workspace::run_visibly(&mut bench)
}
