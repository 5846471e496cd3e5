//! A quiet actor beside hostile ones: HTTP → component at a modest constant rate, alone and while each hostile guest of
//! the runtime's tests is called in a loop.
//!
//! Latencies count from the moment a request was due, so that a request that waits for its turn is not forgotten.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lattice_tests::{Actor, free_address, get, try_get};
use tokio::task::JoinSet;

use super::local_call::start;
use crate::{
    measure::{Contender, Plan, Samples, in_turns},
    report::{Baseline, Budget, Row, Unit},
    world::World,
};

/// Requests to the quiet actor in a second.
const RATE: u32 = 200;
/// Calls of the hostile actor at once.
const HOSTILE_CALLS: usize = 4;
/// Enough requests for a 99th percentile.
const SLICE: Duration = Duration::from_secs(3);
const MOST_SAMPLES: u32 = 3;
/// Between two calls of one hostile loop, so that the guest is measured and not whoever calls it.
const BREATH: Duration = Duration::from_millis(5);
/// Until what a hostile guest began is over.
const PAUSE: Duration = Duration::from_millis(200);

const QUIET: &str = "quiet";

/// A hostile guest: row, what the row says, artifact, path to ask for.
struct Hostile {
    name: &'static str,
    title: &'static str,
    wasm: &'static [u8],
    path: &'static str,
}

macro_rules! guest {
    ($file:literal) => {
        include_bytes!(concat!("../../../../../crates/runtime/tests/guests/", $file))
    };
}

macro_rules! hostile {
    ($($name:literal, $title:literal, $file:literal, $path:literal;)*) => {
        &[$(Hostile {
            name: concat!("neighbour-", $name),
            title: concat!("p99 of a quiet component while another actor ", $title),
            wasm: guest!($file),
            path: $path,
        },)*]
    };
}

const HOSTILE: &[Hostile] = hostile! {
    "loop", "computes without end", "hostile/loop_in_call.wat", "/";
    "start-loop", "computes without end in its start function", "hostile/loop_in_start.wat", "/";
    "component-loop", "(a component) computes without end", "http.wasm", "/s";
    "component-body", "never ends its body", "http.wasm", "/w";
    "component-silent", "never sets its response", "http.wasm", "/n";
    "recursion", "recurses until the stack ends", "hostile/recursion.wat", "/";
    "memory-step", "wants 4 GiB at once", "hostile/memory_one_step.wat", "/";
    "memory", "takes all its memory page by page", "hostile/memory_small_steps.wat", "/";
    "table", "grows its table without end", "hostile/table_growth.wat", "/";
    "length", "names a payload of 4 GiB", "hostile/huge_length.wat", "/";
    "pointer", "points beyond its memory", "hostile/out_of_bounds.wat", "/";
    "utf8", "gives names that are not text", "hostile/bad_utf8.wat", "/";
    "failures", "goes on calling after failures", "hostile/after_failure.wat", "/";
    "host-calls", "calls out without end", "hostile/host_calls.wat", "/";
    "start-call", "calls out in its start function", "hostile/start_calls_out.wat", "/";
    "msgpack", "nests msgpack 10,000 deep", "hostile/nested_msgpack.wat", "/";
    "log", "logs without end", "hostile/log_flood.wat", "/";
    "unreachable", "gives up at once", "hostile/unreachable.wat", "/";
    "division", "divides by zero", "hostile/division.wat", "/";
};

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let world = World::with_nats().await?;
    let (host, id) = world.start_host("neighbours").await?;
    let operator = &host.operator;
    let provider = operator.start_provider(&id, "builtin://httpserver").await.map_err(anyhow::Error::msg)?;
    let serve = async |signed: lattice_tests::Signed<claims::ActorId>| -> Result<SocketAddr> {
        start(operator, &id, &signed.reference()).await?;
        let address = free_address();
        let values = [("address", &*address.to_string())];
        operator.link(&signed.id, &provider, &values).await.map_err(anyhow::Error::msg)?;
        Ok(address)
    };
    let quiet = serve(world.signer.actor(Actor::Hello)).await?;
    get(quiet, "/").await;
    let medians: Vec<Medians> = (0..=HOSTILE.len()).map(|_| Medians::default()).collect();
    let mut contenders = vec![contender(QUIET, quiet, None, medians[0].clone())];
    for (hostile, medians) in HOSTILE.iter().zip(&medians[1..]) {
        let wasm = wat::parse_bytes(hostile.wasm).with_context(|| hostile.name)?;
        let address = serve(world.signer.wasm(hostile.name, &wasm)).await?;
        contenders.push(contender(hostile.name, quiet, Some((address, hostile.path)), medians.clone()));
    }
    let samples = plan.samples.min(MOST_SAMPLES);
    let turns = u32::try_from(contenders.len())?.saturating_mul(samples + 1);
    let samples = in_turns(Plan { samples, time: SLICE.saturating_mul(turns) }, &mut contenders).await?;
    host.stop().await?;

    let rows = HOSTILE.iter().zip(&samples[1..]).zip(&medians[1..]).map(|((hostile, beside), median)| Row {
        name: hostile.name,
        title: hostile.title,
        unit: Unit::Seconds,
        samples: beside.clone(),
        limit: None,
        baselines: vec![Baseline { name: QUIET, samples: Ok(samples[0].clone()), budget: Some(Budget::AtMost(2.0)) }],
        notes: vec![format!(
            "p50 {:.0} µs, alone {:.0} µs; {RATE} requests/s, {HOSTILE_CALLS} hostile calls at once",
            median.median() * 1e6,
            medians[0].median() * 1e6
        )],
    });
    Ok(rows.collect())
}

