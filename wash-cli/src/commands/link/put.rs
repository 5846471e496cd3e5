//! `wash link put`: stores a link and finds out whether the provider serves it.
//!
//! The lattice accepts a link whether or not anybody can serve it. What the user wants to know is the latter, so this
//! waits for the word of every host that runs the provider now. A link that one of them serves is served.

use std::{collections::BTreeSet, time::Duration};

use claims::{HostId, ProviderId};
use clap::Args;
use contracts::httpserver::{self, HttpServerLink};
use lattice::{
    ContractId, Link, LinkName,
    client::{ControlError, EventStream},
    event::{EventData, LinkApplied},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    arguments::pairs,
    context::Context,
    lattice::{connection::ConnectionArgs, view::Lattice},
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

const USUAL_PATIENCE: Duration = Duration::from_secs(10);

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
    /// Store the link although the actor's signed claims do not grant the contract: for its next version
    #[arg(long)]
    force: bool,
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
    let granted = grant(&lattice, &link).await?;
    if granted == Some(false) && !args.force {
        return Err(Failure::new(format!(
            "the signed claims of `{}` do not grant `{}`, so every call over this link would be refused",
            link.actor_id, link.contract_id
        ))
        .hint(format!(
            "sign it again with `--cap {}`, or store the link for its next version with `--force`",
            link.contract_id
        )));
    }
    for key in without_effect(&link) {
        context.printer.note(format!("`{key}` is not a key of `{}` that the HTTP server here knows", link.contract_id));
    }
    let mut events = control.events().await.while_doing(|| "cannot listen to the events of the lattice".to_owned())?;
    control.put_link(&link).await.map_err(|error| match error {
        kept @ ControlError::KeptHere { .. } => Failure::from(kept),
        error => Failure::from(error).while_doing("the link was not accepted"),
    })?;

    let mut serving = match lattice.has_only_others().await {
        // None would say anything, so which of them runs the provider need not be known.
        true => Serving { only_others: true, ..Serving::default() },
        false => hosts_serving(&lattice, &link).await?,
    };
    let mut outcome = Outcome::default();
    if granted != Some(false) {
        outcome.waiting = std::mem::take(&mut serving.reporting);
    }
    let deadline = Instant::now() + lattice.connection.patience(USUAL_PATIENCE);
    outcome.collect(&mut events, &link, deadline).await?;
    let text = describe(&link, &serving, &outcome, granted);
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
    /// Whether there are only hosts that do not say.
    only_others: bool,
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

/// Whether the claims of the actor grant the contract; none: nothing is known of the actor.
async fn grant(lattice: &Lattice<'_>, link: &Link) -> Result<Option<bool>> {
    let rows = lattice.reached.control.claims().await?;
    let row =
        rows.iter().find(|row| row.get("sub").or(row.get("subject")).is_some_and(|sub| *sub == link.actor_id.as_str()));
    let caps = row.map(|row| row.get("caps").or(row.get("capabilities")).map(String::as_str).unwrap_or_default());
    Ok(caps.map(|caps| caps.split(',').any(|cap| cap.trim() == link.contract_id.as_str())))
}

/// Keys that the HTTP server passes over: a word that was mistyped is one too.
fn without_effect(link: &Link) -> Vec<String> {
    if link.contract_id.as_str() != httpserver::CONTRACT || link.provider_id != ProviderId::well_known("httpserver") {
        return Vec::new();
    }
    HttpServerLink::parse(&link.values).map(|link| link.ignored).unwrap_or_default()
}

/// What hosts say about a link.
#[derive(Debug, Default)]
struct Outcome {
    /// Those which have not said anything yet.
    waiting: BTreeSet<HostId>,
    /// Those whose provider serves it.
    applied: Vec<HostId>,
    /// Those whose provider was sent it, and does not say.
    sent: Vec<HostId>,
    /// Those which give it to their provider when the actor is known.
    later: Vec<HostId>,
    /// Those whose provider does not serve it, with the reason.
    refused: Vec<(HostId, String)>,
}

impl Outcome {
    async fn collect(&mut self, events: &mut EventStream, link: &Link, deadline: Instant) -> Result<()> {
        while !self.waiting.is_empty() {
            let event = match timeout_at(deadline, events.next()).await {
                Ok(Some(event)) => event,
                Ok(None) => return Err(stored_but(link, "the connection to the lattice ended".to_owned())),
                Err(_) => {
                    let hosts: Vec<String> = self.waiting.iter().map(|host| format!("`{host}`")).collect();
                    return Err(stored_but(
                        link,
                        format!("host {} did not say in time whether it serves it", hosts.join(" and ")),
                    ));
                }
            };
            match event.data {
                EventData::LinkdefApplied(told) if is_about(&told, link) && self.waiting.remove(&told.host_id) => {
                    self.applied.push(told.host_id);
                }
                EventData::LinkdefSent(told) if is_about(&told, link) && self.waiting.remove(&told.host_id) => {
                    self.sent.push(told.host_id);
                }
                EventData::LinkdefWaiting(told) if is_about(&told, link) && self.waiting.remove(&told.host_id) => {
                    self.later.push(told.host_id);
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
            _ => Ok(()),
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

fn describe(link: &Link, serving: &Serving, outcome: &Outcome, granted: Option<bool>) -> String {
    let linked =
        format!("Linked actor `{}` to provider `{}` for `{}`", link.actor_id, link.provider_id, link.contract_id);
    let hosts = |hosts: &[HostId]| hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", ");
    let state = match outcome {
        _ if granted == Some(false) => {
            "stored for its next version: the claims it has do not grant the contract, and calls are refused".to_owned()
        }
        Outcome { applied, .. } if !applied.is_empty() => format!("served on host {}", hosts(applied)),
        Outcome { later, .. } if !later.is_empty() => {
            "nothing is known of this actor yet; the provider gets the link when the actor starts".to_owned()
        }
        Outcome { sent, .. } if !sent.is_empty() || serving.silent > 0 => {
            "the host that runs the provider does not say whether it serves the link".to_owned()
        }
        _ if serving.only_others => {
            "hosts of the 0.82 line do not say whether a provider serves a link; its log does".to_owned()
        }
        _ => "no host runs this provider yet; it gets the link when it starts".to_owned(),
    };
    let elsewhere = outcome.refused.iter().map(|(host, error)| format!("\n  not served on host `{host}`: {error}"));
    format!("{linked}\n  {state}{}", elsewhere.collect::<String>())
}
