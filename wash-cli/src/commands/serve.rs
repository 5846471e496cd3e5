//! `wash serve`: one actor behind an HTTP server, without any lattice: a `wasi:http` component, or a module that takes the
//! message `HttpServer.HandleRequest`.
//!
//! The server is the HTTP server provider, with this process as the host it knows. Invariant: the program gets
//! nothing of this machine that was not named on the command line, and calls nobody.

mod one_actor;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use claims::{ActorId, KeyKind, KeyPair, wasm};
use clap::Args;
use host::{LogFormat, init_logging};
use lattice::{Link, LinkName};
use provider_httpserver::BUILTIN;
use provider_sdk::Start;
use runtime::{Guest, GuestLimits, Identity, LoadError, precompiled};
use serde_json::json;

use self::one_actor::OneActor;
use crate::{
    arguments::{grants::GrantArgs, units},
    artifacts::{
        programs::{self, EngineArgs},
        registry::{FetchArgs, RegistryArgs},
    },
    context::Context,
    keys::signing::now,
    machine::signals::until_signal,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// How long a body may stand still, unless a request has more time for its answer.
const IDLE: Duration = Duration::from_secs(60);

/// What the host itself gives to everybody.
const GRANTS: [&str; 2] = ["wasmcloud:builtin:logging", "wasmcloud:builtin:numbergen"];

/// Options of `wash serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Component or module: a file (`.wasm`, or `.cwasm` as written by `wash compile`), or a reference to a registry
    #[arg(value_name = "FILE|REF")]
    program: OsString,
    /// Where to listen: an address and a port, `localhost:8000`, or a port of this machine; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000", value_parser = listen_address)]
    addr: SocketAddr,
    /// Requests that one instance answers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    reuse: u32,
    /// Of these, requests that are in one instance at once; of a component of WASI 0.3
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    concurrent: u32,
    /// Longest time from a request to its answer, such as `30s`; what runs has as long when the command is stopped
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::time)]
    timeout: Duration,
    /// Most memory of one instance, such as `64MiB` [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_memory: Option<u64>,
    /// Say where code and signature are from, and what becomes of each request
    #[arg(short = 'v', long = "verbose", id = "connection_verbose")]
    verbose: bool,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    fetch: FetchArgs,
    #[command(flatten)]
    grants: GrantArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// An address as people write it. A port by itself is one of this machine, with or without a colon.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if host.is_empty() || host == "localhost" {
        let port = port.parse::<u16>().map_err(|_| format!("`{port}` is no port, which is a number up to 65535"))?;
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| "expected an IP address and a port, such as `127.0.0.1:8000` or `[::1]:8000`".to_owned())
}

/// Runs `wash serve`. Returns when a signal has ended it.
///
/// # Errors
/// The component cannot be had or does not serve HTTP, or the address cannot be used.
pub async fn run(args: ServeArgs, context: &Context) -> Result<Output> {
    // What the component says by itself.
    init_logging("warn,guest=info", LogFormat::Text).map_err(|error| Failure::from(error).exiting_with(2))?;
    let name = programs::name(&args.program);
    let artifact = programs::read(&args.program, &args.fetch, &args.registry, context).await?;
    programs::tell_signature(&context.printer, &artifact);
    let actor = actor_id(&artifact);
    let guest = load(&args, artifact, actor, context).await?;
    programs::tell_origin(&context.printer, &name, guest.code());
    let address = free_port(args.addr)?;
    let start = Start {
        actors: Arc::new(OneActor::new(guest, context.printer.clone())),
        link_name: LinkName::default(),
        config: Some(json!({ "idle_ms": IDLE.max(args.timeout).as_millis() as u64 }).to_string()),
        data_dir: None,
    };
    let server = (BUILTIN.start)(start)?;
    server.put_link(&link(actor, address, args.timeout)?).await?;
    let ended = until_signal()?;
    let url = format!("http://{address}");
    context.printer.record(&format!("Serving `{name}` at {url}"), &json!({ "program": name, "url": url }))?;
    ended.await;
    server.shutdown().await;
    context.printer.note("Stopped");
    Ok(Output::silent())
}

