//! Actor to actor on two hosts over NATS, beside request and reply of async-nats between two processes.
//!
//! The calling host is in this process, so that the load begins at the calling actor; the other is a `wash-host`.

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use claims::{ClusterId, HostId, KeyKind, KeyPair};
use lattice::{
    control::ScaleActor,
    invocation::{Entity, Invocation},
};
use lattice_tests::{Actor, Guarded, NatsServer, Operator, eventually, now};

use super::relay::{ECHO, PAYLOAD, RELAY, check, request};
use crate::{
    measure::{Contender, Plan, Samples, calls_per_second, in_turns, median_seconds},
    report::{Baseline, Budget, Row, Unit},
    world::{Driver, MANY, World},
};

/// Calls at once, where it is many.
pub const IN_FLIGHT: usize = 64;
const SUBJECT: &str = "bench.echo";

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = World::with_nats().await?;
    let (there, there_id) = world.start_host("there").await?;
    let here = world.start_here().await?;
    let (here_at, there_at) = ((&here.operator, &here.id), (&there.operator, &there_id));
    let mut pairs = Vec::new();
    for limits in [BTreeMap::new(), warm()] {
        let (caller, callee) = (world.actor(Actor::Echo), world.actor(Actor::Echo));
        start_with(here_at, &caller.reference(), &limits).await?;
        start_with(there_at, &callee.reference(), &limits).await?;
        let (driver, relay) = (here.drive(caller.id).await?, request(&callee.id)?);
        eventually("a call to the other host", || driver.call(RELAY, relay.clone())).await;
        pairs.push((driver, relay));
    }
    let [fresh, warm] = <[_; 2]>::try_from(pairs).ok().context("two pairs")?;

    let (_answering, client) = start_answering(&world).await?;
    let half = Plan { time: plan.time / 2, ..plan };
    let mut many = [many_calls(fresh.clone()), many_calls(warm.clone()), many_requests(client.clone())];
    let [rates, warm_rates, asked] = three(in_turns(half, &mut many).await?)?;
    let mut single = [single_call(fresh), single_call(warm), single_request(client)];
    let [times, warm_times, asked_times] = three(in_turns(half, &mut single).await?)?;

    here.stop().await?;
    there.stop().await?;
    let row = |name, title, unit, (ours, theirs), budget, notes| Row {
        name,
        title,
        unit,
        samples: ours,
        limit: None,
        baselines: vec![Baseline { name: "async-nats request/reply", samples: Ok(theirs), budget }],
        notes,
    };
    let title = "actor → actor on another host over NATS, module, fresh instances, 256 B, 64 in flight";
    let title_warm = "the same, an instance serves 128 calls";
    let title_single = "with fresh instances, one in flight, median";
    let (many, single) = (Some(Budget::AtLeast(0.8)), Some(Budget::AtMost(1.25)));
    Ok(vec![
        row("remote-call-64", title, Unit::PerSecond, (rates, asked.clone()), many, vec![signatures()?]),
        row("remote-call-64-warm", title_warm, Unit::PerSecond, (warm_rates, asked), None, Vec::new()),
        row("remote-call-1", title_single, Unit::Seconds, (times, asked_times.clone()), single, Vec::new()),
        row("remote-call-1-warm", title_warm, Unit::Seconds, (warm_times, asked_times), None, Vec::new()),
    ])
}

