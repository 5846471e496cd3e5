//! `wash call`: calls an operation of an actor, as the holder of a trusted cluster key.

mod payload;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use claims::{ActorId, HostId, KeyPair};
use clap::Args;
use lattice::{
    client::RpcClient,
    invocation::{Entity, Invocation},
    subject::RpcSubject,
};

use crate::{
    context::Context,
    keys::signing::{cluster_key, now},
    lattice::{
        connection::{Connection, ConnectionArgs, Side, TlsArgs},
        reach::Way,
        view::Lattice,
    },
    machine::given_file,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// The host id under which this tool calls; every host of the lattice knows it.
const WASH_HOST_ID: &str = "NAWASHVALZUZPZNXPIF6HGQ4OMJYLXQ4B2WZZ5AMBCXKWEQPYXDOIWMA";

/// Options of `wash call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// Actor: id, its beginning, or part of its name or call alias
    actor_id: String,
    /// Operation, `Trait.Method`
    operation: String,
    /// Argument, as JSON
    #[arg(value_name = "JSON")]
    payload: Option<String>,
    /// File with the argument, as JSON
    #[arg(short = 'd', long, value_name = "FILE", conflicts_with = "payload")]
    data: Option<PathBuf>,
    /// Write the answer to this file as it came
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// How bytes in the answer are shown: numbers (b), text (s), or both (2)
    #[arg(long, default_value = "b")]
    bin: payload::Bytes,
    /// Cluster key that signs the call: a seed, or a file that holds one [default: the one of `wash up`]
    #[arg(short = 'c', long, env = "WASH_CLUSTER_SEED", value_name = "SEED|FILE", hide_env_values = true)]
    cluster_seed: Option<OsString>,
    #[command(flatten)]
    rpc: RpcArgs,
}

/// Connection options of calls; they name the other connection of a lattice.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
struct RpcArgs {
    /// NATS server of calls [default: 127.0.0.1]
    #[arg(short = 'r', long, env = "WASMCLOUD_RPC_HOST", value_name = "HOST", hide_env_values = true)]
    rpc_host: Option<String>,
    /// Its port, where the address brings none [default: 4222]
    #[arg(short = 'p', long, env = "WASMCLOUD_RPC_PORT", value_name = "PORT", hide_env_values = true,
          value_parser = clap::value_parser!(u16).range(1..))]
    rpc_port: Option<u16>,
    /// NATS user JWT; needs `--rpc-seed`
    #[arg(long, env = "WASMCLOUD_RPC_JWT", value_name = "JWT", hide_env_values = true)]
    rpc_jwt: Option<String>,
    /// NATS user seed, or a file that holds it
    #[arg(long, env = "WASMCLOUD_RPC_SEED", value_name = "SEED", hide_env_values = true)]
    rpc_seed: Option<OsString>,
    /// NATS credentials file, instead of JWT and seed
    #[arg(long, env = "WASH_RPC_CREDS", value_name = "FILE")]
    rpc_credsfile: Option<PathBuf>,
    /// How to speak TLS with it
    #[command(flatten)]
    tls: TlsArgs,
    /// Lattice [default: default]
    #[arg(short = 'x', long, alias = "lattice-prefix", env = "WASMCLOUD_LATTICE", hide_env_values = true)]
    lattice: Option<String>,
    /// How long to wait for the answer, milliseconds [default: 2000]
    #[arg(short = 't', long, alias = "rpc-timeout-ms", env = "WASMCLOUD_RPC_TIMEOUT_MS", hide_env_values = true)]
    timeout_ms: Option<u64>,
    /// Saved connection settings to start from
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Control socket of one host of this machine, instead of NATS
    #[arg(long, env = "WASH_SOCKET", value_name = "PATH", hide_env_values = true)]
    socket: Option<PathBuf>,
    /// Only hosts of this machine, over their control sockets: no NATS server is looked for
    #[arg(long, env = "WASH_NO_NATS", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue,
          hide_env_values = true)]
    no_nats: bool,
    /// Say which way the lattice was reached
    #[arg(short = 'v', long = "verbose", id = "connection_verbose")]
    verbose: bool,
}

impl RpcArgs {
    fn resolve(&self, context: &Context) -> Result<Connection> {
        let args = ConnectionArgs {
            ctl_host: self.rpc_host.clone(),
            ctl_port: self.rpc_port,
            ctl_jwt: self.rpc_jwt.clone(),
            ctl_seed: self.rpc_seed.clone(),
            ctl_credsfile: self.rpc_credsfile.clone(),
            tls: self.tls.clone(),
            lattice: self.lattice.clone(),
            timeout_ms: self.timeout_ms,
            context: self.context.clone(),
            socket: self.socket.clone(),
            no_nats: self.no_nats,
            ..ConnectionArgs::default()
        };
        args.resolve_for(Side::Rpc, context)
    }
}

/// Runs `wash call`.
///
/// # Errors
/// There is no cluster key, the argument is no JSON, or the call fails.
pub async fn run(args: &CallArgs, context: &Context) -> Result<Output> {
    let connection = args.rpc.resolve(context)?;
    let cluster = cluster_key(args.cluster_seed.as_deref(), connection.cluster_seed.as_deref(), "call", context)?;
    let message = payload::from_json(&args.argument()?)?;
    let lattice = Lattice::reach(connection, context).await?;
    let actor = lattice.actor(&args.actor_id).await?;
    let answer = call(&lattice, actor, &args.operation, message, &cluster).await?;
    if let Some(path) = &args.save {
        fs::write(path, &answer).while_doing(|| format!("cannot write `{}`", path.display()))?;
        let text = format!("Wrote {} bytes to {}", answer.len(), path.display());
        return Ok(Output::text(text).with("file", path.to_string_lossy()));
    }
    Ok(payload::show(&answer, args.bin))
}

impl CallArgs {
    fn argument(&self) -> Result<String> {
        match (&self.payload, &self.data) {
            (Some(json), _) => Ok(json.clone()),
            (None, Some(path)) => given_file::read_text(path),
            (None, None) => Ok(String::new()),
        }
    }
}

async fn call(
    lattice: &Lattice<'_>,
    actor: ActorId,
    operation: &str,
    message: Bytes,
    cluster: &KeyPair,
) -> Result<Bytes> {
    let connection = &lattice.connection;
    let rpc = match &lattice.reached.way {
        Way::Nats(client, denials) => {
            RpcClient::nats(client.clone(), connection.lattice.clone(), connection.js_domain.as_deref())
                .with_denials(denials.clone())
        }
        Way::Socket(path) => RpcClient::socket(Path::new(path), connection.lattice.clone()),
    };
    let host: HostId = WASH_HOST_ID.parse()?;
    let entity = Entity::actor(&actor);
    let invocation = Invocation::issue(entity.clone(), entity, operation, message, cluster, &host, now())?;
    let answer = rpc.invoke(&RpcSubject::Actor(actor), invocation, connection.timeout).await;
    answer.map_err(|error| {
        let failure = Failure::new(error.to_string()).while_doing(format!("the call of `{operation}` failed"));
        match error.code() {
            "not_running" => {
                failure.hint("start it with `wash start actor`, or see what runs with `wash get inventory`")
            }
            "unauthorized" => failure.hint("sign with the cluster key of the host: `--cluster-seed`"),
            _ => failure,
        }
    })
}
