//! `wash reg`: what older scripts say for pushing and pulling, and whether a registry answers.

use clap::{Args, Subcommand};

use crate::{
    artifacts::registry::RegistryArgs,
    commands::{
        pull::{self, PullArgs},
        push::{self, PushArgs},
    },
    context::Context,
    terminal::{
        failure::{OrFail, Result},
        output::Output,
    },
};

/// `wash reg`.
#[derive(Debug, Subcommand)]
pub enum RegCommand {
    /// Store an artifact in a registry; the same as `wash push`
    Push(Box<PushArgs>),
    /// Fetch an artifact from a registry; the same as `wash pull`
    Pull(Box<PullArgs>),
    /// Ask whether a registry answers, and takes the credentials
    ///
    /// Example: wash reg ping ghcr.io
    Ping(PingArgs),
}

/// Options of `wash reg ping`.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// Registry, or a reference to something in it
    #[arg(value_name = "REGISTRY", required_unless_present = "registry")]
    url: Option<String>,
    #[command(flatten)]
    args: RegistryArgs,
}

/// Runs `wash reg`.
///
/// # Errors
/// As those of the command.
pub async fn run(command: RegCommand, context: &Context) -> Result<Output> {
    match command {
        RegCommand::Push(args) => push::run(&args, context).await,
        RegCommand::Pull(args) => pull::run(&args, context).await,
        RegCommand::Ping(args) => ping(&args).await,
    }
}

async fn ping(args: &PingArgs) -> Result<Output> {
    let given = args.url.as_deref().or(args.args.registry.as_deref()).unwrap_or_default();
    args.args.client(given)?.ping(given).await.while_doing(|| format!("`{given}` does not answer as a registry"))?;
    Ok(Output::text(format!("Pong from `{given}`")).with("registry", given).with("result", "pong"))
}