/// Limits of an actor whose instances serve many calls, one after the other.
fn warm() -> BTreeMap<String, String> {
    [("calls-per-instance", "128".to_owned()), ("idle-instances", IN_FLIGHT.to_string())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

async fn start_with(
    (operator, host): (&Operator, &HostId),
    reference: &str,
    limits: &BTreeMap<String, String>,
) -> Result<()> {
    let (actor_ref, limits) = (reference.to_owned(), Some(limits.clone()));
    let command = ScaleActor { actor_ref, max_instances: MANY, limits, ..ScaleActor::default() };
    operator.scale_as(host, command).await.map(drop).map_err(anyhow::Error::msg)
}

fn three(all: Vec<Samples>) -> Result<[Samples; 3]> {
    all.try_into().ok().context("samples of all three")
}

/// What was sampled of two contenders.
pub fn pair<T>(both: Vec<T>) -> Result<(T, T)> {
    let [ours, theirs] = <[T; 2]>::try_from(both).ok().context("samples of both")?;
    Ok((ours, theirs))
}

/// The answering half of the baseline, and the asking half, as soon as it is answered.
pub async fn start_answering(world: &World) -> Result<(Guarded, async_nats::Client)> {
    let program = std::env::current_exe().context("the path of this program")?;
    let nats: &NatsServer = world.nats()?;
    let args = ["answer-nats", &nats.url(), SUBJECT];
    let process = Guarded::start(&program, &args, &[], &world.dir.path().join("answer-nats.log"));
    let client = nats.client().await;
    eventually("an answer over NATS", || client.request(SUBJECT, Bytes::new())).await;
    Ok((process, client))
}

async fn call(driver: Driver, relay: Bytes) -> Result<()> {
    check(&driver.call(RELAY, relay).await?)
}

async fn ask(client: async_nats::Client) -> Result<()> {
    check(&client.request(SUBJECT, Bytes::from_static(PAYLOAD)).await?.payload)
}

fn many_calls((driver, relay): (Driver, Bytes)) -> Contender {
    Contender::new("remote calls", move |slice| {
        let (driver, relay) = (driver.clone(), relay.clone());
        calls_per_second(slice, IN_FLIGHT, move || call(driver.clone(), relay.clone()))
    })
}

/// The asking half of the baseline, many at once.
pub fn many_requests(client: async_nats::Client) -> Contender {
    Contender::new("async-nats", move |slice| {
        let client = client.clone();
        calls_per_second(slice, IN_FLIGHT, move || ask(client.clone()))
    })
}

fn single_call((driver, relay): (Driver, Bytes)) -> Contender {
    Contender::new("one remote call", move |slice| {
        let (driver, relay) = (driver.clone(), relay.clone());
        in_task(median_seconds(slice, move || call(driver.clone(), relay.clone())))
    })
}

fn single_request(client: async_nats::Client) -> Contender {
    Contender::new("one async-nats request", move |slice| {
        let client = client.clone();
        in_task(median_seconds(slice, move || ask(client.clone())))
    })
}

async fn in_task(measuring: impl Future<Output = Result<f64>> + Send + 'static) -> Result<f64> {
    tokio::spawn(measuring).await.context("the load ended early")?
}

/// What the protocol's signature costs by itself: outside of a session every invocation is signed by one host and
/// verified by the other.
fn signatures() -> Result<String> {
    let cluster = KeyPair::generate(KeyKind::Cluster);
    let trusted = [ClusterId::try_from(cluster.public())?].into();
    let host = HostId::try_from(KeyPair::generate(KeyKind::Server).public())?;
    let actor = || anyhow::Ok(Entity::actor(&KeyPair::generate(KeyKind::Module).public().try_into()?));
    let (origin, target, time) = (actor()?, actor()?, now());
    let issue =
        || Invocation::issue(origin.clone(), target.clone(), ECHO, Bytes::from_static(PAYLOAD), &cluster, &host, time);
    let invocation = issue()?;
    let issuing = average(|| drop(black_box(issue())));
    let validating = average(|| drop(black_box(invocation.validate(time, &trusted))));
    let shown = |seconds| Unit::Seconds.shown(seconds);
    Ok(format!(
        "what a session saves each call, on one core: signing {} (caller), verifying {} (callee)",
        shown(issuing),
        shown(validating)
    ))
}

/// Seconds, over a fifth of a second.
fn average(mut act: impl FnMut()) -> f64 {
    let started = std::time::Instant::now();
    let mut times = 0_u32;
    while started.elapsed() < Duration::from_millis(200) {
        act();
        times += 1;
    }
    started.elapsed().as_secs_f64() / f64::from(times)
}
