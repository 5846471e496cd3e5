//! `wash why`: where something that does not work breaks, and the one thing to do about it.
//!
//! Parses the question and shows the verdict; `facts` asks the lattice, `chain` with its `steps` judges without asking
//! anybody, `cause` has the words. Exit code 0 means that nothing is broken.

mod cause;
mod chain;
mod diagnosis;
mod facts;
mod link;
mod no_verdict;
mod place;
mod show;
mod steps;
#[cfg(test)]
mod table;

use std::{ffi::OsStr, path::Path};

use claims::ActorId;
use clap::{Args, Subcommand};
use lattice::{ContractId, LinkName, control::AskWhy};

use self::{
    cause::{Cause, Code},
    diagnosis::Diagnosis,
    facts::Facts,
    no_verdict::{NoVerdict, Verdict},
    place::PlaceArgs,
};
use crate::{
    arguments::reference,
    context::Context,
    lattice::{connection::ConnectionArgs, view::Lattice},
    terminal::{failure::Result, output::Output},
};

/// `wash why`.
#[derive(Debug, Subcommand)]
pub enum WhyCommand {
    /// Why a call of an actor does not work: over a link, or to another actor
    ///
    /// Example: wash why call counter wasmcloud:keyvalue
    Call(CallArgs),
    /// Why an actor does not run, or does not answer
    ///
    /// Example: wash why actor file:///actors/echo_s.wasm
    Actor(ActorArgs),
    /// Why a link does not work, in whichever direction it is used
    ///
    /// Example: wash why link echo wasmcloud:httpserver
    Link(LinkArgs),
    /// Why nothing can be placed: which host could run it, and what stands in its way
    ///
    /// Example: wash why place ghcr.io/acme/echo:0.1.0 --constraint zone=edge
    Place(PlaceArgs),
}

/// Options of `wash why call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The actor that calls: id, its beginning, or part of its name or call alias
    actor: String,
    /// What it calls: a contract (`wasmcloud:keyvalue`), or another actor
    target: String,
    /// Name of the link
    #[arg(short = 'l', long, default_value = "default")]
    link_name: LinkName,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Options of `wash why actor`.
#[derive(Debug, Args)]
pub struct ActorArgs {
    /// Actor: id, its beginning, part of its name or call alias; or the file or reference it was to start from
    actor: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Options of `wash why link`.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// Actor: id, its beginning, or part of its name or call alias
    actor: String,
    /// Contract
    contract: ContractId,
    /// Name of the link
    #[arg(short = 'l', long, default_value = "default")]
    link_name: LinkName,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash why`.
///
/// # Errors
/// The question cannot be asked: the lattice is not reached, or no actor has this name.
pub async fn run(command: WhyCommand, context: &Context) -> Result<Output> {
    let outcome = match command {
        WhyCommand::Call(args) => call(&args, context).await,
        WhyCommand::Actor(args) => actor(&args, context).await,
        WhyCommand::Link(args) => {
            let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
            over_link(&lattice, &args.actor, args.contract, args.link_name).await
        }
        WhyCommand::Place(args) => place::run(&args, context).await,
    };
    match outcome {
        Ok(diagnosis) => Ok(show::output(&diagnosis)),
        Err(NoVerdict::Forbidden(why)) => Ok(show::output(&Diagnosis::of_one(
            "the lattice, as seen from here",
            "nats",
            Cause::new(Code::NatsPermissionMissing, why, Code::NatsPermissionMissing.usual_step()),
        ))),
        Err(NoVerdict::Failure(failure)) => Err(failure),
    }
}

async fn call(args: &CallArgs, context: &Context) -> Verdict {
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    if let (true, Ok(contract)) = (args.target.contains(':'), args.target.parse::<ContractId>()) {
        return over_link(&lattice, &args.actor, contract, args.link_name.clone()).await;
    }
    let caller = lattice.actor(&args.actor).await?;
    let callee = lattice.actor(&args.target).await?;
    let question = AskWhy { actor: Some(caller), callee: Some(callee), ..AskWhy::default() };
    let facts = Facts::gather(&lattice, &question).await?;
    Ok(chain::actor_to_actor(&facts, &caller, &callee))
}

async fn over_link(lattice: &Lattice<'_>, actor: &str, contract: ContractId, link_name: LinkName) -> Verdict {
    let actor = lattice.actor(actor).await?;
    let question = AskWhy {
        actor: Some(actor),
        contract: Some(contract.clone()),
        link_name: Some(link_name.clone()),
        ..AskWhy::default()
    };
    let facts = Facts::gather(lattice, &question).await?;
    Ok(chain::over_link(&facts, &actor, &contract, &link_name))
}

async fn actor(args: &ActorArgs, context: &Context) -> Verdict {
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    if looks_like_a_reference(&args.actor) {
        let reference = reference::parse(OsStr::new(&args.actor))?;
        let question = AskWhy { reference: Some(reference.clone()), ..AskWhy::default() };
        let facts = Facts::gather(&lattice, &question).await?;
        return match facts.running_from(&reference) {
            Some(actor) => one_actor(&lattice, actor, Some(reference)).await,
            None => Ok(chain::not_started(&facts, &reference)),
        };
    }
    let actor = lattice.actor(&args.actor).await?;
    one_actor(&lattice, actor, None).await
}

async fn one_actor(lattice: &Lattice<'_>, actor: ActorId, reference: Option<String>) -> Verdict {
    let question = AskWhy { actor: Some(actor), reference, ..AskWhy::default() };
    let facts = Facts::gather(lattice, &question).await?;
    Ok(chain::actor(&facts, &actor))
}

fn looks_like_a_reference(text: &str) -> bool {
    text.contains("://") || text.contains('/') || Path::new(text).is_file()
}
