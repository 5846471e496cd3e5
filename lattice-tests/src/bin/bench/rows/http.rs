//! HTTP to an actor on the same host, fresh instance for each request, beside `wasmtime serve` and bare hyper.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use lattice_tests::{Actor, HTTPSERVER, free_address, get};
use xtask::bench::wasmtime;

use super::local_call::start;
use crate::{
    http_load::requests_per_second,
    measure::{Contender, Plan, Samples, in_turns},
    report::{Baseline, Budget, Row, Unit},
    servers::HttpServer,
    world::World,
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
const HYPER: &str = "bare hyper, the same bytes";
const DEFAULTS: &str = "wasmtime serve, its defaults";
const TUNED_NAME: &str = "wasmtime serve, tuned";

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = World::with_nats().await?;
    let (host, id) = world.start_host("http").await?;
    let operator = &host.operator;
    let provider = operator.start_provider(&id, "builtin://httpserver").await.map_err(anyhow::Error::msg)?;
    let mut addresses = Vec::new();
    for actor in [Actor::Hello, Actor::Echo] {
        let signed = world.signer.actor(actor);
        start(operator, &id, &signed.reference()).await?;
        let address = free_address();
        let values = [("address", &*address.to_string())];
        operator
            .link(&signed.id, &provider, &values)
            .await
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("linking to `{HTTPSERVER}`"))?;
        addresses.push(address);
    }
    let body = get(addresses[0], "/").await;
    get(addresses[1], "/").await;

    let dir = world.dir.path();
    let hyper = HttpServer::bare_hyper(&body, dir).await?;
    let wasmtime = serve(dir).await;
    let mut contenders = vec![load(COMPONENT, addresses[0]), load(MODULE, addresses[1]), load(HYPER, hyper.address)];
    if let Ok(servers) = &wasmtime {
        contenders.extend(servers.iter().map(|(name, server)| load(name, server.address)));
    }
    let samples = in_turns(plan, &mut contenders).await?;
    host.stop().await?;

    let missing = wasmtime.err();
    let samples_of = |wanted: &str| -> Result<Samples, String> {
        let named = contenders.iter().zip(&samples).find(|(contender, _)| contender.name == wanted);
        named.map(|(_, samples)| samples.clone()).ok_or_else(|| missing.clone().unwrap_or_default())
    };
    let ours = |name| samples_of(name).map_err(anyhow::Error::msg);
    let baseline = |name, budget| Baseline { name, samples: samples_of(name), budget };
    Ok(vec![
        Row {
            name: "http-component",
            title: "HTTP → component, one host, fresh instance for each request, 32 connections",
            unit: Unit::PerSecond,
            samples: ours(COMPONENT)?,
            limit: None,
            baselines: vec![
                baseline(DEFAULTS, Some(Budget::AtLeast(2.5))),
                baseline(TUNED_NAME, Some(Budget::AtLeast(1.0))),
                baseline(HYPER, None),
            ],
            notes: Vec::new(),
        },
        Row {
            name: "http-module",
            title: "HTTP → module, one host, fresh instance for each request, 32 connections",
            unit: Unit::PerSecond,
            samples: ours(MODULE)?,
            limit: None,
            baselines: vec![
                Baseline { name: "our component", ..baseline(COMPONENT, Some(Budget::AtLeast(1.0))) },
                baseline(HYPER, None),
            ],
            notes: vec!["the module decodes the request and describes it as JSON; the component says hello".to_owned()],
        },
    ])
}

fn load(name: &'static str, address: SocketAddr) -> Contender {
    Contender::new(name, move |slice| requests_per_second(address, CONNECTIONS, slice))
}

/// `wasmtime serve` twice; or why not.
async fn serve(dir: &Path) -> Result<Vec<(&'static str, HttpServer)>, String> {
    let program = wasmtime::find().map_err(|error| format!("{error:#}"))?;
    let component = Actor::Hello.path();
    let mut servers = Vec::new();
    for (name, options, log) in [(DEFAULTS, [].as_slice(), "defaults.log"), (TUNED_NAME, TUNED, "tuned.log")] {
        servers.push((name, HttpServer::wasmtime(&program, options, &component, &dir.join(log)).await));
    }
    Ok(servers)
}
