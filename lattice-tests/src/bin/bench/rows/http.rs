//! HTTP to an actor on the same host, fresh instance for each request, beside `wasmtime serve` and bare hyper.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use claims::{HostId, ProviderId};
use lattice::control::ScaleActor;
use lattice_tests::{Actor, HTTPSERVER, free_address, get};
use xtask::bench::wasmtime;

use crate::{
    http_load::requests_per_second,
    measure::{Contender, Plan, Samples, in_turns},
    report::{Baseline, Budget, Row, Unit},
    servers::HttpServer,
    world::{HostProcess, MANY, World},
};

const CONNECTIONS: usize = 32;
/// The pool as our runtime has it, in the words of `wasmtime serve`.
const TUNED: &[&str] = &[
    "-Opooling-memory-keep-resident=2097152",
    "-Opooling-table-keep-resident=65536",
    "-Opooling-async-stack-keep-resident=65536",
    "-Opooling-pagemap-scan=auto",
];

const COMPONENT: &str = "component";
const MODULE: &str = "module";
const GROWING: &str = "a module that grows its memory in every call";
/// Bare hyper.
pub const HYPER: &str = "bare hyper, the same bytes";
/// `wasmtime serve` as it comes.
pub const DEFAULTS: &str = "wasmtime serve, its defaults";
/// `wasmtime serve` with our pool.
pub const TUNED_NAME: &str = "wasmtime serve, tuned";

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = World::with_nats().await?;
    let ingress = Ingress::start(&world).await?;
    let component = ingress.actor(Actor::Hello, &[]).await?;
    let module = ingress.actor(Actor::Greet, &[]).await?;
    let growing = ingress.actor(Actor::Echo, &[]).await?;
    let body = get(component, "/").await;

    let dir = world.dir.path();
    let hyper = HttpServer::bare_hyper(&body, dir).await?;
    let mut contenders =
        vec![load(COMPONENT, component), load(MODULE, module), load(GROWING, growing), load(HYPER, hyper.address)];
    let wasmtime = wasmtime_serve(dir, &[]).await;
    contenders.extend(wasmtime.iter().flatten().map(|(name, server)| load(name, server.address)));
    let measured = Measured::new(plan, contenders, wasmtime.as_ref().err()).await?;
    ingress.host.stop().await?;
    Ok(vec![
        Row {
            name: "http-component",
            title: "HTTP → component, one host, fresh instance for each request, 32 connections",
            unit: Unit::PerSecond,
            samples: measured.ours(COMPONENT)?,
            limit: None,
            baselines: vec![
                measured.baseline(DEFAULTS, Some(Budget::AtLeast(2.5))),
                measured.baseline(TUNED_NAME, Some(Budget::AtLeast(1.0))),
                measured.baseline(HYPER, None),
            ],
            notes: Vec::new(),
        },
        Row {
            name: "http-module",
            title: "HTTP → module, one host, fresh instance for each request, 32 connections",
            unit: Unit::PerSecond,
            samples: measured.ours(MODULE)?,
            limit: None,
            baselines: vec![
                Baseline { name: "our component", ..measured.baseline(COMPONENT, Some(Budget::AtLeast(1.0))) },
                measured.baseline(GROWING, None),
                measured.baseline(HYPER, None),
            ],
            notes: vec![
                "module and component answer with the same greeting; the growing one describes the request as JSON"
                    .to_owned(),
            ],
        },
    ])
}

/// A host with the HTTP server, in front of actors that a row chooses.
pub struct Ingress<'a> {
    world: &'a World,
    /// The host.
    pub host: HostProcess,
    id: HostId,
    provider: ProviderId,
}

impl<'a> Ingress<'a> {
    /// Starts both.
    pub async fn start(world: &'a World) -> Result<Self> {
        let (host, id) = world.start_host("http").await?;
        let provider = host.operator.start_provider(&id, "builtin://httpserver").await.map_err(anyhow::Error::msg)?;
        Ok(Self { world, host, id, provider })
    }

    /// Starts an actor with limits of its own behind an address of its own; it answers there when this returns.
    pub async fn actor(&self, actor: Actor, limits: &[(&str, &str)]) -> Result<SocketAddr> {
        let signed = self.world.signer.actor(actor);
        let limits: BTreeMap<_, _> = limits.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let command = ScaleActor {
            actor_ref: signed.reference(),
            max_instances: MANY,
            limits: (!limits.is_empty()).then_some(limits),
            ..ScaleActor::default()
        };
        let operator = &self.host.operator;
        operator.scale_as(&self.id, command).await.map_err(anyhow::Error::msg)?;
        let address = free_address();
        let linked = operator.link(&signed.id, &self.provider, &[("address", &*address.to_string())]).await;
        linked.map_err(anyhow::Error::msg).with_context(|| format!("linking to `{HTTPSERVER}`"))?;
        get(address, "/").await;
        Ok(address)
    }
}

/// All connections asking one server.
pub fn load(name: &'static str, address: SocketAddr) -> Contender {
    Contender::new(name, move |slice| requests_per_second(address, CONNECTIONS, slice))
}

/// `wasmtime serve` twice, with `options` besides; or why not.
pub async fn wasmtime_serve(dir: &Path, options: &[&str]) -> Result<Vec<(&'static str, HttpServer)>, String> {
    let program: PathBuf = wasmtime::find().map_err(|error| format!("{error:#}"))?;
    let component = Actor::Hello.path();
    let mut servers = Vec::new();
    for (name, pool, log) in [(DEFAULTS, [].as_slice(), "defaults.log"), (TUNED_NAME, TUNED, "tuned.log")] {
        let options = [pool, options].concat();
        servers.push((name, HttpServer::wasmtime(&program, &options, &component, &dir.join(log)).await));
    }
    Ok(servers)
}

/// What was measured, by name.
pub struct Measured {
    samples: Vec<(&'static str, Samples)>,
    missing: String,
}

impl Measured {
    /// Measures in turns; `missing` is why a contender that is asked for may not be there.
    pub async fn new(plan: Plan, mut contenders: Vec<Contender>, missing: Option<&String>) -> Result<Self> {
        let samples = in_turns(plan, &mut contenders).await?;
        let samples = contenders.iter().map(|contender| contender.name).zip(samples).collect();
        Ok(Self { samples, missing: missing.cloned().unwrap_or_default() })
    }

    /// What cannot be missing.
    pub fn ours(&self, name: &str) -> Result<Samples> {
        self.find(name).map_err(anyhow::Error::msg)
    }

    /// Something to compare with.
    pub fn baseline(&self, name: &'static str, budget: Option<Budget>) -> Baseline {
        Baseline { name, samples: self.find(name), budget }
    }

    fn find(&self, wanted: &str) -> Result<Samples, String> {
        let found = self.samples.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, samples)| samples.clone()).ok_or_else(|| self.missing.clone())
    }
}
