//! `wash down`: stops hosts of this machine, and the NATS server that `wash up` started when no host needs it.

use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;
use lattice::{
    client::{ControlClient, DEFAULT_PORT, Servers},
    subject::ControlRoot,
};
use tokio::time::Instant;

use super::stop;
use crate::{
    context::Context,
    lattice::{
        connection::{Connection, ConnectionArgs},
        reach::control_root,
        resolve,
        view::Lattice,
    },
    machine::hosts_here::{self, LocalHost},
    nats_server::cleanup,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// How long a host may take to end what is running on it.
const HOST_GRACE: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);

/// Options of `wash down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Host: id, its beginning, or part of the friendly name
    #[arg(long, value_name = "HOST", conflicts_with = "all")]
    host_id: Option<String>,
    /// Stop all hosts of this machine in the lattice
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash down`. That nothing is running is no failure.
///
/// # Errors
/// It is not clear which host is meant, or one does not end.
pub async fn run(args: &DownArgs, context: &Context) -> Result<Output> {
    let connection = args.connection.resolve(context)?;
    let root = control_root(&connection)?;
    let mut here = hosts_here::answering(&context.home, &root).await;
    here.retain(|host| is_meant(host, &connection));
    let server = connection.named.then(|| connection.server());
    let mut stopped = Vec::new();
    match choose(args, here)? {
        Choice::Here(hosts) => {
            for ended in join_all(hosts.iter().map(|host| end(host, &root))).await {
                ended?;
            }
            stopped.extend(hosts.iter().map(|host| (host.summary.id, host.name().to_owned())));
        }
        Choice::Elsewhere(term) => {
            let lattice = Lattice::reach(connection, context).await?;
            let host = lattice.host(&term).await?;
            stop::stop_host(&lattice, &host, milliseconds(HOST_GRACE)).await?;
            stopped.push((host, String::new()));
        }
    }
    let names: Vec<String> = stopped.iter().map(|(_, name)| name.clone()).collect();
    let nats = cleanup::stop_unused(&context.home, root.lattice(), &names).await?;

    let mut lines: Vec<String> = stopped.iter().map(|(id, name)| format!("Stopped host `{name}` ({id})")).collect();
    if lines.is_empty() {
        let connected = server.map(|server| format!(" over NATS at {server}")).unwrap_or_default();
        lines.push(format!("No host of this machine is running in lattice `{}`{connected}", root.lattice()));
    }
    if nats.stopped {
        lines.push("Stopped the NATS server".to_owned());
    }
    lines.extend(nats.stays.iter().cloned());
    let ids: Vec<String> = stopped.iter().map(|(id, _)| id.to_string()).collect();
    let output = Output::text(lines.join("\n")).with("hosts_stopped", ids).with("nats_stopped", nats.stopped);
    Ok(if nats.stays.is_empty() { output } else { output.with("nats_stays", nats.stays) })
}

/// Where a server was named, only hosts that use it are meant; where a socket was, only its host.
fn is_meant(host: &LocalHost, connection: &Connection) -> bool {
    if let Some(socket) = &connection.socket {
        return std::fs::canonicalize(socket).ok() == std::fs::canonicalize(host.socket()).ok();
    }
    if !connection.named {
        return true;
    }
    let of_host = [&host.summary.ctl_host, &host.summary.rpc_host].map(|list| Servers::parse(list, DEFAULT_PORT).ok());
    let mut of_host = of_host.iter().flatten().flat_map(Servers::all);
    of_host.any(|used| connection.servers.all().iter().any(|named| named.is_same_place(used)))
}

enum Choice {
    Here(Vec<LocalHost>),
    Elsewhere(String),
}

fn choose(args: &DownArgs, mut here: Vec<LocalHost>) -> Result<Choice> {
    if let Some(term) = &args.host_id {
        let summaries: Vec<_> = here.iter().map(|host| host.summary.clone()).collect();
        let candidates = resolve::host_candidates(&summaries);
        let meant = resolve::resolve("host", term, &candidates).ok();
        here.retain(|host| Some(host.summary.id) == meant);
        return Ok(if here.is_empty() { Choice::Elsewhere(term.clone()) } else { Choice::Here(here) });
    }
    if here.len() > 1 && !args.all {
        let list: Vec<String> = here.iter().map(|host| format!("`{}` ({})", host.name(), host.summary.id)).collect();
        return Err(Failure::new(format!("{} hosts of this machine are running: {}", here.len(), list.join(", ")))
            .hint("stop one with `wash down --host-id HOST`, or all of them with `wash down --all`"));
    }
    Ok(Choice::Here(here))
}

/// Tells a host to end and waits until nothing of it is left.
async fn end(host: &LocalHost, root: &ControlRoot) -> Result<()> {
    let name = host.name();
    let control = ControlClient::socket(host.socket(), root.clone(), Duration::from_secs(5));
    control
        .stop_host(&host.summary.id, Some(milliseconds(HOST_GRACE)))
        .await
        .while_doing(|| format!("host `{name}` does not stop"))?;
    let deadline = Instant::now() + DEADLINE;
    while host::is_in_use(&host.state_dir) {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("host `{name}` has not ended within {} s", DEADLINE.as_secs()))
                .hint(format!("see its log: {}", hosts_here::log_of(&host.state_dir).display())));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