/// The p50 of every sample; the p99 is the sample.
#[derive(Clone, Default)]
struct Medians(Arc<Mutex<Vec<f64>>>);

impl Medians {
    fn push(&self, value: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }

    fn median(&self) -> f64 {
        Samples(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).median()
    }
}

fn contender(
    name: &'static str,
    quiet: SocketAddr,
    hostile: Option<(SocketAddr, &'static str)>,
    medians: Medians,
) -> Contender {
    Contender::new(name, move |slice| {
        let medians = medians.clone();
        async move {
            let mut loops = JoinSet::new();
            for (address, path) in hostile.into_iter().cycle().take(hostile.map_or(0, |_| HOSTILE_CALLS)) {
                // However it ends, the next one begins.
                loops.spawn(async move {
                    loop {
                        try_get(address, path).await.ok();
                        tokio::time::sleep(BREATH).await;
                    }
                });
            }
            let mut latencies = latencies(quiet, slice).await?;
            loops.shutdown().await;
            tokio::time::sleep(PAUSE).await;
            latencies.sort_by(f64::total_cmp);
            medians.push(latencies[latencies.len() / 2]);
            Ok(latencies[latencies.len() * 99 / 100])
        }
    })
}

/// Seconds from when each request was due until its answer, on a thread of its own.
async fn latencies(address: SocketAddr, slice: Duration) -> Result<Vec<f64>> {
    let load = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
        runtime.block_on(ask_at_a_constant_rate(address, slice))
    };
    tokio::task::spawn_blocking(load).await.context("the load ended early")?
}

async fn ask_at_a_constant_rate(address: SocketAddr, slice: Duration) -> Result<Vec<f64>> {
    let started = Instant::now();
    let mut requests = JoinSet::new();
    for number in 0.. {
        let due = started + Duration::from_secs(1) / RATE * number;
        if due - started >= slice {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        requests.spawn(async move {
            let answer = try_get(address, "/").await.map_err(anyhow::Error::msg)?;
            ensure!(answer.status.is_success(), "the quiet actor answered {}", answer.status);
            anyhow::Ok(due.elapsed().as_secs_f64())
        });
    }
    let mut latencies = Vec::new();
    while let Some(ended) = requests.join_next().await {
        latencies.push(ended.context("a request panicked")??);
    }
    Ok(latencies)
}
