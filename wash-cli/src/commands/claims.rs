//! `wash claims`: sign actors, make tokens, look at what artifacts claim, and take trust back.

mod actor_claims;
mod imports;
mod revocations;
mod revoke;
mod sign;
mod token;
mod transfer;

use clap::Subcommand;

use crate::{
    commands::inspect::{self, InspectArgs},
    context::Context,
    terminal::{failure::Result, output::Output},
};

/// `wash claims`.
#[derive(Debug, Subcommand)]
pub enum ClaimsCommand {
    /// Sign an actor, so that hosts run it
    ///
    /// Missing keys are made in the key directory, without asking.
    /// Example: wash claims sign echo.wasm -q --name echo
    Sign(Box<sign::SignArgs>),
    /// Show what an actor or provider archive claims
    #[command(alias = "show")]
    Inspect(Box<InspectArgs>),
    /// Make a token that is not inside an artifact
    #[command(subcommand)]
    Token(Box<token::TokenCommand>),
    /// Take back trust: hosts stop what is named, and never start it again
    ///
    /// Example: wash claims revoke actor echo --reason "leaks what it reads"
    Revoke(revoke::RevokeArgs),
    /// Give trust again to what was revoked
    Unrevoke(revoke::UnrevokeArgs),
    /// Let an actor or provider belong to another account: hosts run an id for the account that signed it first
    ///
    /// Example: wash claims transfer actor echo --to AC6G…
    Transfer(transfer::TransferArgs),
    /// List what is revoked in the lattice, by whom and why
    Revocations(revocations::RevocationsArgs),
}

/// Runs `wash claims`.
///
/// # Errors
/// A file or key is missing or unusable.
pub async fn run(command: ClaimsCommand, context: &Context) -> Result<Output> {
    match command {
        ClaimsCommand::Sign(args) => sign::run(&args, context),
        ClaimsCommand::Inspect(args) => inspect::run(&args, context).await,
        ClaimsCommand::Token(command) => token::run(*command, context),
        ClaimsCommand::Revoke(args) => revoke::revoke(&args, context).await,
        ClaimsCommand::Unrevoke(args) => revoke::unrevoke(&args, context).await,
        ClaimsCommand::Transfer(args) => transfer::run(&args, context).await,
        ClaimsCommand::Revocations(args) => revocations::run(&args, context).await,
    }
}
