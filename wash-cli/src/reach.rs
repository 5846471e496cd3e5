//! The way to a lattice: NATS when its address answers, else the control socket of a host of this machine.
//!
//! Decides which way and opens it. Invariants: a server which answers and refuses is an error, never a reason to go
//! another way; and a way other than the one the user named is always said.

use std::{path::PathBuf, time::Duration};

use lattice::{
    client::{ConnectError, ControlClient, Denials, NatsOptions, connect_watched},
    subject::{ControlRoot, Role},
};

use crate::{
    connection::Connection,
    context::Context,
    failure::{Failure, OrFail, Result},
    home::Home,
    hosts_here::{self, LocalHost},
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
/// Neither way is open, or the NATS server refuses us.
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
    match connect_watched(&nats_options(connection)).await {
        Ok((client, denials)) => {
            context.printer.detail(|| format!("lattice `{lattice}` over NATS at {}", connection.server()));
            let control = ControlClient::nats(client.clone(), root, timeout).with_denials(denials.clone());
            Ok(Reached { control, way: Way::Nats(client, denials), alone: Vec::new() })
        }
        Err(absent @ (ConnectError::Unreachable { .. } | ConnectError::TimedOut { .. })) => {
            let hosts = hosts_here::answering(&context.home, &root).await;
            let Some(host) = hosts.first() else {
                return Err(nowhere(connection, &context.home, &absent));
            };
            say_socket(connection, host, hosts.len(), context);
            let reached = over_socket(host.socket(), root, timeout);
            Ok(Reached { alone: hosts, ..reached })
        }
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
pub fn nats_options(connection: &Connection) -> NatsOptions {
    NatsOptions {
        urls: host::nats_urls(&connection.host, connection.port),
        tls: connection.tls.required,
        tls_ca: connection.tls.ca.clone(),
        tls_cert: connection.tls.cert.clone(),
        tls_key: connection.tls.key.clone(),
        inbox_prefix: Role::Operator.inbox(),
        jwt: connection.jwt.clone(),
        seed: connection.seed.clone(),
        creds_file: connection.creds_file.clone(),
        name: "wash".to_owned(),
        connect_timeout: if connection.named { connection.timeout } else { DEFAULT_ADDRESS_PATIENCE },
        ..NatsOptions::default()
    }
}

fn say_socket(connection: &Connection, host: &LocalHost, count: usize, context: &Context) {
    let way = format!("the control socket of `{}` ({})", host.name(), host.socket().display());
    if connection.named {
        let server = connection.server();
        context.printer.note(format!("no NATS server answers at {server}: using {way}"));
    } else {
        context.printer.detail(|| format!("lattice `{}` over {way}", connection.lattice));
    }
    if count > 1 {
        context.printer.note(format!(
            "{count} hosts of this machine answer, each by itself; links and claims are those of `{}` (choose with --socket)",
            host.name()
        ));
    }
}

fn nowhere(connection: &Connection, home: &Home, absent: &ConnectError) -> Failure {
    let why = match absent {
        ConnectError::TimedOut { after, .. } => format!(" within {} ms", after.as_millis()),
        _ => String::new(),
    };
    Failure::new(format!(
        "cannot reach lattice `{}`: no NATS server answers at {}{why}, and no host of this machine has a control socket under {}",
        connection.lattice,
        connection.server(),
        home.hosts_of(&connection.lattice).display(),
    ))
    .hint("start a host with `wash up`, or name a NATS server with `--ctl-host` and `--ctl-port`")
}
