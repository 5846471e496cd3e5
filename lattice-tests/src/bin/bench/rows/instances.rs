//! Instances and compiled code, by the runtime alone beside wasmtime alone: a fresh instance with an empty call, and
//! loading an actor with and without compiled code in the cache.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ::runtime::{CodeCacheConfig, Runtime, RuntimeConfig};
use anyhow::{Context, Result};
use bytes::Bytes;
use lattice_tests::Actor;
use wasmtime::{Engine, Module, component::Component};

use super::{
    alone::{ask, context, load},
    bare::{self, Bare, Mode},
    relay::ECHO,
};
use crate::{
    measure::{Contender, Plan, Samples, in_turns, seconds_per_call},
    report::{Baseline, Budget, Row, Unit},
};

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let third = Plan { time: plan.time / 3, ..plan };
    Ok(vec![
        instance(third).await?,
        loading(third, Actor::Echo, "load-module").await?,
        loading(third, Actor::Hello, "load-component").await?,
        waking(plan.samples, Actor::Greet, "wake-module").await?,
        waking(plan.samples, Actor::Hello, "wake-component").await?,
    ])
}

async fn instance(plan: Plan) -> Result<Row> {
    let guest = load(&Runtime::new(&RuntimeConfig::default())?, Actor::Echo).await?;
    let ours = Contender::new("the runtime", move |slice| {
        let guest = guest.clone();
        seconds_per_call(slice, move || {
            let guest = guest.clone();
            async move { Ok(guest.call(ECHO, Bytes::new(), context()).await.map(drop)?) }
        })
    });
    let bare = Bare::alone(&Actor::Echo.wasm(), Mode::Async, &RuntimeConfig::default())?;
    let bare = Contender::new("wasmtime", move |slice| {
        let bare = bare.clone();
        seconds_per_call(slice, move || {
            let bare = bare.clone();
            async move { Ok(bare.call_async(ECHO.into(), Bytes::new()).await.map(drop)?) }
        })
    });
    let samples = in_turns(plan, &mut [ours, bare]).await?;
    let [ours, bare] = <[_; 2]>::try_from(samples).ok().context("samples of both")?;
    Ok(Row {
        name: "instance",
        title: "a fresh instance of a module and an empty call, one after the other, without a host",
        unit: Unit::Seconds,
        samples: ours,
        limit: None,
        baselines: vec![Baseline { name: "wasmtime alone", samples: Ok(bare), budget: Some(Budget::AtMost(1.3)) }],
        notes: Vec::new(),
    })
}

/// The row is loading from the cache; what that saves is its first baseline.
async fn loading(plan: Plan, actor: Actor, name: &'static str) -> Result<Row> {
    let dir = tempfile::tempdir()?;
    let cache = CodeCacheConfig { dir: dir.path().join("compiled"), max_bytes: 1 << 30 };
    let wasm = Bytes::from(actor.wasm());
    let file = dir.path().join("bare");
    let engine = bare::engine(&RuntimeConfig::default())?;
    std::fs::write(&file, compile(&engine, &wasm)?)?;
    let mut contenders = [
        loads("the runtime, code in the cache", actor, Some(cache))?,
        loads("the runtime, compiling", actor, None)?,
        repeated("wasmtime alone, compiling", {
            let engine = engine.clone();
            move || compile(&engine, &wasm).map(drop)
        }),
        repeated("wasmtime alone, code in a file", move || from_file(&engine, &file, actor)),
    ];
    let samples = in_turns(plan, &mut contenders).await?;
    let [cached, compiling, bare, bare_cached] =
        <[_; 4]>::try_from(samples).ok().context("samples of every contender")?;
    let baseline = |name, samples| Baseline { name, samples: Ok(samples), budget: None };
    Ok(Row {
        name,
        title: "an actor loaded, its compiled code in the cache, without a host",
        unit: Unit::Seconds,
        samples: cached,
        limit: None,
        baselines: vec![
            baseline("the same, compiling", compiling),
            baseline("wasmtime alone, compiling", bare),
            baseline("wasmtime alone, code in a file, not verified", bare_cached),
        ],
        notes: vec![format!("{} KiB of wasm", actor.wasm().len() >> 10)],
    })
}

/// The first request after the code of an actor was let go of, and the one after that.
async fn waking(samples: u32, actor: Actor, name: &'static str) -> Result<Row> {
    let dir = tempfile::tempdir()?;
    let code_cache = Some(CodeCacheConfig { dir: dir.path().to_owned(), max_bytes: 1 << 30 });
    let unload_code_after = Some(Duration::from_millis(20));
    let runtime = Runtime::new(&RuntimeConfig { code_cache, unload_code_after, ..RuntimeConfig::default() })?;
    let guest = load(&runtime, actor).await?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..=samples {
        while guest.has_code_in_memory() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for times in [&mut first, &mut second] {
            let started = Instant::now();
            ask(&guest).await?;
            times.push(started.elapsed().as_secs_f64());
        }
    }
    // The first round is for warming up.
    let [first, second] = [first, second].map(|times| Samples(times[1..].to_vec()));
    Ok(Row {
        name,
        title: "the first request to an actor that was idle for so long that its code was let go of, without a host",
        unit: Unit::Seconds,
        samples: first,
        limit: None,
        baselines: vec![Baseline { name: "the next request", samples: Ok(second), budget: None }],
        notes: Vec::new(),
    })
}

/// Loads an actor and drops it, again and again; the last one is gone before the next is loaded.
fn loads(name: &'static str, actor: Actor, code_cache: Option<CodeCacheConfig>) -> Result<Contender> {
    let runtime = Runtime::new(&RuntimeConfig { code_cache, ..RuntimeConfig::default() })?;
    Ok(Contender::new(name, move |slice| {
        let runtime = runtime.clone();
        seconds_once(slice, async move || load(&runtime, actor).await.map(drop))
    }))
}

fn repeated(name: &'static str, work: impl Fn() -> Result<()> + Clone + Send + Sync + 'static) -> Contender {
    Contender::new(name, move |slice| {
        let work = work.clone();
        seconds_once(slice, async move || work())
    })
}

/// For things too long to be done sixteen at a time.
async fn seconds_once(slice: Duration, mut work: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    let (started, mut times) = (Instant::now(), 0_u32);
    while times == 0 || started.elapsed() < slice {
        work().await?;
        times += 1;
    }
    Ok(started.elapsed().as_secs_f64() / f64::from(times))
}

fn compile(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>> {
    if wasmparser::Parser::is_component(wasm) {
        return Ok(Component::from_binary(engine, wasm)?.serialize()?);
    }
    Ok(Module::from_binary(engine, wasm)?.serialize()?)
}

#[expect(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "a baseline: native code from a file which this program wrote a moment ago"
)]
fn from_file(engine: &Engine, file: &Path, actor: Actor) -> Result<()> {
    // SAFETY: the file is what `compile` made with this very engine, in a directory of this process.
    match actor {
        Actor::Hello => unsafe { Component::deserialize_file(engine, file) }.map(drop)?,
        _ => unsafe { Module::deserialize_file(engine, file) }.map(drop)?,
    }
    Ok(())
}
