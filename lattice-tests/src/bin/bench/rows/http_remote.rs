//! HTTP to a provider process, and from there over NATS to an actor on another host, beside request and reply of
//! async-nats between two processes.
//!
//! The way of every host of this protocol: `wash-httpserver` is signed as an archive, started by one `wash-host`, and
//! calls the actor on the other in signed invocations.

use anyhow::{Context, Result};
use lattice_tests::{Actor, HTTPSERVER, free_address, get};

use super::{
    local_call::start,
    remote_call::{IN_FLIGHT, many_requests, pair, start_answering},
};
use crate::{
    http_load::requests_per_second,
    measure::{Contender, Plan, in_turns},
    report::{Baseline, Budget, Row, Unit},
    world::{World, binary},
};

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = World::with_nats().await?;
    let (front, front_id) = world.start_host("front").await?;
    let (back, back_id) = world.start_host("back").await?;
    let program = std::fs::read(binary("wash-httpserver")?).context("cannot read `wash-httpserver`")?;
    let archive = world.signer.provider(&program, HTTPSERVER);
    let provider = front.operator.start_provider(&front_id, &archive.reference()).await.map_err(anyhow::Error::msg)?;
    let actor = world.signer.actor(Actor::Greet);
    start(&back.operator, &back_id, &actor.reference()).await?;
    let address = free_address();
    let values = [("address", &*address.to_string())];
    front.operator.link(&actor.id, &provider, &values).await.map_err(anyhow::Error::msg)?;
    get(address, "/").await;

    let (_answering, client) = start_answering(&world).await?;
    let load = Contender::new("HTTP", move |slice| requests_per_second(address, IN_FLIGHT, slice));
    let (ours, theirs) = pair(in_turns(plan, &mut [load, many_requests(client)]).await?)?;
    front.stop().await?;
    back.stop().await?;
    Ok(vec![Row {
        name: "http-remote-provider",
        title: "HTTP → provider process → NATS → module on another host, fresh instances, 64 connections",
        unit: Unit::PerSecond,
        samples: ours,
        limit: None,
        baselines: vec![Baseline {
            name: "async-nats request/reply, 256 B",
            samples: Ok(theirs),
            budget: Some(Budget::AtLeast(0.4)),
        }],
        notes: vec!["a request is about as long as a message; its answer is a greeting".to_owned()],
    }])
}
