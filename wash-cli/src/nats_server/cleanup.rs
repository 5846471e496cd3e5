//! When the NATS server that `wash up` brought along is no longer needed.
//!
//! It is needed as long as somebody is connected to it, other than `wash` itself and the hosts that are ending. The server
//! is asked, so that hosts beyond a leaf node connection, which it does not serve, do not count. Invariants: decided and
//! done under the server's lock, so that a host which is just starting is not cut off; a server that stays is said to.

use std::{collections::BTreeSet, time::Duration};

use claims::AccountId;
use host::LocalNats;
use lattice::{
    LatticeId,
    client::{ControlClient, Creds, NatsOptions, connect},
    subject::ControlRoot,
};
use serde::Deserialize;

use crate::{
    machine::{
        home::{Home, subdirectories},
        hosts_here,
    },
    nats_server::{CLIENT_NAME, process::ServerDir},
    terminal::failure::Result,
};

const PATIENCE: Duration = Duration::from_secs(1);
/// Asks every server that hears it, which is just this one, for its connections.
const WHO_IS_CONNECTED: &str = "$SYS.REQ.SERVER.PING.CONNZ";
/// What the server calls a connection to another server of which it is a leaf.
const LEAF_NODE: &str = "Leafnode";
/// Names that are shown of those who are connected.
const MOST_NAMES: usize = 5;

/// What became of the servers.
#[derive(Debug, Default)]
pub struct Cleanup {
    /// Whether one was stopped.
    pub stopped: bool,
    /// Why others stay, a sentence each.
    pub stays: Vec<String>,
}

/// Stops every NATS server that `wash up` started and nobody uses any more. `ended`: names of hosts that are at their end,
/// whose connections may still be there for a moment.
///
/// # Errors
/// A server does not end.
pub async fn stop_unused(home: &Home, lattice: &LatticeId, ended: &[String]) -> Result<Cleanup> {
    let mut cleanup = Cleanup::default();
    for directory in subdirectories(home.root()) {
        let port = directory.file_name().and_then(|name| name.to_str()?.strip_prefix("nats-")?.parse().ok());
        if let Some(port) = port {
            stop_one(home, port, lattice, ended, &mut cleanup).await?;
        }
    }
    Ok(cleanup)
}

/// Stops the NATS server of one port if `wash up` started it and nobody uses it any more.
///
/// # Errors
/// The server does not end.
pub async fn stop_one_unused(home: &Home, port: u16, lattice: &LatticeId) -> Result<Cleanup> {
    let mut cleanup = Cleanup::default();
    stop_one(home, port, lattice, &[], &mut cleanup).await?;
    Ok(cleanup)
}

async fn stop_one(home: &Home, port: u16, lattice: &LatticeId, ended: &[String], cleanup: &mut Cleanup) -> Result<()> {
    let server = ServerDir::of(LocalNats::of(home.root(), port));
    if server.running().is_none() {
        return Ok(());
    }
    let lock = server.lock().await?;
    match users(home, server.local(), lattice, ended).await {
        Some(users) => cleanup.stays.push(format!("The NATS server on port {port} stays: it serves {users}")),
        None => cleanup.stopped |= server.stop(&lock).await?,
    }
    Ok(())
}

/// Who uses the server, as words; none when nobody does.
async fn users(home: &Home, server: &LocalNats, lattice: &LatticeId, ended: &[String]) -> Option<String> {
    let here = hosts_using(home, server.port()).await;
    if !here.is_empty() {
        return Some(named(&here));
    }
    let connected = match server.system_creds() {
        Some(creds) => connections(server, creds).await,
        None => None,
    };
    match connected {
        Some(names) => clients(names, ended),
        // Started open, so that nobody may ask it.
        None => hosts_over(server, lattice, ended).await,
    }
}

fn named(names: &BTreeSet<String>) -> String {
    let mut shown: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    if names.len() > MOST_NAMES {
        shown.push(format!("{} more", names.len() - MOST_NAMES));
    }
    shown.join(", ")
}

