//! `wash claims`: sign actors, make tokens, look at what artifacts claim, and take trust back.

mod imports;
mod revocations;
mod revoke;
mod sign;
mod token;
mod transfer;

use clap::{Args, Subcommand};

use crate::{
    commands::inspect::{self, InspectArgs},
    context::Context,
    failure::{Failure, Result},
    output::Output,
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

/// What an actor may use and how it is known.
#[derive(Debug, Clone, Args)]
pub struct ActorClaimsArgs {
    /// Grant the key-value store (`wasmcloud:keyvalue`)
    #[arg(short = 'k', long)]
    keyvalue: bool,
    /// Grant messaging (`wasmcloud:messaging`)
    #[arg(short = 'g', long = "msg")]
    messaging: bool,
    /// Grant serving HTTP (`wasmcloud:httpserver`)
    #[arg(short = 'q', long = "http_server", alias = "http-server")]
    http_server: bool,
    /// Grant sending HTTP requests (`wasmcloud:httpclient`)
    #[arg(long = "http_client", alias = "http-client")]
    http_client: bool,
    /// Grant the blob store (`wasmcloud:blobstore`)
    #[arg(short = 'f', long = "blob_store", alias = "blob-store")]
    blob_store: bool,
    /// Grant random numbers and ids (`wasmcloud:builtin:numbergen`)
    #[arg(short = 'z', long = "numbergen", alias = "extras")]
    number_generation: bool,
    /// Grant logging (`wasmcloud:builtin:logging`)
    #[arg(short = 'l', long)]
    logging: bool,
    /// Grant event streams (`wasmcloud:eventstreams`)
    #[arg(short = 'e', long = "events")]
    event_streams: bool,
    /// Grant another contract; repeatable
    #[arg(short = 'c', long = "cap", value_name = "CONTRACT")]
    custom: Vec<String>,
    /// Tag; repeatable
    #[arg(short = 't', long = "tag")]
    tags: Vec<String>,
    /// Name by which other actors may call it: lower-case letters, digits, `_` and `/`
    #[arg(short = 'a', long)]
    call_alias: Option<String>,
}

/// A vendor and a capability, such as `wasmcloud:keyvalue`; the capability may have parts of its own.
fn is_contract(text: &str) -> bool {
    text.split(':').count() >= 2 && text.split(':').all(|part| !part.trim().is_empty())
}

impl ActorClaimsArgs {
    /// The contract ids granted, each once.
    fn contracts(&self) -> Vec<String> {
        let switches = [
            (self.keyvalue, "wasmcloud:keyvalue"),
            (self.messaging, "wasmcloud:messaging"),
            (self.http_server, "wasmcloud:httpserver"),
            (self.http_client, "wasmcloud:httpclient"),
            (self.blob_store, "wasmcloud:blobstore"),
            (self.number_generation, "wasmcloud:builtin:numbergen"),
            (self.logging, "wasmcloud:builtin:logging"),
            (self.event_streams, "wasmcloud:eventstreams"),
        ];
        let mut contracts: Vec<String> = Vec::new();
        let given =
            switches.iter().filter(|(on, _)| *on).map(|(_, id)| *id).chain(self.custom.iter().map(String::as_str));
        for id in given {
            if !contracts.iter().any(|known| known == id) {
                contracts.push(id.to_owned());
            }
        }
        contracts
    }

    /// The claims of these options. The hash is filled in when a binary is signed.
    fn metadata(&self, name: String, revision: i32, version: String) -> Result<claims::ActorMetadata> {
        if let Some(wrong) = self
            .custom
            .iter()
            .find(|contract| contract.parse::<lattice::ContractId>().is_err() || !is_contract(contract))
        {
            return Err(Failure::usage(format!("`{wrong}` is no contract: it is written `vendor:capability`"))
                .hint("the known ones have switches of their own; see `wash claims sign --help`"));
        }
        if let Some(alias) = self.call_alias.as_deref().filter(|alias| !claims::is_call_alias(alias)) {
            return Err(Failure::usage(format!("`{alias}` is no call alias")).hint(format!(
                "use lower-case letters, digits, `_` and `/`: `{}`",
                claims::normalize_call_alias(alias)
            )));
        }
        Ok(claims::ActorMetadata {
            name: Some(name),
            hash: String::new(),
            tags: Some(self.tags.clone()),
            caps: Some(self.contracts()),
            rev: Some(revision),
            ver: Some(version),
            call_alias: self.call_alias.clone(),
            prov: false,
        })
    }
}
