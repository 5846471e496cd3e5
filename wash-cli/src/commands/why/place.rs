//! `wash why place`: which hosts have the labels, and why those do not take it.

use std::{collections::BTreeMap, ffi::OsString};

use clap::Args;
use lattice::{
    LinkName,
    client::ControlError,
    control::{AskWhy, AuctionActor, AuctionProvider, HostSummary},
};

use super::{
    cause::{Cause, Code},
    diagnosis::{Diagnosis, Found, State},
    facts::Facts,
    no_verdict::Verdict,
    steps::failed_start,
};
use crate::{
    arguments::{pairs, reference},
    context::Context,
    lattice::{connection::ConnectionArgs, placement::Workload, view::Lattice},
};

/// Options of `wash why place`.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// What is to run: a file, or a reference that hosts understand
    reference: OsString,
    /// It is a provider; `builtin://…` always is
    #[arg(long)]
    provider: bool,
    /// Link name of the provider
    #[arg(short = 'l', long, default_value = "default")]
    link_name: LinkName,
    /// Label the host must have; repeatable
    #[arg(short = 'c', long = "constraint", value_name = "KEY=VALUE", value_parser = pairs::parse)]
    constraints: Vec<(String, String)>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Answers the question.
pub async fn run(args: &PlaceArgs, context: &Context) -> Verdict {
    let reference = reference::parse(&args.reference)?;
    let constraints = pairs::to_map(&args.constraints)?;
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let offer = Some(workload(args, &reference).question(&constraints));
    let question = AskWhy { reference: Some(reference.clone()), offer, ..AskWhy::default() };
    let facts = Facts::gather(&lattice, &question).await?;
    let offers = offers(&lattice, &facts, args, &reference, &constraints).await?;
    let asked = if constraints.is_empty() { String::new() } else { format!(" where {}", shown(&constraints)) };
    let runs = runs_where(&facts, &reference, &constraints);
    Ok(Diagnosis::of(format!("placing `{reference}`{asked}"), &facts)
        .then("constraint", |_| matching(&facts, &constraints))
        .then("start", |_| match failed_start(&facts) {
            Some(cause) if runs.is_none() => Err(cause),
            _ => Ok((State::Ok, "no host remembers a failed start".to_owned())),
        })
        .then("offer", |_| match (&runs, offers.as_slice()) {
            (Some(host), _) => Ok((State::Ok, format!("it runs on `{host}` already"))),
            (None, []) => {
                let mut sentence = format!("no host that has the labels offers to run `{reference}`");
                for (host, reason) in declined(&facts, &constraints) {
                    sentence.push_str(&format!("; `{host}`: {reason}"));
                }
                Err(Cause::usual(Code::NoHostOffers, sentence))
            }
            (None, hosts) => Ok((State::Ok, format!("offered by {}", hosts.join(", ")))),
        }))
}

fn satisfies(host: &HostSummary, constraints: &BTreeMap<String, String>) -> bool {
    constraints.iter().all(|(key, value)| host.labels.get(key) == Some(value))
}

fn matching(facts: &Facts, constraints: &BTreeMap<String, String>) -> Found {
    let able: Vec<String> = facts
        .hosts
        .iter()
        .filter(|host| satisfies(host, constraints))
        .map(|host| format!("`{}`", facts.name(&host.id)))
        .collect();
    if !able.is_empty() {
        return Ok((State::Ok, format!("met by {}", able.join(", "))));
    }
    let have: Vec<String> = facts.labels().iter().map(|(host, labels)| format!("`{host}` has {labels}")).collect();
    let sentence = format!("no host has {}: {}", shown(constraints), have.join("; "));
    let first = constraints.iter().next().map(|(key, value)| format!("{key}={value}")).unwrap_or_default();
    let next = format!("set the label with `wash label HOST {first}`, or change `--constraint`");
    Err(Cause::new(Code::NoHostMatches, sentence, next))
}

/// The host that runs it already, if it may.
fn runs_where(facts: &Facts, reference: &str, constraints: &BTreeMap<String, String>) -> Option<String> {
    let able = |inventory: &&lattice::control::HostInventory| {
        facts.hosts.iter().any(|host| host.id == inventory.host_id && satisfies(host, constraints))
    };
    let runs = |inventory: &&lattice::control::HostInventory| {
        inventory.actors.iter().any(|actor| actor.image_ref.as_deref() == Some(reference))
            || inventory.providers.iter().any(|provider| provider.image_ref.as_deref() == Some(reference))
    };
    facts.inventories.iter().filter(able).find(runs).map(|inventory| facts.name(&inventory.host_id))
}

fn workload(args: &PlaceArgs, reference: &str) -> Workload {
    let reference = reference.to_owned();
    if args.provider || reference.starts_with("builtin://") {
        return Workload::Provider { reference, link_name: args.link_name.clone() };
    }
    Workload::Actor { reference }
}

/// Hosts that have the labels and do not take it, with their reasons.
fn declined<'f>(
    facts: &'f Facts,
    constraints: &'f BTreeMap<String, String>,
) -> impl Iterator<Item = (String, &'f str)> + 'f {
    let able = |id| facts.hosts.iter().any(|host| host.id == id && satisfies(host, constraints));
    let answers = facts.replies.iter().filter(move |reply| able(reply.host_id));
    answers.filter_map(|reply| Some((facts.name(&reply.host_id), reply.offer.as_ref()?.reason.as_deref()?)))
}

/// Names of the hosts that would take it. Those that do not say are asked by auction.
async fn offers(
    lattice: &Lattice<'_>,
    facts: &Facts,
    args: &PlaceArgs,
    reference: &str,
    constraints: &BTreeMap<String, String>,
) -> Result<Vec<String>, ControlError> {
    let accepts = |reply: &&lattice::control::WhyReply| reply.offer.as_ref().is_some_and(|offer| offer.accepts);
    let taking: Vec<String> =
        facts.replies.iter().filter(accepts).map(|reply| format!("`{}`", facts.name(&reply.host_id))).collect();
    let all_said = facts
        .hosts
        .iter()
        .all(|host| facts.replies.iter().any(|reply| reply.host_id == host.id && reply.offer.is_some()));
    if !taking.is_empty() || all_said {
        return Ok(taking);
    }
    let control = &lattice.reached.control;
    let (constraints, reference) = (constraints.clone(), reference.to_owned());
    if let Workload::Provider { reference, link_name } = workload(args, &reference) {
        let auction = AuctionProvider { provider_ref: reference, link_name, constraints };
        let bid = control.first_provider_bid(&auction).await?;
        return Ok(bid.map(|bid| format!("`{}`", bid.host_id)).into_iter().collect());
    }
    let bid = control.first_actor_bid(&AuctionActor { actor_ref: reference, constraints }).await?;
    Ok(bid.map(|bid| format!("`{}`", bid.host_id)).into_iter().collect())
}

fn shown(constraints: &BTreeMap<String, String>) -> String {
    constraints.iter().map(|(key, value)| format!("`{key}={value}`")).collect::<Vec<_>>().join(" and ")
}
