//! HTTP to a component on the same host whose instances serve many requests, beside `wasmtime serve` and bare hyper.

use anyhow::Result;
use lattice_tests::{Actor, get};

use super::http::{DEFAULTS, HYPER, Ingress, Measured, TUNED_NAME, load, wasmtime_serve};
use crate::{
    measure::Plan,
    report::{Budget, Row, Unit},
    servers::HttpServer,
    world::World,
};

/// Requests an instance serves, on both sides.
const CALLS: &str = "128";
const COMPONENT: &str = "component";

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = World::with_nats().await?;
    let ingress = Ingress::start(&world).await?;
    let component = ingress.actor(Actor::Hello, &[("calls-per-instance", CALLS)]).await?;
    let body = get(component, "/").await;
    let dir = world.dir.path();
    let hyper = HttpServer::bare_hyper(&body, dir).await?;
    let wasmtime = wasmtime_serve(dir, &["--max-instance-reuse-count", CALLS]).await;
    let mut contenders = vec![load(COMPONENT, component), load(HYPER, hyper.address)];
    contenders.extend(wasmtime.iter().flatten().map(|(name, server)| load(name, server.address)));
    let measured = Measured::new(plan, contenders, wasmtime.as_ref().err()).await?;
    ingress.host.stop().await?;
    Ok(vec![Row {
        name: "http-warm",
        title: "HTTP → component, one host, an instance serves 128 requests, 32 connections",
        unit: Unit::PerSecond,
        samples: measured.ours(COMPONENT)?,
        limit: None,
        baselines: vec![
            measured.baseline(DEFAULTS, Some(Budget::AtLeast(1.3))),
            measured.baseline(TUNED_NAME, Some(Budget::AtLeast(1.0))),
            measured.baseline(HYPER, Some(Budget::AtLeast(0.4))),
        ],
        notes: vec!["`wasmtime serve` has the same reuse count".to_owned()],
    }])
}
