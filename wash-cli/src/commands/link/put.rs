//! `wash link put`: stores a link and finds out whether the provider serves it.
//!
//! The lattice accepts a link whether or not anybody can serve it. What the user wants to know is the latter, so this
//! waits for the word of every host that runs the provider now. A link that one of them serves is served.

use std::{collections::BTreeSet, time::Duration};

use claims::HostId;
use clap::Args;
use lattice::{
    ContractId, Link, LinkName,
    client::EventStream,
    event::{EventData, LinkApplied},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    connection::ConnectionArgs,
    context::Context,
    failure::{Failure, OrFail, Result},
    lattice_view::Lattice,
    output::Output,
    pairs,
};

const USUAL_PATIENCE: Duration = Duration::from_secs(10);
/// Hosts need not say again what they have said about the very same link.
const PATIENCE_FOR_NEWS: Duration = Duration::from_secs(1);

/// Options of `wash link put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// Actor: id, its beginning, or part of its name or call alias
    actor_id: String,
    /// Provider: id, its beginning, or part of its name
    provider_id: String,
    /// Contract
    contract_id: ContractId,
    /// Settings for the provider
    #[arg(value_name = "KEY=VALUE", value_parser = pairs::parse)]
    values: Vec<(String, String)>,
    /// Link name
    #[arg(short = 'l', long, default_value = "default")]
    link_name: LinkName,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash link put`.
///
/// # Errors
/// An id is unknown, a value is malformed, or a host that runs the provider says that it does not serve the link.
pub async fn run(args: &PutArgs, context: &Context) -> Result<Output> {
    let values = pairs::to_map(&args.values)?;
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let link = Link {
        actor_id: lattice.actor(&args.actor_id).await?,
        provider_id: lattice.provider(&args.provider_id).await?,
        link_name: args.link_name.clone(),
        contract_id: args.contract_id.clone(),
        values,
    };
    let control = &lattice.reached.control;
    let was_there = control.links().await?.links.contains(&link);
    let mut events = control.events().await.while_doing(|| "cannot listen to the events of the lattice".to_owned())?;
    control.put_link(&link).await.while_doing(|| "the link was not accepted".to_owned())?;

    let serving = hosts_serving(&lattice, &link).await?;
    let mut outcome = Outcome { waiting: serving.reporting.clone(), applied: Vec::new(), refused: Vec::new() };
    let patience = lattice.connection.patience(USUAL_PATIENCE);
    let deadline = Instant::now() + if was_there { patience.min(PATIENCE_FOR_NEWS) } else { patience };
    let complete = outcome.collect(&mut events, &link, deadline, was_there).await?;
    let text = describe(&link, &serving, &outcome, complete);
    Ok(Output::text(text)
        .with("actor_id", link.actor_id.to_string())
        .with("provider_id", link.provider_id.to_string())
        .with("contract_id", link.contract_id.to_string())
        .with("link_name", link.link_name.to_string())
        .with("applied_on", outcome.applied.iter().map(ToString::to_string).collect::<Vec<_>>()))
}

/// Hosts that run the provider of a link.
#[derive(Debug, Default)]
struct Serving {
    /// Those which say whether they serve a link.
    reporting: BTreeSet<HostId>,
    /// How many do not say; hosts of the 0.82 line never do.
    silent: usize,
}

async fn hosts_serving(lattice: &Lattice<'_>, link: &Link) -> Result<Serving> {
    // Not those which only answer by themselves: the link does not reach them now.
    let hosts = lattice.reached.control.hosts().await?.replies;
    let mut serving = Serving::default();
    for inventory in lattice.inventories(hosts.iter().map(|host| host.id)).await {
        let runs = |id, name: &LinkName| id == link.provider_id && *name == link.link_name;
        if !inventory.providers.iter().any(|provider| runs(provider.id, &provider.link_name)) {
            continue;
        }
        // Hosts of ours are known by naming their peers.
        if hosts.iter().any(|host| host.id == inventory.host_id && host.peers.is_some()) {
            serving.reporting.insert(inventory.host_id);
        } else {
            serving.silent += 1;
        }
    }
    Ok(serving)
}

#[derive(Debug)]
struct Outcome {
    waiting: BTreeSet<HostId>,
    applied: Vec<HostId>,
    /// Hosts that do not serve it, with the reason.
    refused: Vec<(HostId, String)>,
}

impl Outcome {
    /// Collects what the hosts say. `false`: the link was there before and they had nothing new to say.
    async fn collect(
        &mut self,
        events: &mut EventStream,
        link: &Link,
        deadline: Instant,
        was_there: bool,
    ) -> Result<bool> {
        while !self.waiting.is_empty() {
            let event = match timeout_at(deadline, events.next()).await {
                Ok(Some(event)) => event,
                Ok(None) => return Err(stored_but(link, "the connection to the lattice ended".to_owned())),
                Err(_) if was_there => return Ok(false),
                Err(_) => {
                    let hosts: Vec<String> = self.waiting.iter().map(|host| format!("`{host}`")).collect();
                    return Err(stored_but(
                        link,
                        format!("host {} did not say in time whether it serves it", hosts.join(" and ")),
                    ));
                }
            };
            match event.data {
                EventData::LinkdefApplied(applied)
                    if is_about(&applied, link) && self.waiting.remove(&applied.host_id) =>
                {
                    self.applied.push(applied.host_id);
                }
                EventData::LinkdefFailed(failed)
                    if is_about(&failed.link, link) && self.waiting.remove(&failed.link.host_id) =>
                {
                    self.refused.push((failed.link.host_id, failed.error));
                }
                EventData::HostStopped(_) => self.waiting.retain(|host| event.source != host.as_str()),
                EventData::ProviderStopped(stopped) if stopped.public_key == link.provider_id => {
                    self.waiting.remove(&stopped.host_id);
                }
                _ => {}
            }
        }
        match self.refused.first() {
            Some((host, error)) if self.applied.is_empty() => Err(Failure::new(error.clone())
                .while_doing(format!("host `{host}` does not serve the link"))
                .hint(how_to_go_on(link))),
            _ => Ok(true),
        }
    }
}

fn is_about(applied: &LinkApplied, link: &Link) -> bool {
    applied.actor_id == link.actor_id
        && applied.provider_id == link.provider_id
        && applied.contract_id == link.contract_id
        && applied.link_name == link.link_name
}

fn stored_but(link: &Link, what: String) -> Failure {
    Failure::new(format!("the link is stored, but {what}")).hint(how_to_go_on(link))
}

fn how_to_go_on(link: &Link) -> String {
    let Link { actor_id, contract_id, link_name, .. } = link;
    format!(
        "the link is stored and is tried again while the reason may pass; put it with other values, or delete it: \
         `wash link del {actor_id} {contract_id} --link-name {link_name}`"
    )
}

fn describe(link: &Link, serving: &Serving, outcome: &Outcome, complete: bool) -> String {
    let linked =
        format!("Linked actor `{}` to provider `{}` for `{}`", link.actor_id, link.provider_id, link.contract_id);
    let hosts = |hosts: &[HostId]| hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", ");
    let state = match (outcome.applied.as_slice(), serving.silent) {
        ([], 0) if !complete => {
            "the link was there already with these values, and no host had news about it".to_owned()
        }
        ([], 0) => "no host runs this provider yet; it gets the link when it starts".to_owned(),
        ([], _) => "the host that runs the provider does not say whether it serves the link".to_owned(),
        (applied, _) => format!("served on host {}", hosts(applied)),
    };
    let elsewhere = outcome.refused.iter().map(|(host, error)| format!("\n  not served on host `{host}`: {error}"));
    format!("{linked}\n  {state}{}", elsewhere.collect::<String>())
}
