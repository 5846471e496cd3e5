//! When the NATS server that `wash up` brought along is no longer needed.
//!
//! It is needed as long as any host uses it: one of this machine, in whatever lattice, or one that just answers over
//! it. Invariant: decided and done under the server's lock, so that a host which is just starting is not cut off.

use std::time::Duration;

use lattice::{
    LatticeId,
    client::{ControlClient, NatsOptions, connect},
    subject::ControlRoot,
};

use crate::{
    failure::Result,
    home::{Home, subdirectories},
    hosts_here,
    nats_server::ServerDir,
};

const PATIENCE: Duration = Duration::from_secs(1);

/// Stops every NATS server that `wash up` started and nobody uses any more. Says whether one was stopped.
///
/// # Errors
/// A server does not end.
pub async fn stop_unused(home: &Home, lattice: &LatticeId) -> Result<bool> {
    let mut stopped = false;
    for directory in subdirectories(home.root()) {
        let port = directory.file_name().and_then(|name| name.to_str()?.strip_prefix("nats-")?.parse().ok());
        if let Some(port) = port {
            stopped |= stop_one_unused(home, port, lattice).await?;
        }
    }
    Ok(stopped)
}

/// Stops the NATS server of one port if `wash up` started it and nobody uses it any more.
///
/// # Errors
/// The server does not end.
pub async fn stop_one_unused(home: &Home, port: u16, lattice: &LatticeId) -> Result<bool> {
    let server = ServerDir::new(home.nats(port), port);
    if server.running().is_none() {
        return Ok(false);
    }
    let lock = server.lock().await?;
    if is_used_here(home, port).await || is_used_over(port, lattice).await {
        return Ok(false);
    }
    server.stop(&lock).await
}

async fn is_used_here(home: &Home, port: u16) -> bool {
    let end = format!(":{port}");
    hosts_here::answering_anywhere(home)
        .await
        .iter()
        .any(|host| host.summary.ctl_host.ends_with(&end) || host.summary.rpc_host.ends_with(&end))
}

/// Hosts with another home, or of another make, are found by asking over the server itself.
async fn is_used_over(port: u16, lattice: &LatticeId) -> bool {
    let options = NatsOptions {
        urls: vec![host::nats_url("127.0.0.1", port)],
        name: "wash".to_owned(),
        connect_timeout: PATIENCE,
        ..NatsOptions::default()
    };
    let Ok(client) = connect(&options).await else { return false };
    ControlClient::nats(client, ControlRoot::new(lattice.clone()), PATIENCE).hosts().await.is_ok()
}
