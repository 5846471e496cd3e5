//! Actor to actor on one host, one call after the other: through a whole host, through the runtime alone, and through
//! wasmtime alone.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ::runtime::{CallContext, Denied, Guest, GuestLimits, Identity, Outbound, OutboundCall, Runtime, RuntimeConfig};
use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use claims::ActorId;
use contracts::{CallError, TraceContext};
use lattice_tests::{Actor, Operator};

use super::{
    bare::{Bare, Mode},
    relay::{ECHO, PAYLOAD, RELAY, check, request},
};
use crate::{
    measure::{Contender, Plan, in_turns, seconds_per_call},
    report::{Baseline, Budget, Row, Unit},
    world::{MANY, World},
};

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = World::alone()?;
    let (caller, callee) = (world.actor(Actor::Echo), world.actor(Actor::Echo));
    let host = world.start_here().await?;
    for actor in [&caller, &callee] {
        start(&host.operator, &host.id, &actor.reference()).await?;
    }
    let driver = host.drive(caller.id).await?;
    let relay = request(&callee.id)?;
    check(&driver.call(RELAY, relay.clone()).await?)?;

    let ours = {
        let (driver, relay) = (driver.clone(), relay.clone());
        Contender::new("ours", move |slice| {
            let (driver, relay) = (driver.clone(), relay.clone());
            seconds_per_call_in_task(slice, move || {
                let (driver, relay) = (driver.clone(), relay.clone());
                async move { check(&driver.call(RELAY, relay).await?) }
            })
        })
    };
    let pair = Pair::load(caller.id, callee.id).await?;
    let runtime_alone = {
        let relay = relay.clone();
        Contender::new("the runtime alone, no router", move |slice| {
            let (pair, relay) = (pair.clone(), relay.clone());
            seconds_per_call_in_task(slice, move || {
                let (pair, relay) = (pair.clone(), relay.clone());
                async move { check(&pair.call(RELAY, relay).await?) }
            })
        })
    };
    let wasm = Actor::Echo.wasm();
    let (blocking, suspending) = (Bare::pair(&wasm, Mode::Blocking)?, Bare::pair(&wasm, Mode::Async)?);
    let operation = Bytes::from_static(RELAY.as_bytes());
    let bare_async = {
        let (operation, relay) = (operation.clone(), relay.clone());
        Contender::new("bare wasmtime, async", move |slice| {
            let (bare, operation, relay) = (suspending.clone(), operation.clone(), relay.clone());
            seconds_per_call_in_task(slice, move || {
                let (bare, operation, relay) = (bare.clone(), operation.clone(), relay.clone());
                async move { check(&bare.call_async(operation, relay).await?) }
            })
        })
    };
    let bare_blocking = Contender::new("bare wasmtime, blocking", move |slice| {
        let (bare, operation, relay) = (blocking.clone(), operation.clone(), relay.clone());
        seconds_per_call_in_task(slice, move || {
            let answer = bare.call(operation.clone(), relay.clone());
            std::future::ready(answer.map_err(anyhow::Error::from).and_then(|answer| check(&answer)))
        })
    });

    let mut contenders = [ours, bare_blocking, bare_async, runtime_alone];
    let samples = in_turns(plan, &mut contenders).await?;
    let [ours, bare_blocking, bare_async, runtime_alone] =
        <[_; 4]>::try_from(samples).ok().context("samples of every contender")?;
    host.stop().await?;
    let baseline = |name, samples, budget| Baseline { name, samples: Ok(samples), budget };
    Ok(vec![Row {
        name: "local-call",
        title: "actor → actor, one host, module, fresh instances, 256 B, one in flight",
        unit: Unit::Seconds,
        samples: ours,
        limit: None,
        baselines: vec![
            baseline("bare wasmtime, async", bare_async, Some(Budget::AtMost(1.3))),
            baseline("bare wasmtime, blocking", bare_blocking, None),
            baseline("the runtime alone, no router", runtime_alone, None),
        ],
        notes: vec![format!(
            "each call is two fresh instances: `{RELAY}` calls `{ECHO}`, {} B there and back",
            PAYLOAD.len()
        )],
    }])
}

/// In a task of its own, where the executor's budget and wake-ups are those of a host.
async fn seconds_per_call_in_task<F>(slice: Duration, call: impl FnMut() -> F + Send + 'static) -> Result<f64>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    tokio::spawn(seconds_per_call(slice, call)).await.context("the load ended early")?
}

/// Starts an actor with room for everything in flight.
pub async fn start(operator: &Operator, host: &claims::HostId, reference: &str) -> Result<ActorId> {
    operator.scale(host, reference, MANY).await.map_err(anyhow::Error::msg)
}

/// A caller whose way out leads straight to the callee.
struct Pair {
    caller: Guest,
    way_out: Arc<Direct>,
}

/// The shortest way out: no names, no claims, no links.
struct Direct(Guest);

impl Pair {
    async fn load(caller: ActorId, callee: ActorId) -> Result<Arc<Self>> {
        let runtime = Runtime::new(&RuntimeConfig::default())?;
        let wasm = Bytes::from(Actor::Echo.wasm());
        let load = |id| {
            let identity = Identity { id, name: "echo".to_owned(), grants: BTreeSet::new() };
            runtime.load(wasm.clone(), identity, GuestLimits::default())
        };
        let way_out = Arc::new(Direct(load(callee).await?));
        Ok(Arc::new(Self { caller: load(caller).await?, way_out }))
    }

    async fn call(&self, operation: &str, payload: Bytes) -> Result<Bytes, CallError> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let context = CallContext { deadline, trace: TraceContext::default(), outbound: self.way_out.clone() };
        self.caller.call(operation, payload, context).await
    }
}

#[async_trait]
impl Outbound for Direct {
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
        let OutboundCall { operation, payload, deadline, trace, .. } = call;
        let context = CallContext { deadline, trace, outbound: Arc::new(Denied) };
        self.0.call(&operation, payload, context).await
    }
}
