//! Which NATS server the host uses: one that answers, one that is started, one that is waited for, or none.

use std::{net::IpAddr, time::Duration};

use lattice::LatticeId;
use serde::{Deserialize, Serialize};

use super::UpArgs;
use crate::{
    context::Context,
    failure::{Failure, Result},
    home::Home,
    nats_cleanup,
    nats_server::{self, Probe, Program, ServerDir, ServerLock, ServerOptions, is_recent_enough, probe},
};

const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// The NATS server of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Broker {
    /// None, because none was found (`missing`) or none is wanted.
    None {
        /// None was found.
        missing: bool,
    },
    /// One that answered.
    Present {
        /// Where.
        url: String,
    },
    /// One that was started now.
    Started {
        /// Where.
        url: String,
        /// Its port on this machine.
        port: u16,
        /// What its log is called.
        log: String,
    },
    /// One that is away.
    Awaited {
        /// Where.
        url: String,
    },
}

impl Broker {
    /// Its address.
    pub fn url(&self) -> Option<String> {
        match self {
            Self::None { .. } => None,
            Self::Present { url } | Self::Started { url, .. } | Self::Awaited { url } => Some(url.clone()),
        }
    }

    /// How it is shown.
    pub fn shown(&self) -> String {
        match self {
            Self::None { .. } => "none: a single host".to_owned(),
            Self::Present { url } => url.clone(),
            Self::Started { url, log, .. } => format!("{url} (started now; log {log})"),
            Self::Awaited { url } => format!("{url} (away; the host keeps trying)"),
        }
    }

    /// Stops a server that was started for a host which did not come up.
    pub async fn undo(&self, home: &Home, lattice: &LatticeId) {
        if let Self::Started { port, .. } = self {
            let _ = nats_cleanup::stop_one_unused(home, *port, lattice).await;
        }
    }
}

/// Where the settings say that NATS is.
struct Address<'a> {
    host: &'a str,
    port: u16,
    /// Whether a server could be started there.
    ours_to_start: bool,
}

fn address(args: &UpArgs) -> Address<'_> {
    let host = &args.host;
    let nats = (host.nats_host.as_str(), host.nats_port);
    let of = |name: &'_ Option<String>, port: Option<u16>| {
        (name.clone().unwrap_or_else(|| nats.0.to_owned()), port.unwrap_or(nats.1))
    };
    let plain = (nats.0.to_owned(), nats.1);
    let one_server = of(&host.ctl_host, host.ctl_port) == plain && of(&host.rpc_host, host.rpc_port) == plain;
    Address {
        host: host.ctl_host.as_deref().unwrap_or(nats.0),
        port: host.ctl_port.unwrap_or(nats.1),
        ours_to_start: one_server
            && is_loopback(nats.0)
            && !args.nats.nats_connect_only
            && !args.nats.nats_wait
            && !host.nats.is_particular(),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Takes the lock of the server that may have to be started, so that two `wash up` at once start one.
///
/// # Errors
/// The directory cannot be written.
pub async fn lock(args: &UpArgs, home: &Home) -> Result<Option<ServerLock>> {
    let address = address(args);
    if args.nats.no_nats || !address.ours_to_start {
        return Ok(None);
    }
    ServerDir::new(home.nats(address.port), address.port).lock().await.map(Some)
}

/// Finds or starts the server.
///
/// # Errors
/// The port is taken by something else, the server is too old, or it does not start.
pub async fn settle(args: &UpArgs, lock: Option<&ServerLock>, context: &Context) -> Result<Broker> {
    if args.nats.no_nats {
        return Ok(Broker::None { missing: false });
    }
    let address = address(args);
    let url = host::nats_url(address.host, address.port);
    if address.host.contains("://") || address.host.contains(',') {
        // A full URL may carry TLS or several details that a plain look cannot judge; the host finds out.
        return Ok(Broker::Present { url });
    }
    match probe(address.host, address.port, PROBE_PATIENCE).await {
        Probe::Nats { version, jetstream } => {
            if let Some(old) = version.filter(|version| !is_recent_enough(version)) {
                let (major, minor) = nats_server::OLDEST;
                return Err(Failure::new(format!(
                    "the NATS server at {url} is version {old}; {major}.{minor} or newer is needed"
                ))
                .hint("stop it and let `wash up` start a newer one, or choose another port with `--nats-port`"));
            }
            if !jetstream {
                context.printer.note(format!(
                    "note: the NATS server at {url} has no JetStream; links and claims are only kept on each host"
                ));
            }
            Ok(Broker::Present { url })
        }
        Probe::Other => Err(Failure::new(format!(
            "{}:{} is in use by something that is not a NATS server",
            address.host, address.port
        ))
        .hint("choose another port with `--nats-port`, or start a single host with `--no-nats`")),
        Probe::Closed => match lock {
            None => Ok(Broker::Awaited { url }),
            Some(lock) => match nats_server::find(args.nats.nats_server.as_deref(), &context.home).await? {
                None => Ok(Broker::None { missing: true }),
                Some(program) => start(args, &program, address.port, url, lock, context).await,
            },
        },
    }
}

async fn start(
    args: &UpArgs,
    program: &Program,
    port: u16,
    url: String,
    lock: &ServerLock,
    context: &Context,
) -> Result<Broker> {
    let server = ServerDir::new(context.home.nats(port), port);
    let options = ServerOptions {
        domain: args.nats.nats_js_domain.clone(),
        leaf_remote: args.nats.nats_remote_url.clone(),
        leaf_credentials: args.nats.nats_credsfile.clone(),
        websocket_port: args.nats.nats_websocket_port,
    };
    context.printer.note(format!("starting NATS {} ({}) on port {port}", program.version, program.path.display()));
    server.start(lock, program, &options).await?;
    Ok(Broker::Started { url, port, log: server.log().display().to_string() })
}
