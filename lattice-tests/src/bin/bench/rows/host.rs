//! `wash-host` itself: how soon it is there, what it holds when idle, how large it is.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use claims::HostId;
use lattice_tests::Operator;

use crate::{
    measure::{Plan, Samples},
    report::{Budget, Row, Unit},
    world::{World, binary},
};

const MIB: f64 = 1024.0 * 1024.0;
/// Between two questions whether a host is there; what a figure may be too high by.
const PAUSE: Duration = Duration::from_millis(1);
/// How long memory is watched, after a start.
const IDLE: Duration = Duration::from_secs(3);

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = Arc::new(World::with_nats().await?);
    let (host, id) = world.start_host("host").await?;
    host.stop().await?;
    let (mut at_socket, mut at_broker) = (Vec::new(), Vec::new());
    for round in 0..=plan.samples {
        let (socket, broker) = start(&world, &id).await?;
        if round > 0 {
            at_socket.push(socket);
            at_broker.push(broker);
        }
    }
    let size = fs::metadata(binary("wash-host")?).context("the size of `wash-host`")?.len() as f64;
    let ready = Some(Budget::AtMost(0.150));
    Ok(vec![
        row("host-socket", "`wash-host` start → answers at its control socket", Unit::Seconds, at_socket, ready),
        row("host-nats", "`wash-host` start → answers over NATS", Unit::Seconds, at_broker, ready),
        row(
            "host-idle",
            "resident memory of an idle `wash-host` with NATS",
            Unit::Bytes,
            idle(&world, plan).await?,
            Some(Budget::AtMost(30.0 * MIB)),
        ),
        row("host-size", "size of the `wash-host` binary", Unit::Bytes, vec![size], Some(Budget::AtMost(25.0 * MIB))),
    ])
}

fn row(name: &'static str, title: &'static str, unit: Unit, samples: Vec<f64>, limit: Option<Budget>) -> Row {
    Row { name, title, unit, samples: Samples(samples), limit, baselines: Vec::new(), notes: Vec::new() }
}

/// Seconds until a host that has run before answers: at its socket, at the broker.
async fn start(world: &World, id: &HostId) -> Result<(f64, f64)> {
    let broker = world.operator().await?;
    let began = Instant::now();
    let host = world.spawn_host("host")?;
    let (socket, broker) = tokio::try_join!(answered(&host.operator, id, began), answered(&broker, id, began))?;
    host.stop().await?;
    Ok((socket, broker))
}

async fn answered(operator: &Operator, id: &HostId, began: Instant) -> Result<f64> {
    let asking = async {
        while operator.control.inventory(id).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        began.elapsed().as_secs_f64()
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.context("the host does not answer")
}

async fn idle(world: &World, plan: Plan) -> Result<Vec<f64>> {
    let (host, _) = world.start_host("idle").await?;
    let mut samples = Vec::new();
    for _ in 0..plan.samples {
        tokio::time::sleep(IDLE / plan.samples).await;
        samples.push(host.memory("VmRSS")?);
    }
    host.stop().await?;
    Ok(samples)
}
