//! `wash up`: a host on this machine, and NATS for it if need be.
//!
//! Order: find or start NATS, choose a state directory, start the host in this process, or in a process of its own with
//! `--detached`. Invariant: whatever was started here is stopped again when a later step fails.

mod broker;
mod detached;
mod foreground;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use claims::KeyKind;
use clap::Args;
use host::{HostArgs, HostConfig, NativeIssuers};
use lattice::{LatticeId, subject::ControlRoot};
use serde::{Deserialize, Serialize};

use self::broker::Broker;
use crate::{
    context::Context,
    failure::{Failure, OrFail, Result},
    files::create_private_dir,
    hosts_here::{self, Choosing, LocalHost},
    keystore::KeyStore,
    nats_server::WAYS_TO_GET,
    output::Output,
    trusted_issuers::TrustedIssuers,
};

/// Options of `wash up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Run in the background; logs go to a file
    #[arg(short = 'd', long)]
    detached: bool,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    host: HostArgs,
    /// Key directory: providers of the accounts in it run here [default: ~/.wash/keys]
    #[arg(long, env = "WASH_KEYS", value_name = "DIR")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    old: OldArgs,
    /// Say more
    #[arg(short = 'v', long = "verbose", id = "connection_verbose")]
    pub verbose: bool,
    /// What the process in front has settled for the one in the background
    #[arg(long, hide = true, value_parser = Plan::parse)]
    plan: Option<Plan>,
}

/// Options about the NATS server.
#[derive(Debug, Clone, Args)]
pub struct NatsArgs {
    /// NATS server program [default: `nats-server` on PATH, then in ~/.wash/bin]
    #[arg(long, env = "NATS_SERVER_BIN", value_name = "FILE", help_heading = "NATS server")]
    nats_server: Option<PathBuf>,
    /// Never start a NATS server: use the one at `--nats-host`, and wait for it if it is away
    #[arg(long, help_heading = "NATS server")]
    nats_connect_only: bool,
    /// Do not start a NATS server when none answers, but start the host and wait for one
    #[arg(long, help_heading = "NATS server")]
    nats_wait: bool,
    /// No NATS at all: a single host, which is a small lattice by itself
    #[arg(long, conflicts_with_all = ["nats_connect_only", "nats_wait"], help_heading = "NATS server")]
    no_nats: bool,
    /// Let a NATS server that is started take everybody: any user and program of this machine then commands the lattice
    #[arg(long, help_heading = "NATS server")]
    nats_open: bool,
    /// JetStream domain of a NATS server that is started
    #[arg(long, value_name = "DOMAIN", help_heading = "NATS server")]
    nats_js_domain: Option<String>,
    /// Let a NATS server that is started join this one as a leaf node
    #[arg(long, value_name = "URL", help_heading = "NATS server")]
    nats_remote_url: Option<String>,
    /// Credentials file for `--nats-remote-url`
    #[arg(long, value_name = "FILE", requires = "nats_remote_url", help_heading = "NATS server")]
    nats_credsfile: Option<PathBuf>,
    /// Let a NATS server that is started also serve websockets
    #[arg(long, value_name = "PORT", help_heading = "NATS server", value_parser = clap::value_parser!(u16).range(1..))]
    nats_websocket_port: Option<u16>,
    /// Web origin, such as `http://localhost:3000`, whose pages may use the websocket port; repeatable. Default: none
    #[arg(long, value_name = "ORIGIN", requires = "nats_websocket_port", help_heading = "NATS server")]
    nats_websocket_origin: Vec<String>,
}

/// Options of older versions which choose what is now compiled in; accepted and without effect.
#[derive(Debug, Args)]
struct OldArgs {
    #[arg(long, hide = true)]
    nats_version: Option<String>,
    #[arg(long, hide = true)]
    wasmcloud_version: Option<String>,
    #[arg(long, hide = true)]
    wadm_version: Option<String>,
    #[arg(long, hide = true)]
    disable_wadm: bool,
}

impl OldArgs {
    fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.nats_version.is_some(), "--nats-version"),
            (self.wasmcloud_version.is_some(), "--wasmcloud-version"),
            (self.wadm_version.is_some(), "--wadm-version"),
        ];
        flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }
}

