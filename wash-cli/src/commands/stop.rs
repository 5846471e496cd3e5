//! `wash stop`: end an actor, a provider or a host.

use std::time::Duration;

use claims::HostId;
use clap::{Args, Subcommand};
use lattice::{
    ContractId, LinkName,
    control::{HostInventory, StopActor, StopProvider},
    event::{EventData, EventKind},
};

use crate::{
    context::Context,
    lattice::{
        connection::ConnectionArgs,
        view::Lattice,
        watch::{Verdict, Watch, timed_out},
    },
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

const USUAL_PATIENCE: Duration = Duration::from_secs(10);

/// `wash stop`.
#[derive(Debug, Subcommand)]
pub enum StopCommand {
    /// Stop an actor on a host
    Actor(ActorArgs),
    /// Stop a provider on a host
    Provider(ProviderArgs),
    /// Stop a host and everything on it
    Host(HostArgs),
}

/// Options of `wash stop actor`.
#[derive(Debug, Args)]
pub struct ActorArgs {
    /// Actor: id, its beginning, or part of its name or call alias
    actor_id: String,
    /// Accepted for older scripts; all instances are stopped
    #[arg(long, hide = true)]
    count: Option<u32>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `wash stop provider`.
#[derive(Debug, Args)]
pub struct ProviderArgs {
    /// Provider: id, its beginning, or part of its name
    provider_id: String,
    /// Contract it serves
    contract_id: ContractId,
    /// Link name
    #[arg(default_value = "default")]
    link_name: LinkName,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `wash stop host`.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Host: id, its beginning, or part of the friendly name
    host_id: String,
    /// How long the host may take to stop, milliseconds
    #[arg(long, default_value_t = 2000)]
    host_timeout: u64,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Where something is stopped.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Host: id, its beginning, or part of the friendly name [default: the one that runs it]
    #[arg(long, value_name = "HOST")]
    host_id: Option<String>,
    /// Return as soon as the host has the request, without waiting for the outcome
    #[arg(long)]
    skip_wait: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash stop`.
///
/// # Errors
/// It runs nowhere or on several hosts, or the host reports why it does not stop.
pub async fn run(command: StopCommand, context: &Context) -> Result<Output> {
    match command {
        StopCommand::Actor(args) => actor(&args, context).await,
        StopCommand::Provider(args) => provider(&args, context).await,
        StopCommand::Host(args) => host(&args, context).await,
    }
}

async fn actor(args: &ActorArgs, context: &Context) -> Result<Output> {
    let lattice = Lattice::reach(args.place.connection.resolve(context)?, context).await?;
    let actor = lattice.actor(&args.actor_id).await?;
    let runs = |inventory: &HostInventory| inventory.actors.iter().any(|running| running.id == actor);
    let host = args.place.host(&lattice, &format!("actor `{actor}`"), runs).await?;
    let control = lattice.control(&host);
    let mut watch = Watch::open(&control, lattice.connection.patience(USUAL_PATIENCE)).await?;
    let doing = format!("host `{host}` does not stop actor `{actor}`");
    let request = StopActor { actor_id: actor, annotations: Default::default(), host_id: host.to_string() };
    control.stop_actor(&host, &request).await.while_doing(|| doing.clone())?;
    if !args.place.skip_wait {
        let stopped = watch.until(&host, &doing, |event| match &event.data {
            EventData::ActorScaled(scaled) if scaled.host_id == host && scaled.public_key == actor => Verdict::Done(()),
            EventData::ActorsStopped(stopped) if stopped.host_id == host && stopped.public_key == actor => {
                Verdict::Done(())
            }
            _ => Verdict::Unrelated,
        });
        if stopped.await?.is_none() && control.inventory(&host).await.is_ok_and(|inventory| runs(&inventory)) {
            return Err(timed_out(&format!("the stop of actor `{actor}`"), &host, watch.patience()));
        }
    }
    let text = format!("Stopped actor `{actor}` on host `{host}`");
    Ok(Output::text(text.clone())
        .with("result", text)
        .with("actor_id", actor.to_string())
        .with("host_id", host.to_string()))
}

async fn provider(args: &ProviderArgs, context: &Context) -> Result<Output> {
    let lattice = Lattice::reach(args.place.connection.resolve(context)?, context).await?;
    let provider = lattice.provider(&args.provider_id).await?;
    let link_name = &args.link_name;
    let what = format!("provider `{provider}` with link name `{link_name}`");
    let runs = |inventory: &HostInventory| {
        inventory.providers.iter().any(|running| running.id == provider && running.link_name == *link_name)
    };
    let host = args.place.host(&lattice, &what, runs).await?;
    let control = lattice.control(&host);
    // A host accepts to stop what it does not run, and looks at no contract; then there is no event to wait for, or the wrong
    // provider has stopped.
    if let Ok(inventory) = control.inventory(&host).await {
        let running =
            inventory.providers.iter().find(|running| running.id == provider && running.link_name == *link_name);
        let hint = format!("see what runs there with `wash get inventory {host}`");
        match running {
            None => return Err(Failure::new(format!("{what} is not running on host `{host}`")).hint(hint)),
            Some(running) if running.contract_id != args.contract_id => {
                return Err(Failure::new(format!(
                    "{what} serves `{}`, not `{}`; nothing was stopped",
                    running.contract_id, args.contract_id
                ))
                .hint(hint));
            }
            Some(_) => {}
        }
    }
    let mut watch = Watch::open(&control, lattice.connection.patience(USUAL_PATIENCE)).await?;
    let doing = format!("host `{host}` does not stop {what}");
    let request = StopProvider {
        provider_id: provider,
        contract_id: Some(args.contract_id.clone()),
        link_name: link_name.clone(),
        annotations: Default::default(),
        host_id: host.to_string(),
    };
    control.stop_provider(&host, &request).await.while_doing(|| doing.clone())?;
    if !args.place.skip_wait {
        let stopped = watch.until(&host, &doing, |event| match &event.data {
            EventData::ProviderStopped(stopped)
                if stopped.host_id == host && stopped.public_key == provider && stopped.link_name == *link_name =>
            {
                Verdict::Done(())
            }
            _ => Verdict::Unrelated,
        });
        if stopped.await?.is_none() && control.inventory(&host).await.is_ok_and(|inventory| runs(&inventory)) {
            return Err(timed_out(&format!("the stop of {what}"), &host, watch.patience()));
        }
    }
    let text = format!("Stopped {what} on host `{host}`");
    Ok(Output::text(text.clone())
        .with("result", text)
        .with("provider_id", provider.to_string())
        .with("host_id", host.to_string())
        .with("contract_id", args.contract_id.to_string())
        .with("link_name", link_name.to_string()))
}

async fn host(args: &HostArgs, context: &Context) -> Result<Output> {
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let host = lattice.host(&args.host_id).await?;
    stop_host(&lattice, &host, args.host_timeout).await?;
    let text = format!("Stopped host `{host}`");
    Ok(Output::text(text.clone()).with("result", text).with("host_id", host.to_string()))
}

/// Stops a host and waits until it says that it has stopped, or its socket is closed.
///
/// # Errors
/// It is not there, refuses, or does not stop in time.
pub async fn stop_host(lattice: &Lattice<'_>, host: &HostId, host_timeout_ms: u64) -> Result<()> {
    let control = lattice.control(host);
    let patience = USUAL_PATIENCE.max(Duration::from_millis(host_timeout_ms)) + Duration::from_secs(1);
    let mut events = control.events().await?;
    control.stop_host(host, Some(host_timeout_ms)).await.while_doing(|| format!("host `{host}` does not stop"))?;
    let end = async {
        // The end of the stream is the end of the host when it was reached over its own socket.
        while let Some(event) = events.next().await {
            if event.data.kind() == Some(EventKind::HostStopped) && event.source == host.as_str() {
                break;
            }
        }
    };
    tokio::time::timeout(patience, end).await.map_err(|_| timed_out("the end of the host", host, patience))
}

impl PlaceArgs {
    async fn host(&self, lattice: &Lattice<'_>, what: &str, runs: impl Fn(&HostInventory) -> bool) -> Result<HostId> {
        match &self.host_id {
            Some(term) => lattice.host(term).await,
            None => one_host_running(lattice, what, runs).await,
        }
    }
}

/// The one host which runs something.
///
/// # Errors
/// None or several do.
pub async fn one_host_running(
    lattice: &Lattice<'_>,
    what: &str,
    runs: impl Fn(&HostInventory) -> bool,
) -> Result<HostId> {
    let hosts = lattice.hosts().await?;
    let inventories = lattice.inventories(hosts.iter().map(|host| host.id)).await;
    let running: Vec<&HostInventory> = inventories.iter().filter(|inventory| runs(inventory)).collect();
    match running.as_slice() {
        [only] => Ok(only.host_id),
        [] => Err(Failure::new(format!("{what} is not running on any host"))
            .hint("see what runs where with `wash get inventory`")),
        several => {
            let list: Vec<String> = several
                .iter()
                .map(|inventory| format!("`{}` ({})", inventory.friendly_name, inventory.host_id))
                .collect();
            Err(Failure::new(format!("{what} runs on {} hosts: {}", several.len(), list.join(", ")))
                .hint("name one with `--host-id`"))
        }
    }
}