async fn load(args: &ServeArgs, artifact: Bytes, id: ActorId, context: &Context) -> Result<Guest> {
    let name = programs::name(&args.program);
    let defaults = GuestLimits::default();
    let limits = GuestLimits {
        memory_bytes: args.max_memory.unwrap_or(defaults.memory_bytes),
        // The server looks at both: how long until an answer begins, and how long one may stand still.
        call_time: IDLE.max(args.timeout),
        calls_per_instance: args.reuse,
        concurrent_calls: args.concurrent,
        ..defaults
    };
    let identity = Identity { id, name: name.clone(), grants: BTreeSet::from(GRANTS.map(str::to_owned)) };
    let runtime = programs::server_engine(&args.engine, context)?;
    let loaded = runtime.load_local(artifact, identity, limits, args.grants.grants()?).await;
    let guest = loaded.map_err(|error| not_loaded(&name, &error))?;
    if guest.serves_http() || guest.takes_calls() {
        return Ok(guest);
    }
    Err(Failure::new(format!(
        "`{name}` exports neither `wasi:http/incoming-handler` nor `wasi:http/handler` nor `__guest_call`, so it serves no requests"
    ))
    .hint("run a command with `wash run`; start an actor with `wash start actor`"))
}

/// What its claims grant is given by providers, of which there are none without a lattice.
fn not_loaded(name: &str, error: &LoadError) -> Failure {
    let LoadError::NotGranted { imports } = error else { return programs::refused(name, error) };
    let missing: Vec<String> = imports.iter().map(|(import, contract)| format!("`{import}` (`{contract}`)")).collect();
    Failure::new(format!(
        "`{name}` uses {}, which only a provider can give, and `wash serve` has none: it runs without a lattice",
        missing.join(", ")
    ))
    .hint("`wash up`, then `wash start actor`, `wash start provider` and `wash link put`")
}

/// Who it is in logs: what its claims say, or somebody nobody else is.
fn actor_id(artifact: &Bytes) -> ActorId {
    let signed = precompiled::original_wasm(artifact).ok().and_then(|wasm| wasm::verify_actor(&wasm, now()).ok());
    signed.map_or_else(|| id_of(KeyKind::Module), |signed| signed.id)
}

fn id_of<Id: TryFrom<claims::PublicKey, Error: std::fmt::Debug>>(kind: KeyKind) -> Id {
    Id::try_from(KeyPair::generate(kind).public()).expect("a key of the kind asked for")
}

fn link(actor_id: ActorId, address: SocketAddr, timeout: Duration) -> Result<Link> {
    Ok(Link {
        actor_id,
        provider_id: id_of(KeyKind::Service),
        link_name: LinkName::default(),
        contract_id: BUILTIN.descriptor.contract.parse()?,
        values: BTreeMap::from([
            ("address".to_owned(), address.to_string()),
            ("timeout_ms".to_owned(), timeout.as_millis().to_string()),
            ("drain_ms".to_owned(), timeout.as_millis().to_string()),
        ]),
    })
}

/// The address with a port that is free now, where any will do. The server wants to know which.
fn free_port(address: SocketAddr) -> Result<SocketAddr> {
    if address.port() != 0 {
        return Ok(address);
    }
    let found = TcpListener::bind(address).and_then(|listener| listener.local_addr());
    found.while_doing(|| format!("cannot listen on `{address}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for (text, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:8080", "127.0.0.1:8080"),
            (":8000", "127.0.0.1:8000"),
            ("8000", "127.0.0.1:8000"),
        ] {
            assert_eq!(listen_address(text).map(|address| address.to_string()).as_deref(), Ok(address), "{text}");
        }
        assert!(listen_address(":x").is_err_and(|error| error.contains("`x` is no port")));
        assert!(listen_address("example.test:80").is_err());
    }
}
