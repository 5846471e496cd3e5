//! The way to a lattice: a NATS server, or where nobody named one, the control socket of a host of this machine.
//!
//! Decides which way and opens it. Invariants: a server that was named and does not answer is an error, and so is every
//! server which answers and refuses: no command ever reaches another lattice than the one that was asked for.

use std::{path::PathBuf, time::Duration};

use lattice::{
    client::{ConnectError, ControlClient, Denials, NatsOptions, connect_watched},
    subject::{ControlRoot, Role},
};

use crate::{
    context::Context,
    lattice::connection::Connection,
    machine::{
        home::Home,
        hosts_here::{self, LocalHost},
    },
    nats_server,
    terminal::failure::{Failure, OrFail, Result},
};

/// How long a server on the default address may take to answer before it counts as absent.
const DEFAULT_ADDRESS_PATIENCE: Duration = Duration::from_millis(300);

/// An open way to a lattice.
#[derive(Debug)]
pub struct Reached {
    /// Asks hosts.
    pub control: ControlClient,
    /// Which way it is.
    pub way: Way,
    /// Hosts of this machine that can be asked over their own sockets, when nothing connects them.
    pub alone: Vec<LocalHost>,
}

/// The ways.
#[derive(Debug, Clone)]
pub enum Way {
    /// Over a NATS server, with what it forbids us.
    Nats(async_nats::Client, Denials),
    /// Over the control socket of one host.
    Socket(PathBuf),
}

/// Reaches the lattice of `connection`.
///
/// # Errors
/// Neither way is open, or the NATS server was named and is away, or it refuses us.
pub async fn reach(connection: &Connection, context: &Context) -> Result<Reached> {
    reach_with(connection, connection.timeout, context).await
}

/// As [`reach`], with another time to wait for each answer.
///
/// # Errors
/// As [`reach`].
pub async fn reach_with(connection: &Connection, timeout: Duration, context: &Context) -> Result<Reached> {
    let root = control_root(connection)?;
    let lattice = &connection.lattice;
    if let Some(path) = &connection.socket {
        context.printer.detail(|| format!("lattice `{lattice}` over the control socket {}", path.display()));
        return Ok(over_socket(path.clone(), root, timeout));
    }
    if connection.no_nats {
        return any_host_here(connection, root, timeout, context)
            .await
            .ok_or_else(|| no_host_here(connection, context));
    }
    match connect_watched(&nats_options(connection, &context.home)).await {
        Ok((client, denials)) => {
            context.printer.detail(|| format!("lattice `{lattice}` over NATS at {}", connection.server()));
            let control = ControlClient::nats(client.clone(), root, timeout).with_denials(denials.clone());
            Ok(Reached { control, way: Way::Nats(client, denials), alone: Vec::new() })
        }
        Err(absent @ (ConnectError::Unreachable { .. } | ConnectError::TimedOut { .. })) => {
            if connection.named {
                return Err(named_is_away(connection, &absent));
            }
            let found = any_host_here(connection, root, timeout, context).await;
            found.ok_or_else(|| nowhere(connection, &context.home, &absent))
        }
        Err(denied @ ConnectError::Denied { .. }) => Err(refused(connection, denied)),
        Err(error) => Err(Failure::from(error)),
    }
}

/// The subject root of the control interface.
///
/// # Errors
/// The prefix is no subject.
pub fn control_root(connection: &Connection) -> Result<ControlRoot> {
    match &connection.topic_prefix {
        Some(prefix) => ControlRoot::with_prefix(prefix, connection.lattice.clone())
            .while_doing(|| "`--ctl-topic-prefix` is unusable".to_owned()),
        None => Ok(ControlRoot::new(connection.lattice.clone())),
    }
}

fn over_socket(path: PathBuf, root: ControlRoot, timeout: Duration) -> Reached {
    Reached { control: ControlClient::socket(path.clone(), root, timeout), way: Way::Socket(path), alone: Vec::new() }
}

/// The options of one attempt.
pub fn nats_options(connection: &Connection, home: &Home) -> NatsOptions {
    let mut options = NatsOptions {
        urls: connection.servers.urls(),
        tls: connection.tls.required,
        tls_ca: connection.tls.ca.clone(),
        tls_cert: connection.tls.cert.clone(),
        tls_key: connection.tls.key.clone(),
        inbox_prefix: Role::Operator.inbox(),
        jwt: connection.jwt.clone(),
        seed: connection.seed.clone(),
        creds_file: connection.creds_file.clone(),
        name: nats_server::CLIENT_NAME.to_owned(),
        connect_timeout: if connection.named { connection.timeout } else { DEFAULT_ADDRESS_PATIENCE },
        ..NatsOptions::default()
    };
    nats_server::log_in(&mut options, home);
    options
}

/// The first host of this machine that answers on its own socket.
async fn any_host_here(
    connection: &Connection,
    root: ControlRoot,
    timeout: Duration,
    context: &Context,
) -> Option<Reached> {
    let hosts = hosts_here::answering(&context.home, &root).await;
    let host = hosts.first()?;
    let way = format!("the control socket of `{}` ({})", host.name(), host.socket().display());
    context.printer.detail(|| format!("lattice `{}` over {way}", connection.lattice));
    if hosts.len() > 1 {
        context.printer.note(format!(
            "{} hosts of this machine answer, each by itself; links and claims are those of `{}` (choose with --socket)",
            hosts.len(),
            host.name()
        ));
    }
    let reached = over_socket(host.socket(), root, timeout);
    Some(Reached { alone: hosts, ..reached })
}

fn within(absent: &ConnectError) -> String {
    match absent {
        ConnectError::TimedOut { after, .. } => format!(" within {} ms", after.as_millis()),
        _ => String::new(),
    }
}

fn named_is_away(connection: &Connection, absent: &ConnectError) -> Failure {
    Failure::new(format!(
        "cannot reach lattice `{}`: no NATS server answers at {}{}",
        connection.lattice,
        connection.server(),
        within(absent)
    ))
    .hint("nothing was done; start a host and NATS with `wash up`, name a server that runs, or ask hosts of this machine with `--no-nats`")
}

fn nowhere(connection: &Connection, home: &Home, absent: &ConnectError) -> Failure {
    Failure::new(format!(
        "cannot reach lattice `{}`: no NATS server answers at {}{}, and no host of this machine has a control socket under {}",
        connection.lattice,
        connection.server(),
        within(absent),
        home.hosts_of(&connection.lattice).display(),
    ))
    .hint("start a host with `wash up`, or name a NATS server with `--ctl-host` and `--ctl-port`")
}

fn no_host_here(connection: &Connection, context: &Context) -> Failure {
    Failure::new(format!(
        "no host of this machine answers in lattice `{}`: none has a control socket under {}",
        connection.lattice,
        context.home.hosts_of(&connection.lattice).display()
    ))
    .hint("start one with `wash up --no-nats`")
}

/// The server does not know us. On this machine there is mostly one reason.
fn refused(connection: &Connection, denied: ConnectError) -> Failure {
    let anonymous = connection.jwt.is_none() && connection.seed.is_none() && connection.creds_file.is_none();
    let here = connection.servers.single().filter(|server| server.is_loopback() && !server.has_login());
    match here {
        Some(server) if anonymous => Failure::from(denied).hint(nats_server::whose_server(server.port())),
        _ => Failure::from(denied),
    }
}