/// Hosts of this machine that use the server, whether or not they are connected at this moment.
async fn hosts_using(home: &Home, port: u16) -> BTreeSet<String> {
    let end = format!(":{port}");
    let uses = |servers: &str| servers.split(", ").any(|server| server.ends_with(&end));
    hosts_here::answering_anywhere(home)
        .await
        .iter()
        .filter(|host| uses(&host.summary.ctl_host) || uses(&host.summary.rpc_host))
        .map(|host| host.name().to_owned())
        .collect()
}

/// Those who are connected and are neither `wash` nor at their end. A host has a connection called `{name} control` and
/// one called `{name} rpc`; providers belong to hosts.
fn clients(connected: Vec<String>, ended: &[String]) -> Option<String> {
    let others = connected.into_iter().filter(|name| name != CLIENT_NAME && !name.starts_with("provider "));
    let of_host = |name: &str| {
        let host = name.strip_suffix(" control").or_else(|| name.strip_suffix(" rpc"));
        host.unwrap_or(name).to_owned()
    };
    let others = others.map(|name| of_host(&name)).filter(|name| !ended.contains(name));
    let names: BTreeSet<String> =
        others.map(|name| if name.is_empty() { "a client without a name".to_owned() } else { name }).collect();
    (!names.is_empty()).then(|| named(&names))
}

#[derive(Deserialize)]
struct Answer {
    data: Connections,
}

#[derive(Deserialize)]
struct Connections {
    #[serde(default)]
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    #[serde(default)]
    name: String,
    #[serde(default)]
    account: String,
    #[serde(default)]
    kind: String,
}

impl Connection {
    /// Whether it is a client that was let in: whoever has only just connected, with nothing to show, uses nothing, and a
    /// leaf node connection is the server's own.
    fn uses_the_server(&self) -> bool {
        self.account.parse::<AccountId>().is_ok() && self.kind != LEAF_NODE
    }
}

/// Names of all who are connected to the server; none when it does not say.
async fn connections(server: &LocalNats, creds: Creds) -> Option<Vec<String>> {
    let client = connect(&options(server.port(), Some(creds))).await.ok()?;
    let asked = client.request(WHO_IS_CONNECTED, bytes::Bytes::from_static(br#"{"auth":true}"#));
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let answer: Answer = serde_json::from_slice(&answer.payload).ok()?;
    let known = answer.data.connections.into_iter().filter(Connection::uses_the_server);
    Some(known.map(|connection| connection.name).collect())
}

/// A server that lets everybody in does not say who is there; hosts are found by asking the lattice over it.
async fn hosts_over(server: &LocalNats, lattice: &LatticeId, ended: &[String]) -> Option<String> {
    let client = connect(&options(server.port(), server.creds())).await.ok()?;
    let control = ControlClient::nats(client, ControlRoot::new(lattice.clone()), PATIENCE);
    let found = control.hosts().await.ok()?.replies.into_iter().map(|host| host.friendly_name);
    let names: BTreeSet<String> = found.filter(|name| !ended.contains(name)).collect();
    (!names.is_empty()).then(|| named(&names))
}

fn options(port: u16, creds: Option<Creds>) -> NatsOptions {
    let (jwt, seed) = creds.map_or((None, None), |creds| (creds.jwt, Some(creds.seed)));
    NatsOptions {
        urls: vec![format!("nats://127.0.0.1:{port}")],
        jwt,
        seed,
        name: CLIENT_NAME.to_owned(),
        connect_timeout: PATIENCE,
        ..NatsOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users_among(connected: &[&str], ended: &[&str]) -> Option<String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        clients(owned(connected), &owned(ended))
    }

    #[test]
    fn hosts_and_tools_of_others_use_a_server_and_what_is_ending_does_not() {
        assert_eq!(users_among(&["wash", "wash", "old control", "old rpc", "provider redis"], &["old"]), None);
        assert_eq!(users_among(&["wash", "new control", "new rpc"], &["old"]), Some("`new`".to_owned()));
        assert_eq!(users_among(&["", "wadm"], &[]), Some("`a client without a name`, `wadm`".to_owned()));
        let many: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        let many = users_among(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        assert!(many.is_some_and(|text| text.ends_with("4 more")));
    }
}
