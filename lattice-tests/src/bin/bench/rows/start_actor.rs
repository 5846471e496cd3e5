//! `wash start actor`: from the start of its process to the first answer of the actor over HTTP.
//!
//! The host has run the actor before, its link is there, its artifact is a local file: what remains is the command, the
//! way to the host, verification, whatever the host does to have code to run, and the call.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Instant};

use anyhow::{Context, Result, bail};
use claims::{ActorId, HostId};
use lattice_tests::{Actor, Operator, Signed, free_address, get, try_get};
use tokio::process::Command;

use super::local_call::start;
use crate::{
    measure::{Contender, Plan, in_turns},
    report::{Budget, Row, Unit},
    world::{World, binary},
};

const BUDGET: Budget = Budget::AtMost(0.060);

/// What is started again and again.
struct Started {
    wash: PathBuf,
    environment: Vec<(&'static str, String)>,
    operator: Operator,
    host: HostId,
    actor: Signed<ActorId>,
    address: std::net::SocketAddr,
}

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = World::with_nats().await?;
    let (process, host) = world.start_host("start").await?;
    let operator = process.operator.clone();
    let provider = operator.start_provider(&host, "builtin://httpserver").await.map_err(anyhow::Error::msg)?;
    let mut contenders = Vec::new();
    for (name, kind) in [("component", Actor::Hello), ("module", Actor::Echo)] {
        let (actor, address) = (world.signer.actor(kind), free_address());
        start(&operator, &host, &actor.reference()).await?;
        let values = [("address", &*address.to_string())];
        operator.link(&actor.id, &provider, &values).await.map_err(anyhow::Error::msg)?;
        get(address, "/").await;
        let (environment, operator) = (world.environment()?, operator.clone());
        let started = Arc::new(Started { wash: binary("wash")?, environment, operator, host, actor, address });
        contenders.push(Contender::new(name, move |_| sample(started.clone())));
    }
    let samples = in_turns(plan, &mut contenders).await?;
    process.stop().await?;
    let titles = [
        ("start-component", "`wash start actor` (component) → first HTTP answer, host over NATS, artifact in a file"),
        ("start-module", "`wash start actor` (module) → first HTTP answer, host over NATS, artifact in a file"),
    ];
    let row = |((name, title), samples)| Row {
        name,
        title,
        unit: Unit::Seconds,
        samples,
        limit: Some(BUDGET),
        baselines: Vec::new(),
        notes: Vec::new(),
    };
    Ok(titles.into_iter().zip(samples).map(row).collect())
}

async fn sample(started: Arc<Started>) -> Result<f64> {
    let Started { wash, environment, operator, host, actor, address } = &*started;
    operator.stop_actor(host, &actor.id).await?;
    if try_get(*address, "/").await.is_ok_and(|answer| answer.status.is_success()) {
        bail!("the actor answers although it was stopped");
    }
    let began = Instant::now();
    let mut command = Command::new(wash);
    command.args(["start", "actor", &actor.reference(), "--max-instances", "10"]);
    command.envs(environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
    let output = command.output().await.context("cannot run `wash`")?;
    if !output.status.success() {
        bail!("`wash start actor` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    while !try_get(*address, "/").await.is_ok_and(|answer| answer.status.is_success()) {
        tokio::task::yield_now().await;
    }
    Ok(began.elapsed().as_secs_f64())
}
