//! A host with very many actors: what each holds while it is idle, and what ten thousand starts and stops leave behind.
//!
//! Every actor is an artifact of its own, with its own code: none is told apart by its claims only.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use claims::HostId;
use lattice_tests::{Actor, Operator};

use super::local_call::start;
use crate::{
    measure::Samples,
    report::{Baseline, Budget, Row, Unit},
    world::{HostProcess, World},
};

const ACTORS: u32 = 1000;
const STARTS: u32 = 10_000;
/// Different actors among those that come and go.
const DIFFERENT: usize = 50;
/// Idle code is let go of within two minutes.
const PATIENCE: Duration = Duration::from_secs(240);
/// What is not backed by a file: the rest, code above all, the system may drop at any time.
const ANONYMOUS: &str = "RssAnon";
const ALL: &str = "VmRSS";
const KIB: f64 = 1024.0;

/// Measures the group.
pub async fn run() -> Result<Vec<Row>> {
    let world = World::with_nats().await?;
    Ok(vec![
        idle(&world, "idle-module", "resident memory of an idle module, of 1,000", Actor::Greet).await?,
        idle(&world, "idle-component", "resident memory of an idle component, of 1,000", Actor::Hello).await?,
        come_and_go(&world).await?,
    ])
}

async fn idle(world: &World, name: &'static str, title: &'static str, actor: Actor) -> Result<Row> {
    let (host, id) = world.start_host(name).await?;
    // Whatever is needed once.
    start(&host.operator, &id, &world.signer.actor(actor).reference()).await?;
    let before = Memory::of(&host)?;
    for _ in 0..ACTORS {
        start(&host.operator, &id, &world.signer.actor(actor).reference()).await?;
    }
    let loaded = Memory::of(&host)?;
    unloaded(&host).await?;
    let after = Memory::of(&host)?;
    host.stop().await?;
    let each = |after: f64, before: f64| (after - before) / f64::from(ACTORS);
    let all = |memory: &Memory| each(memory.all, before.all);
    Ok(Row {
        name,
        title,
        unit: Unit::Bytes,
        samples: Samples(vec![all(&after)]),
        limit: Some(Budget::AtMost(64.0 * KIB)),
        baselines: vec![Baseline {
            name: "just started, its code in memory",
            samples: Ok(Samples(vec![all(&loaded)])),
            budget: None,
        }],
        notes: vec![format!(
            "not backed by a file: {:.1} KiB, {:.1} KiB just started",
            each(after.anonymous, before.anonymous) / KIB,
            each(loaded.anonymous, before.anonymous) / KIB,
        )],
    })
}

/// Waits until the host has let go of the code of all its actors, and of the memory that this freed.
async fn unloaded(host: &HostProcess) -> Result<()> {
    let begun = Instant::now();
    let mut before = f64::INFINITY;
    loop {
        let now = host.memory(ANONYMOUS)?;
        if !host.has_mapped(".code")? && now >= before {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "a host still has code of actors in memory that nobody calls");
        before = now;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn come_and_go(world: &World) -> Result<Row> {
    let (host, id) = world.start_host("come-and-go").await?;
    let actors: Vec<_> = (0..DIFFERENT).map(|_| world.signer.actor(Actor::Greet)).collect();
    let operator = &host.operator;
    // As many as there are, twice: caches are full, the allocator has seen it all.
    for actor in actors.iter().chain(&actors) {
        start_and_stop(operator, &id, &actor.reference()).await?;
    }
    let before = Memory::of(&host)?;
    let begun = Instant::now();
    for actor in actors.iter().cycle().take(STARTS as usize) {
        start_and_stop(operator, &id, &actor.reference()).await?;
    }
    let took = begun.elapsed().as_secs_f64();
    let after = Memory::of(&host)?;
    host.stop().await?;
    Ok(Row {
        name: "start-stop",
        title: "resident memory of a host after 10,000 starts and stops",
        unit: Unit::Bytes,
        samples: Samples(vec![after.all]),
        limit: None,
        baselines: vec![Baseline {
            name: "the same host before them",
            samples: Ok(Samples(vec![before.all])),
            budget: Some(Budget::AtMost(1.1)),
        }],
        notes: vec![format!("{:.1} ms for each start with its stop", took * 1e3 / f64::from(STARTS))],
    })
}

async fn start_and_stop(operator: &Operator, host: &HostId, reference: &str) -> Result<()> {
    let actor = start(operator, host, reference).await?;
    operator.stop_actor(host, &actor).await.context("stopping an actor")
}

struct Memory {
    all: f64,
    anonymous: f64,
}

impl Memory {
    fn of(host: &HostProcess) -> Result<Self> {
        Ok(Self { all: host.memory(ALL)?, anonymous: host.memory(ANONYMOUS)? })
    }
}
