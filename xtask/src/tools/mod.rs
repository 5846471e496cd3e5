//! `cargo xtask tools`: what demo and tests need beyond a Rust toolchain, provided and announced.
//!
//! The wasm targets and a nats-server for both; the target of command modules, a registry server, tools that speak to it and a Redis server for tests only. What is
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
/// As [`provide`]. Without a package of the operating system the tests that need it are skipped, and where `CI` is set that
/// is a failure, now and not after the build.
pub fn provide_for_tests(args: &Args) -> Result<Tools> {
    let tools = provide(args)?;
    wasm_targets::provide(wasm_targets::OF_TESTS)?;
    packages::provide()?;
    Ok(tools)
}

/// Provides what everything needs, and says what is used.
///
/// # Errors
/// When something is missing and cannot be provided.
pub fn provide(args: &Args) -> Result<Tools> {
    wasm_targets::provide(wasm_targets::OF_ACTORS)?;
    let nats_server = nats::provide(args.nats_server.as_deref())?;
    println!("tools: nats-server {} ({}: {})", nats_server.version, nats_server.origin, nats_server.path.display());
    Ok(Tools { nats_server })
}
