//! `wash start`: run an actor or a provider on some host of the lattice.

mod actor;
mod place;
mod provider;

use clap::Subcommand;

use crate::{
    context::Context,
    terminal::{failure::Result, output::Output},
};

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
