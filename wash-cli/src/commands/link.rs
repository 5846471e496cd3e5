//! `wash link`: grants an actor the use of a provider, with settings.

mod put;

use clap::{Args, Subcommand};
use lattice::{ContractId, Link, LinkName};

use crate::{
    commands::get,
    context::Context,
    lattice::{connection::ConnectionArgs, view::Lattice},
    terminal::{
        failure::{Failure, Result},
        output::Output,
    },
};

/// `wash link`.
#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Link an actor to a provider
    ///
    /// Example: wash link put echo httpserver wasmcloud:httpserver address=127.0.0.1:8080
    Put(put::PutArgs),
    /// Delete a link
    #[command(alias = "delete")]
    Del(DelArgs),
    /// Show all links
    Query(get::LinksArgs),
}

/// Options of `wash link del`.
#[derive(Debug, Args)]
pub struct DelArgs {
    /// Actor: id, its beginning, or part of its name or call alias
    actor_id: String,
    /// Contract
    contract_id: ContractId,
    /// Link name
    #[arg(short = 'l', long, default_value = "default")]
    link_name: LinkName,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash link`.
///
/// # Errors
/// An id is unknown, a value is malformed, or a provider refuses the link.
pub async fn run(command: LinkCommand, context: &Context) -> Result<Output> {
    match command {
        LinkCommand::Put(args) => put::run(&args, context).await,
        LinkCommand::Del(args) => delete(&args, context).await,
        LinkCommand::Query(args) => get::links(&args, context).await,
    }
}

async fn delete(args: &DelArgs, context: &Context) -> Result<Output> {
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let actor = lattice.actor(&args.actor_id).await?;
    let there = lattice.reached.control.links().await?.links;
    let is_it = |link: &Link| {
        link.actor_id == actor && link.contract_id == args.contract_id && link.link_name == args.link_name
    };
    if !there.iter().any(is_it) {
        return Err(Failure::new(format!(
            "actor `{actor}` has no link for `{}` under the name `{}`",
            args.contract_id, args.link_name
        ))
        .hint("`wash get links` shows the links there are"));
    }
    lattice.reached.control.delete_link(&actor, &args.contract_id, &args.link_name).await?;
    let text =
        format!("Deleted the link of actor `{actor}` for `{}`, link name `{}`", args.contract_id, args.link_name);
    Ok(Output::text(text)
        .with("actor_id", actor.to_string())
        .with("contract_id", args.contract_id.to_string())
        .with("link_name", args.link_name.to_string()))
}
