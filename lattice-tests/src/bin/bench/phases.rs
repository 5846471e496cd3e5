//! Where the time of a call goes: the same call cut short after each step, in wall time and in instructions.
//!
//! Each phase does what the one before it does, and one step more, so that a step is a difference of two lines.
//! Instructions are counted by callgrind, in a process of its own for each phase and each of two counts of calls: what
//! differs between the two is the calls, without start and end of the program. Invariant: one thread, one call after the
//! other, a pool small enough for the address space callgrind leaves.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use ::runtime::{Guest, Runtime, RuntimeConfig};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use contracts::http_message;
use lattice_tests::Actor;
use tokio::process::Command;

use crate::{
    rows::{
        alone::{ask, context, load, small_request},
        bare::{Bare, Mode},
        local_call::start,
        relay::{ECHO, PAYLOAD, RELAY, check, request},
    },
    world::World,
};

/// A call, cut short after one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// wasmtime alone: a store and an instance of the module, made and dropped.
    Instantiate,
    /// wasmtime alone: the same, and the guest echoes 256 bytes.
    Call,
    /// The runtime: the same, with admission, limits, deadline and epochs.
    Runtime,
    /// The host: the same, called by an embedded provider, with barrier, grant and link checked.
    Host,
    /// The host: the actor calls another, by name, which echoes.
    Relay,
    /// The message form of a small HTTP request and its answer, each encoded and decoded.
    Encode,
    /// The runtime: a module answers a small HTTP request in its message form.
    ModuleHttp,
    /// The runtime: a component answers a small HTTP request as a stream.
    ComponentHttp,
}

/// Calls of the two runs under callgrind.
const FEW: u32 = 100;
const MANY: u32 = 1100;

/// Prints the table. Without valgrind the instructions are said to be missing.
///
/// # Errors
/// When a phase cannot be run.
pub async fn table(time: Duration) -> Result<()> {
    println!("| Phase | Wall time | Instructions |\n| --- | --- | --- |");
    for phase in Phase::value_variants() {
        let seconds = alone(*phase, time).await?;
        let instructions = match instructions(*phase).await {
            Ok(count) => format!("{count:.0}"),
            Err(error) => format!("not counted: {error:#}"),
        };
        println!("| `{}` | {:.2} µs | {instructions} |", phase.name(), seconds * 1e6);
    }
    Ok(())
}

impl Phase {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The phase in a process of its own: seconds for each call.
async fn alone(phase: Phase, time: Duration) -> Result<f64> {
    let millis = (time.as_millis() / Phase::value_variants().len() as u128).to_string();
    let mut command = Command::new(std::env::current_exe()?);
    let output = output(command.args(["phase", &phase.name(), "--millis", &millis])).await?;
    // What builds the actors first may have told so.
    let figure = output.lines().last().unwrap_or_default();
    figure.trim().parse().with_context(|| format!("the phase `{}` said `{output}`", phase.name()))
}

/// Instructions of one call, by callgrind.
async fn instructions(phase: Phase) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let (few, many) = (counted(phase, FEW, dir.path()).await?, counted(phase, MANY, dir.path()).await?);
    Ok((many - few) / f64::from(MANY - FEW))
}

async fn counted(phase: Phase, calls: u32, dir: &Path) -> Result<f64> {
    let file = dir.join(calls.to_string());
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", file.display()));
    command.arg(std::env::current_exe()?).args(["phase", &phase.name(), "--calls", &calls.to_string()]);
    output(&mut command).await?;
    let profile = std::fs::read_to_string(&file).context("callgrind wrote nothing")?;
    let totals = profile.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    totals.context("no total in what callgrind wrote")?.trim().parse().context("the total is no number")
}

async fn output(command: &mut Command) -> Result<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let run = command.stdin(Stdio::null()).output().await;
    let output = run.with_context(|| format!("cannot run `{program}`"))?;
    ensure!(output.status.success(), "`{program}` failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// How long a phase is run.
#[derive(Debug, Clone, Copy)]
pub enum Extent {
    /// So many calls.
    Calls(u32),
    /// About this long.
    Time(Duration),
}

/// Runs one phase here, on this thread; prints seconds for each call.
///
/// # Errors
/// When it cannot be prepared, or a call fails.
pub async fn run(phase: Phase, extent: Extent) -> Result<()> {
    let runtime = Runtime::new(&config())?;
    match phase {
        Phase::Instantiate => {
            let bare = Bare::alone(&Actor::Echo.wasm(), Mode::Async, &config())?;
            repeat(extent, || bare.instantiate()).await
        }
        Phase::Call => {
            let bare = Bare::alone(&Actor::Echo.wasm(), Mode::Async, &config())?;
            repeat(extent, async || check(&bare.call_async(ECHO.into(), Bytes::from_static(PAYLOAD)).await?)).await
        }
        Phase::Runtime => {
            let guest = load(&runtime, Actor::Echo).await?;
            repeat(extent, async || check(&guest.call(ECHO, Bytes::from_static(PAYLOAD), context()).await?)).await
        }
        Phase::Host | Phase::Relay => in_host(phase, extent).await,
        Phase::Encode => repeat(extent, encode_and_decode).await,
        Phase::ModuleHttp => over_http(extent, load(&runtime, Actor::Echo).await?).await,
        Phase::ComponentHttp => over_http(extent, load(&runtime, Actor::Hello).await?).await,
    }
}

/// Small: callgrind leaves no room for terabytes of address space. It also takes so long for a call that this would
/// count as one that computes for long.
fn config() -> RuntimeConfig {
    RuntimeConfig { max_instances: 4, foreground: Duration::MAX, ..RuntimeConfig::default() }
}

async fn in_host(phase: Phase, extent: Extent) -> Result<()> {
    let world = World::alone()?;
    let (caller, callee) = (world.actor(Actor::Echo), world.actor(Actor::Echo));
    let host = world.start_here_with(config()).await?;
    for actor in [&caller, &callee] {
        start(&host.operator, &host.id, &actor.reference()).await?;
    }
    let driver = host.drive(caller.id).await?;
    let relay = request(&callee.id)?;
    let (operation, payload) = match phase {
        Phase::Host => (ECHO, Bytes::from_static(PAYLOAD)),
        Phase::Relay => (RELAY, relay),
        _ => bail!("not a phase of a host"),
    };
    repeat(extent, async || check(&driver.call(operation, payload.clone()).await?)).await?;
    host.stop().await
}

async fn over_http(extent: Extent, guest: Guest) -> Result<()> {
    repeat(extent, async || ask(&guest).await).await
}

async fn encode_and_decode() -> Result<()> {
    let message = http_message::encode_request(small_request()?, 1 << 20).await?;
    let request = http_message::decode_request(&message)?;
    let answer = http::Response::builder().header("content-type", "text/plain").body(request.into_body())?;
    let message = http_message::encode_response(answer, 1 << 20).await?;
    http_message::decode_response(&message, false)?;
    Ok(())
}

async fn repeat(extent: Extent, mut call: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    let mut calls = 0_u32;
    let done = |calls: u32| match extent {
        Extent::Calls(wanted) => calls >= wanted,
        Extent::Time(time) => calls > 0 && calls.is_multiple_of(64) && started.elapsed() >= time,
    };
    while !done(calls) {
        call().await?;
        calls += 1;
    }
    println!("{}", started.elapsed().as_secs_f64() / f64::from(calls));
    Ok(())
}
