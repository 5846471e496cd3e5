//! The host in this process, until a signal or an operator stops it.

use host::{Host, LogFormat, init_logging};
use lattice::subject::ControlRoot;

use super::{
    config::{control_root, host_config},
    options::UpArgs,
    plan::{Broker, Plan},
    words::{announce, say_store},
};
use crate::{
    context::Context,
    machine::{builtins, signals::until_signal},
    nats_server::cleanup,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// Starts the host and says so.
///
/// # Errors
/// A setting is unusable, or the host does not start.
pub async fn start(args: UpArgs, plan: &Plan, context: &Context) -> Result<Host> {
    let (host, root) = start_host(args, plan, context).await?;
    let id = host.id().to_string();
    say_store(host.store_refused(), context);
    context.printer.data(&announce(host.friendly_name(), &id, &root, plan, None, "Ctrl-C, or `wash down`"))?;
    Ok(host)
}

/// Runs the host to its end, then stops the NATS server that nobody needs any more.
///
/// # Errors
/// The NATS server does not end.
pub async fn run(host: Host, broker: &Broker, context: &Context) -> Result<Output> {
    let (lattice, name) = (host.lattice().clone(), host.friendly_name().to_owned());
    host.run(until_signal()?).await;
    context.printer.note("Host stopped");
    if broker.url().is_some() {
        let cleanup = cleanup::stop_unused(&context.home, &lattice, &[name]).await?;
        cleanup.stays.iter().for_each(|why| context.printer.note(why));
    }
    Ok(Output::silent())
}

/// Runs the host as the process in the background: everything is settled, and stderr is the log.
///
/// # Errors
/// The host does not start.
pub async fn run_as_background(args: UpArgs, plan: Plan, context: &Context) -> Result<Output> {
    // Away from the terminal, whose end would end this process as well. Fails only for leaders of a process group.
    let _ = rustix::process::setsid();
    let (host, _) = start_host(args, &plan, context).await?;
    host.run(until_signal()?).await;
    Ok(Output::silent())
}

async fn start_host(args: UpArgs, plan: &Plan, context: &Context) -> Result<(Host, ControlRoot)> {
    let format = if args.host.enable_structured_logging { LogFormat::Json } else { LogFormat::Text };
    init_logging(&args.host.log_level, format).map_err(|error| Failure::from(error).exiting_with(2))?;
    let config = host_config(args, plan, context)?;
    let root = control_root(&config)?;
    let host = builtins::start_host(config).await.while_doing(|| "the host does not start".to_owned())?;
    tracing::info!(host = %host.id(), name = host.friendly_name(), lattice = %host.lattice(), "host started");
    Ok((host, root))
}
