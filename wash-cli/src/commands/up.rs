//! `wash up`: a host on this machine, and NATS for it if need be.
//!
//! Order: find or start NATS, choose a state directory, start the host in this process, or in a process of its own with
//! `--detached`. Invariant: whatever was started here is stopped again when a later step fails.

mod broker;
mod config;
mod detached;
mod foreground;
mod options;
mod plan;
mod words;

use std::path::PathBuf;

use host::HostArgs;
use lattice::{LatticeId, subject::ControlRoot};

pub use self::options::UpArgs;
use self::{
    config::control_root,
    plan::{Broker, Plan},
    words::say_single,
};
use crate::{
    context::Context,
    machine::{
        files::create_private_dir,
        hosts_here::{self, Choosing},
    },
    terminal::{
        failure::{Failure, Result},
        output::Output,
    },
};

/// Runs `wash up`. In the foreground it returns when the host has stopped.
///
/// # Errors
/// A setting is wrong, a port is taken, or the host does not start.
pub async fn run(mut args: UpArgs, context: &Context) -> Result<Output> {
    args.host.allow_file_load.get_or_insert(true);
    if let Some(flag) = args.old.given() {
        context.printer.note(format!(
            "note: `{flag}` has no effect: the host is part of wash, and NATS is the program that is found"
        ));
    }
    if let Some(plan) = args.plan.take() {
        return foreground::run_as_background(args, plan, context).await;
    }
    // Checks every setting before anything is started.
    let checked = args.host.clone().into_config(PathBuf::new())?;
    let root = control_root(&checked)?;
    let server_lock = broker::lock(&args, &checked, &context.home).await?;
    let broker = broker::settle(&args, &checked, server_lock.as_ref(), context).await?;
    let outcome = start(args, &broker, &root, context).await;
    // Whoever waits for the server's lock may go on as soon as the host is up, or will never be.
    drop(server_lock);
    match outcome {
        Ok(Started::Background(output)) => Ok(output),
        Ok(Started::Foreground(host)) => foreground::run(*host, &broker, context).await,
        Err(failure) => {
            broker::undo(&broker, &context.home, root.lattice()).await;
            Err(failure)
        }
    }
}

enum Started {
    Foreground(Box<host::Host>),
    Background(Output),
}

async fn start(args: UpArgs, broker: &Broker, root: &ControlRoot, context: &Context) -> Result<Started> {
    let lattice = root.lattice();
    let choosing = match hosts_here::start_choosing(&context.home, lattice).await {
        Ok(choosing) => Some(choosing),
        // Whoever names a directory needs none of the home, which may not be there or may not be written.
        Err(failure) if args.host.state_dir.is_some() => {
            let hint = "`wash` finds this host only where its control socket is named with `--socket`";
            context.printer.note(format!("note: {}, so {hint}", failure.message()));
            None
        }
        Err(failure) => return Err(failure),
    };
    let state_dir = state_dir(&args.host, choosing.as_ref(), lattice, context)?;
    say_single(broker, root, context).await;
    let plan = Plan { state_dir, broker: broker.clone() };
    if args.detached {
        return detached::start(&plan, root, context).await.map(Started::Background);
    }
    let host = foreground::start(args, &plan, context).await?;
    Ok(Started::Foreground(Box::new(host)))
}

/// The directory that was named, or the first numbered one that is free.
fn state_dir(args: &HostArgs, choosing: Option<&Choosing>, lattice: &LatticeId, context: &Context) -> Result<PathBuf> {
    let (named, choosing) = match (&args.state_dir, choosing) {
        (Some(named), choosing) => (named, choosing),
        (None, Some(choosing)) => return hosts_here::free_state_dir(choosing, &context.home, lattice),
        (None, None) => {
            return Err(Failure::new("no state directory can be chosen").hint("name one with `--state-dir`"));
        }
    };
    let named = std::path::absolute(named)?;
    create_private_dir(&named)?;
    if host::is_in_use(&named) {
        return Err(Failure::new(format!("a host is running with the state directory `{}`", named.display()))
            .hint("choose another one with `--state-dir`, or stop that host with `wash down`"));
    }
    if let Some(choosing) = choosing {
        hosts_here::register(choosing, &context.home, lattice, &named)?;
    }
    Ok(named)
}
