//! `cargo xtask tools`: what demo and tests need beyond a Rust toolchain, provided and announced.
//!
//! The wasm targets and a nats-server for both; a registry server, tools that speak to it and a Redis server for tests only. What is
//! there already is used as it is; what is missing is named, with the place it goes to, before anything is fetched.

mod nats;
pub mod node;
pub mod npm;
pub mod packages;
pub mod pip;
mod wasm_targets;

use std::path::PathBuf;

use anyhow::Result;

use crate::nats_server::NatsServer;

/// Flags of `tools`, shared by the commands that need the tools.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "tools")] // by default it would be `Args`, as that of the command it is part of
pub struct Args {
    /// nats-server to use instead of the first found in `NATS_SERVER_BIN`, `PATH`, `~/.wash/bin`.
    #[arg(long, value_name = "FILE")]
    pub nats_server: Option<PathBuf>,
}

/// What was found or provided.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The server to start.
    pub nats_server: NatsServer,
}

/// Runs the command.
///
/// # Errors
/// When something is missing and cannot be provided.
pub fn run(args: &Args) -> Result<()> {
    provide_for_tests(args).map(drop)
}

/// Provides everything, for tests, and says what is used.
///
/// # Errors
/// As [`provide`]: without a package of the operating system, tests that need it are skipped.
pub fn provide_for_tests(args: &Args) -> Result<Tools> {
    let tools = provide(args)?;
    packages::provide();
    Ok(tools)
}

/// Provides what everything needs, and says what is used.
///
/// # Errors
/// When something is missing and cannot be provided.
pub fn provide(args: &Args) -> Result<Tools> {
    wasm_targets::provide()?;
    let nats_server = nats::provide(args.nats_server.as_deref())?;
    println!("tools: nats-server {} ({}: {})", nats_server.version, nats_server.origin, nats_server.path.display());
    Ok(Tools { nats_server })
}
