//! `wash start`: run an actor or a provider on some host of the lattice.

mod actor;
mod provider;

use std::{collections::BTreeMap, time::Duration};

use clap::{Args, Subcommand};

use crate::{connection::ConnectionArgs, context::Context, failure::Result, output::Output, pairs};

/// `wash start`.
#[derive(Debug, Subcommand)]
pub enum StartCommand {
    /// Run a signed actor
    ///
    /// Example: wash start actor ./echo_s.wasm --constraint zone=edge
    Actor(actor::ActorArgs),
    /// Run a provider
    ///
    /// Example: wash start provider builtin://httpserver
    Provider(provider::ProviderArgs),
}

/// Runs `wash start`.
///
/// # Errors
/// No host can be chosen, or it reports why it does not run.
pub async fn run(command: StartCommand, context: &Context) -> Result<Output> {
    match command {
        StartCommand::Actor(args) => actor::run(&args, context).await,
        StartCommand::Provider(args) => provider::run(&args, context).await,
    }
}

/// Options which choose the host.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Host: id, its beginning, or part of the friendly name [default: by constraints and auction]
    #[arg(long, value_name = "HOST")]
    host_id: Option<String>,
    /// Label the host must have; repeatable
    #[arg(short = 'c', long = "constraint", value_name = "KEY=VALUE", value_parser = pairs::parse)]
    constraints: Vec<(String, String)>,
    /// How long to wait for bids, milliseconds
    #[arg(long, default_value_t = 2000)]
    auction_timeout_ms: u64,
    /// Return as soon as the host has the request, without waiting for the outcome
    #[arg(long)]
    skip_wait: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl PlaceArgs {
    fn constraints(&self) -> Result<BTreeMap<String, String>> {
        pairs::to_map(&self.constraints)
    }

    fn auction_time(&self) -> Duration {
        Duration::from_millis(self.auction_timeout_ms)
    }
}