/// What was settled before the host starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    #[serde(with = "path_as_it_is")]
    state_dir: PathBuf,
    broker: Broker,
}

/// A path in JSON, also where it is no text.
mod path_as_it_is {
    use std::{
        ffi::OsString,
        path::{Path, PathBuf},
    };

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

impl Plan {
    fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// Runs `wash up`. In the foreground it returns when the host has stopped.
///
/// # Errors
/// A setting is wrong, a port is taken, or the host does not start.
pub async fn run(mut args: UpArgs, context: &Context) -> Result<Output> {
    args.host.allow_file_load.get_or_insert(true);
    if let Some(flag) = args.old.given() {
        context.printer.note(format!(
            "note: `{flag}` has no effect: the host is part of wash, and NATS is the program that is found"
        ));
    }
    if let Some(plan) = args.plan.take() {
        return foreground::run_as_background(args, plan, context).await;
    }
    // Checks every setting before anything is started.
    let checked = args.host.clone().into_config(PathBuf::new())?;
    let root = control_root(&checked)?;
    let server_lock = broker::lock(&args, &checked, &context.home).await?;
    let broker = broker::settle(&args, &checked, server_lock.as_ref(), context).await?;
    let outcome = start(args, &broker, &root, context).await;
    // Whoever waits for the server's lock may go on as soon as the host is up, or will never be.
    drop(server_lock);
    match outcome {
        Ok(Started::Background(output)) => Ok(output),
        Ok(Started::Foreground(host)) => foreground::run(*host, &broker, context).await,
        Err(failure) => {
            broker.undo(&context.home, root.lattice()).await;
            Err(failure)
        }
    }
}

enum Started {
    Foreground(Box<host::Host>),
    Background(Output),
}

async fn start(args: UpArgs, broker: &Broker, root: &ControlRoot, context: &Context) -> Result<Started> {
    let lattice = root.lattice();
    let choosing = match hosts_here::start_choosing(&context.home, lattice).await {
        Ok(choosing) => Some(choosing),
        // Whoever names a directory needs none of the home, which may not be there or may not be written.
        Err(failure) if args.host.state_dir.is_some() => {
            let hint = "`wash` finds this host only where its control socket is named with `--socket`";
            context.printer.note(format!("note: {}, so {hint}", failure.message()));
            None
        }
        Err(failure) => return Err(failure),
    };
    let state_dir = state_dir(&args.host, choosing.as_ref(), lattice, context)?;
    say_single(broker, root, context).await;
    let plan = Plan { state_dir, broker: broker.clone() };
    if args.detached {
        return detached::start(&plan, root, context).await.map(Started::Background);
    }
    let host = foreground::start(args, &plan, context).await?;
    Ok(Started::Foreground(Box::new(host)))
}

/// The directory that was named, or the first numbered one that is free.
fn state_dir(args: &HostArgs, choosing: Option<&Choosing>, lattice: &LatticeId, context: &Context) -> Result<PathBuf> {
    let (named, choosing) = match (&args.state_dir, choosing) {
        (Some(named), choosing) => (named, choosing),
        (None, Some(choosing)) => return hosts_here::free_state_dir(choosing, &context.home, lattice),
        (None, None) => {
            return Err(Failure::new("no state directory can be chosen").hint("name one with `--state-dir`"));
        }
    };
    let named = std::path::absolute(named)?;
    create_private_dir(&named)?;
    if host::is_in_use(&named) {
        return Err(Failure::new(format!("a host is running with the state directory `{}`", named.display()))
            .hint("choose another one with `--state-dir`, or stop that host with `wash down`"));
    }
    if let Some(choosing) = choosing {
        hosts_here::register(choosing, &context.home, lattice, &named)?;
    }
    Ok(named)
}

/// A single host is fine, and what it cannot do is said before anybody misses it.
async fn say_single(broker: &Broker, root: &ControlRoot, context: &Context) {
    let printer = &context.printer;
    match broker {
        Broker::None { missing: true } => {
            printer.note(
                "note: no nats-server was found, so this is a single host. Actors, links, scaling and built-in\n      \
                 providers all work on it; a second host cannot join before there is a NATS server. Ways to get one:",
            );
            for way in WAYS_TO_GET {
                printer.note(format!("      - {way}"));
            }
        }
        Broker::Awaited { url, .. } => {
            printer.note(format!("note: no NATS server answers at {url}; the host starts without it and waits for it"));
            return;
        }
        Broker::None { missing: false } => {}
        Broker::Present { .. } | Broker::Started { .. } => return,
    }
    let others = hosts_here::answering(&context.home, root).await;
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(LocalHost::name).collect();
        printer
            .note(format!("note: this host will not know the one that is running here already ({})", names.join(", ")));
    }
}

/// What it means that the lattice cannot have its buckets.
fn say_store(refused: Option<String>, context: &Context) {
    if let Some(reason) = refused {
        context.printer.note(format!(
            "warning: the NATS server does not let this lattice have its buckets ({reason}): links, claims and revocations stay \
             on the host that has them; see `docs/nats.md`"
        ));
    }
}

/// The settings of the host.
fn host_config(args: UpArgs, plan: &Plan, context: &Context) -> Result<HostConfig> {
    let shares_cluster_key = args.host.cluster_seed.is_none();
    let mut host = args.host;
    let names_directory = host.state_dir.replace(plan.state_dir.clone()).is_some();
    let mut config = host.into_config(plan.state_dir.clone())?;
    if shares_cluster_key {
        let store = KeyStore::new(context.home.keys(), true);
        config.cluster_key = match store.shared("cluster", KeyKind::Cluster) {
            Ok(key) => Some(key),
            // Without a home that can be written the host keeps a key of its own beside its state.
            Err(failure) if names_directory => {
                tracing::warn!(reason = %failure, "no cluster key in the key directory; this host uses one of its own");
                None
            }
            Err(failure) => return Err(failure),
        };
    }
    if matches!(config.native_issuers, NativeIssuers::Named) {
        let keys = KeyStore::new(args.keys.unwrap_or_else(|| context.home.keys()), false);
        config.native_issuers = NativeIssuers::Known(Arc::new(TrustedIssuers::beside(keys)));
    }
    if matches!(plan.broker, Broker::None { .. }) {
        (config.ctl, config.rpc) = (None, None);
    }
    if plan.broker.creds().is_some() || matches!(plan.broker, Broker::Awaited { .. }) {
        config.use_local_nats(context.home.root());
    }
    config.js_domain = config.js_domain.or(args.nats.nats_js_domain);
    Ok(config)
}

fn control_root(config: &HostConfig) -> Result<ControlRoot> {
    match &config.ctl_topic_prefix {
        Some(prefix) => ControlRoot::with_prefix(prefix, config.lattice.clone())
            .while_doing(|| "`--ctl-topic-prefix` is unusable".to_owned()),
        None => Ok(ControlRoot::new(config.lattice.clone())),
    }
}

/// What is shown when the host is up.
fn announce(name: &str, id: &str, root: &ControlRoot, plan: &Plan, log: Option<&Path>, stop: &str) -> Output {
    let socket = host::socket_path(&plan.state_dir);
    let mut text = format!(
        "Host `{name}` ({id}) is up in lattice `{}`\n  nats    {}\n  socket  {}",
        root.lattice(),
        plan.broker.shown(),
        socket.display(),
    );
    if let Some(creds) = plan.broker.creds() {
        text.push_str(&format!("\n  creds   {} (for other NATS tools)", creds.display()));
    }
    if let Some(log) = log {
        text.push_str(&format!("\n  log     {}", log.display()));
    }
    text.push_str(&format!("\n  stop    {stop}"));
    text.push_str("\n  next    wash start provider builtin://httpserver; wash start actor ./FILE_s.wasm; wash help");
    Output::text(text)
        .with("host_id", id)
        .with("friendly_name", name)
        .with("lattice", root.lattice().as_str())
        .with("nats_url", plan.broker.url())
        .with("nats_creds", plan.broker.creds().map(|creds| creds.to_string_lossy().into_owned()))
        .with("socket", socket.to_string_lossy())
        .with("state_dir", plan.state_dir.to_string_lossy())
        .with("wasmcloud_log", log.map(|log| log.to_string_lossy().into_owned()))
        .with("kill_cmd", "wash down")
}
