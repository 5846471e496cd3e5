//! Which NATS server the host uses: one that answers, one that is started, one that is waited for, or none.

use std::{path::Path, time::Duration};

use host::{HostConfig, LocalNats};
use lattice::{
    LatticeId,
    client::{ConnectError, DEFAULT_PORT, NatsOptions, Server, Servers, connect},
};

use super::{options::UpArgs, plan::Broker};
use crate::{
    context::Context,
    machine::home::Home,
    nats_server::{
        self, CLIENT_NAME, cleanup,
        find::{OLDEST, Program, find, is_recent_enough},
        login::{Login, forget},
        probe::{Probe, probe},
        process::{ServerDir, ServerLock, ServerOptions},
    },
    terminal::failure::{Failure, Result},
};

const PATIENCE: Duration = Duration::from_secs(1);

/// Stops a server that was started for a host which did not come up.
pub async fn undo(broker: &Broker, home: &Home, lattice: &LatticeId) {
    if let Broker::Started { port, .. } = broker {
        let _ = cleanup::stop_one_unused(home, *port, lattice).await;
    }
}

/// How the control connection is to be made.
fn options(checked: &HostConfig) -> NatsOptions {
    let options = checked.ctl.clone().unwrap_or_default();
    NatsOptions { retry: false, connect_timeout: PATIENCE, name: CLIENT_NAME.to_owned(), ..options }
}

fn servers(options: &NatsOptions) -> Result<Servers> {
    Ok(Servers::parse(&options.urls.join(","), DEFAULT_PORT)?)
}

/// The port on which a server may be started here: where both connections lead to one of this machine, of which nobody said
/// who to be there.
fn port_to_start(args: &UpArgs, checked: &HostConfig) -> Option<u16> {
    let nats = &args.nats;
    if nats.no_nats || nats.nats_connect_only || nats.nats_wait || args.host.nats.is_particular() {
        return None;
    }
    let meant = |options: &Option<NatsOptions>| LocalNats::meant_by(options.as_ref()?, Path::new(""));
    let (ctl, rpc) = (meant(&checked.ctl)?, meant(&checked.rpc)?);
    (ctl.port() == rpc.port()).then(|| ctl.port())
}

/// Takes the lock of the server that may have to be started, so that two `wash up` at once start one.
///
/// # Errors
/// The directory cannot be written, or is not this user's.
pub async fn lock(args: &UpArgs, checked: &HostConfig, home: &Home) -> Result<Option<ServerLock>> {
    match port_to_start(args, checked) {
        Some(port) => ServerDir::of(LocalNats::of(home.root(), port)).lock().await.map(Some),
        None => Ok(None),
    }
}

/// Finds or starts the server.
///
/// # Errors
/// The port is taken by something else, the server is too old, does not know us, or does not start.
pub async fn settle(
    args: &UpArgs,
    checked: &HostConfig,
    lock: Option<&ServerLock>,
    context: &Context,
) -> Result<Broker> {
    if args.nats.no_nats {
        return Ok(Broker::None { missing: false });
    }
    let options = options(checked);
    let servers = servers(&options)?;
    let Some(server) = servers.single() else { return join(options, &servers, context).await };
    match probe(server.host(), server.port(), PATIENCE).await {
        Probe::Nats { version, open } => {
            if let Some(old) = version.filter(|version| !is_recent_enough(version)) {
                return Err(too_old(server, &old));
            }
            say_open(open, args, server, context);
            join(options, &servers, context).await
        }
        Probe::Other => Err(Failure::new(format!(
            "{}:{} is in use by something that is not a NATS server",
            server.host(),
            server.port()
        ))
        .hint("choose another port with `--nats-port`, or start a single host with `--no-nats`")),
        Probe::Closed => match (lock, port_to_start(args, checked)) {
            (Some(lock), Some(port)) => match find(args.nats.nats_server.as_deref(), &context.home).await? {
                None => Ok(Broker::None { missing: true }),
                Some(program) => start(args, &program, port, lock, context).await,
            },
            _ => Ok(Broker::Awaited { url: servers.to_string() }),
        },
    }
}

fn too_old(server: &Server, version: &semver::Version) -> Failure {
    let (major, minor) = OLDEST;
    Failure::new(format!("the NATS server at {server} is version {version}; {major}.{minor} or newer is needed"))
        .hint("stop it and let `wash up` start a newer one, or choose another port with `--nats-port`")
}

/// A server that takes everybody is joined, and what that means is said.
fn say_open(open: bool, args: &UpArgs, server: &Server, context: &Context) {
    if open {
        context.printer.note(format!(
            "warning: the NATS server at {server} asks nobody who he is: whoever reaches it commands this lattice"
        ));
    } else if args.nats.nats_open {
        context.printer.note(format!(
            "note: `--nats-open` has no effect: the NATS server at {server} runs already, and asks for credentials"
        ));
    }
}

/// Tries what the host will do, so that a server which refuses is an error now and not a line in a log.
async fn join(mut options: NatsOptions, servers: &Servers, context: &Context) -> Result<Broker> {
    let local = LocalNats::meant_by(&options, context.home.root());
    let ours = nats_server::log_in(&mut options, &context.home);
    let creds = local.as_ref().filter(|_| ours).map(LocalNats::creds_file);
    let url = servers.to_string();
    match connect(&options).await {
        Ok(_) => Ok(Broker::Present { url, creds }),
        Err(ConnectError::Unreachable { .. } | ConnectError::TimedOut { .. }) => Ok(Broker::Awaited { url }),
        Err(denied @ ConnectError::Denied { .. }) => Err(match local {
            Some(local) => Failure::from(denied).hint(nats_server::whose_server(local.port())),
            None => Failure::from(denied),
        }),
        Err(error) => Err(error.into()),
    }
}

async fn start(args: &UpArgs, program: &Program, port: u16, lock: &ServerLock, context: &Context) -> Result<Broker> {
    let server = ServerDir::of(LocalNats::of(context.home.root(), port));
    let nats = &args.nats;
    let login = match nats.nats_open {
        true => forget(server.local()).map(|()| None)?,
        false => Some(Login::of(server.local())?),
    };
    let creds = login.as_ref().map(|login| login.creds_file.clone());
    let options = ServerOptions {
        domain: nats.nats_js_domain.clone(),
        leaf_remote: nats.nats_remote_url.clone(),
        leaf_credentials: nats.nats_credsfile.clone(),
        websocket_port: nats.nats_websocket_port,
        websocket_origins: nats.nats_websocket_origin.clone(),
        login,
    };
    context.printer.note(format!("starting NATS {} ({}) on port {port}", program.version, program.path.display()));
    if nats.nats_open {
        context.printer.note(
            "warning: `--nats-open`: every user and every program of this machine may now command this lattice, and so run \
             programs as you",
        );
    }
    server.start(lock, program, &options).await?;
    let url = format!("nats://127.0.0.1:{port}");
    Ok(Broker::Started { url, port, log: server.log().display().to_string(), creds })
}
