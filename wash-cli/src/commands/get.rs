//! `wash get`: what there is in a lattice.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use contracts::mask;
use lattice::{
    Link,
    control::{ClaimsRow, HostInventory, HostSummary, UNBOUNDED},
};
use serde_json::json;

use crate::{
    context::Context,
    lattice::{connection::ConnectionArgs, view::Lattice},
    terminal::{
        failure::Result,
        output::{Output, table},
    },
};

/// `wash get`.
#[derive(Debug, Subcommand)]
pub enum GetCommand {
    /// Hosts of the lattice
    #[command(alias = "host")]
    Hosts(ConnectionArgs),
    /// What hosts run: actors and providers
    #[command(alias = "inv", alias = "inventories")]
    Inventory(InventoryArgs),
    /// What is known about signed actors and providers
    Claims(ConnectionArgs),
    /// Links between actors and providers
    Links(LinksArgs),
}

/// Options of `wash get links` and `wash link query`.
#[derive(Debug, Args)]
pub struct LinksArgs {
    /// Show passwords, tokens and the like among the values, which are masked otherwise
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Options of `wash get inventory`.
#[derive(Debug, Args)]
pub struct InventoryArgs {
    /// Host: id, its beginning, or part of the friendly name [default: all hosts]
    host: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash get`.
///
/// # Errors
/// The lattice cannot be reached, or does not answer.
pub async fn run(command: GetCommand, context: &Context) -> Result<Output> {
    match command {
        GetCommand::Hosts(connection) => {
            let lattice = Lattice::reach(connection.resolve(context)?, context).await?;
            let hosts = lattice.hosts_or_none().await?;
            Ok(show_hosts(hosts, lattice.connection.lattice.as_str()))
        }
        GetCommand::Inventory(args) => {
            let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
            let inventories = match &args.host {
                Some(term) => {
                    let host = lattice.host(term).await?;
                    vec![lattice.control(&host).inventory(&host).await?]
                }
                None => lattice.inventories(lattice.hosts_or_none().await?.iter().map(|host| host.id)).await,
            };
            Ok(show_inventories(inventories, lattice.connection.lattice.as_str()))
        }
        GetCommand::Claims(connection) => {
            let lattice = Lattice::reach(connection.resolve(context)?, context).await?;
            Ok(show_claims(lattice.reached.control.claims().await?))
        }
        GetCommand::Links(args) => links(&args, context).await,
    }
}

/// Runs `wash get links`, which is also `wash link query`.
///
/// # Errors
/// As [`run`].
pub async fn links(args: &LinksArgs, context: &Context) -> Result<Output> {
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let reply = lattice.reached.control.links().await?;
    for unreadable in &reply.unreadable {
        context.printer.note(format!("a link cannot be read: {unreadable}"));
    }
    let shown = reply.links.into_iter().map(|link| match args.show_secrets {
        true => link,
        false => Link { values: mask::values(&link.values), ..link },
    });
    Ok(show_links(shown.collect()))
}

fn show_hosts(mut hosts: Vec<HostSummary>, lattice: &str) -> Output {
    hosts.sort_by(|a, b| (&a.friendly_name, a.id).cmp(&(&b.friendly_name, b.id)));
    let text = if hosts.is_empty() {
        format!("No hosts in lattice `{lattice}`")
    } else {
        let rows = hosts.iter().map(|host| {
            vec![
                host.id.to_string(),
                host.friendly_name.clone(),
                host.uptime_human.clone(),
                host.version.clone(),
                show_pairs(&host.labels),
            ]
        });
        table(&["Host ID", "Name", "Uptime", "Version", "Labels"], rows)
    };
    Output::text(text).with("hosts", json!(hosts))
}

fn show_inventories(mut inventories: Vec<HostInventory>, lattice: &str) -> Output {
    inventories.sort_by(|a, b| (&a.friendly_name, a.host_id).cmp(&(&b.friendly_name, b.host_id)));
    let blocks: Vec<String> = inventories.iter().map(show_inventory).collect();
    let text = if blocks.is_empty() { format!("No hosts in lattice `{lattice}`") } else { blocks.join("\n\n") };
    Output::text(text).with("inventories", json!(inventories))
}

fn show_inventory(inventory: &HostInventory) -> String {
    let mut text = format!("{} ({})", inventory.friendly_name, inventory.host_id);
    if !inventory.labels.is_empty() {
        text.push_str(&format!("\n  labels  {}", show_pairs(&inventory.labels)));
    }
    let unnamed = || "-".to_owned();
    let actors = inventory.actors.iter().flat_map(|actor| {
        actor.instances.iter().map(|instance| {
            let max = match instance.max_instances {
                UNBOUNDED => "unbounded".to_owned(),
                max => max.to_string(),
            };
            let reference = instance.image_ref.clone().or_else(|| actor.image_ref.clone()).unwrap_or_else(unnamed);
            let name = actor.name.clone().unwrap_or_else(unnamed);
            vec![actor.id.to_string(), name, max, reference, show_pairs(&instance.annotations)]
        })
    });
    let providers = inventory.providers.iter().map(|provider| {
        vec![
            provider.id.to_string(),
            provider.name.clone().unwrap_or_else(unnamed),
            provider.contract_id.to_string(),
            provider.link_name.to_string(),
            provider.image_ref.clone().unwrap_or_else(unnamed),
        ]
    });
    let (actors, providers): (Vec<_>, Vec<_>) = (actors.collect(), providers.collect());
    if inventory.left_out > 0 {
        text.push_str(&format!("\n  {} more that do not fit in one answer", inventory.left_out));
    }
    text.push_str(&section("actors", &["Actor ID", "Name", "Max", "Reference", "Annotations"], actors));
    text.push_str(&section("providers", &["Provider ID", "Name", "Contract", "Link name", "Reference"], providers));
    text
}

fn section(title: &str, columns: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return format!("\n  no {title}");
    }
    table(columns, rows).lines().map(|line| format!("\n  {line}")).collect()
}

fn show_claims(mut rows: Vec<ClaimsRow>) -> Output {
    let get = |row: &ClaimsRow, keys: [&str; 2]| {
        keys.iter()
            .find_map(|key| row.get(*key))
            .filter(|text| !text.is_empty())
            .cloned()
            .unwrap_or_else(|| "-".to_owned())
    };
    rows.sort_by_key(|row| (get(row, ["name", "name"]), get(row, ["sub", "subject"])));
    let text = if rows.is_empty() {
        "No claims: nothing signed has been started here yet".to_owned()
    } else {
        let shown = rows.iter().map(|row| {
            vec![
                get(row, ["sub", "subject"]),
                get(row, ["name", "name"]),
                get(row, ["version", "ver"]),
                get(row, ["rev", "revision"]),
                // Providers serve one contract, actors may use several.
                get(row, ["contract_id", "caps"]),
                get(row, ["iss", "issuer"]),
            ]
        });
        table(&["Subject", "Name", "Version", "Rev", "Contracts", "Issuer"], shown)
    };
    Output::text(text).with("claims", json!(rows))
}

fn show_links(mut links: Vec<Link>) -> Output {
    links.sort_by_key(|link| (link.actor_id, link.contract_id.clone(), link.link_name.clone()));
    let text = if links.is_empty() {
        "No links".to_owned()
    } else {
        let rows = links.iter().map(|link| {
            vec![
                link.actor_id.to_string(),
                link.provider_id.to_string(),
                link.contract_id.to_string(),
                link.link_name.to_string(),
                show_pairs(&link.values),
            ]
        });
        table(&["Actor ID", "Provider ID", "Contract", "Link name", "Values"], rows)
    };
    Output::text(text).with("links", json!(links))
}

fn show_pairs(pairs: &BTreeMap<String, String>) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_lattice_is_an_answer() {
        assert_eq!(show_hosts(Vec::new(), "lab"), Output::text("No hosts in lattice `lab`").with("hosts", json!([])));
    }
}
