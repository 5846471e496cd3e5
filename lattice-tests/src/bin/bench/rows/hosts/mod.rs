//! Ten and then a hundred hosts in one lattice, each with ten actors and twenty links: how what someone waits for, and
//! what it costs to be there, grow with the number of hosts.
//!
//! All hosts are in this process, over one nats-server. The baseline of a hundred hosts is ten.

mod crowd;
mod idle;
mod links;

use std::{process::Stdio, time::Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use self::{
    crowd::{ACTORS_EACH, Crowd, INSTANCES, LINKS_EACH},
    idle::{IDLE, Idle},
};
use crate::{
    machine,
    measure::{Plan, Samples},
    report::{Baseline, Budget, Row, Unit},
    world::binary,
};

const FEW: usize = 10;
const MANY: usize = 100;
/// `wash get hosts` over a hundred hosts.
const GET_BUDGET: Budget = Budget::AtMost(0.5);

/// What was measured on one lattice.
struct Figures {
    start: Samples,
    restart: Samples,
    get: Samples,
    link: Samples,
    cpu: Samples,
    incoming: Samples,
    outgoing: Samples,
    memory: Samples,
    /// Seconds for starting all actors, and for putting all links until every one was served.
    load: (f64, f64),
}

/// Measures the group.
pub async fn run(plan: Plan) -> Result<Vec<Row>> {
    let few = measure(FEW, plan).await.with_context(|| format!("{FEW} hosts"))?;
    let many = measure(MANY, plan).await.with_context(|| format!("{MANY} hosts"))?;
    Ok(rows(&few, many))
}

async fn measure(size: usize, plan: Plan) -> Result<Figures> {
    let before = machine::memory_of("self", "RssAnon")?;
    let mut crowd = Crowd::prepare(size).await?;
    let start = crowd.start().await?;
    let load = crowd.load().await?;
    let link = crowd.watched_link()?;
    let (mut get, mut changes) = (Vec::new(), Vec::new());
    for round in 0..=plan.samples {
        let sample = (get_hosts(&crowd).await?, links::change(&crowd, &link, round).await?);
        if round > 0 {
            get.push(sample.0);
            changes.push(sample.1);
        }
    }
    let Idle { cpu, incoming, outgoing } = idle::measure(&crowd).await?;
    let memory = (machine::memory_of("self", "RssAnon")? - before) / size as f64;
    crowd.stop().await?;
    let restart = crowd.start_again().await?;
    crowd.stop().await?;
    let one = |value| Samples(vec![value]);
    Ok(Figures {
        start: one(start),
        restart: one(restart),
        get: Samples(get),
        link: Samples(changes),
        cpu: one(cpu / size as f64),
        incoming: one(incoming),
        outgoing: one(outgoing),
        memory: one(memory),
        load,
    })
}

/// Seconds from the start of `wash get hosts` to its end; an answer in which a host is missing is none.
async fn get_hosts(crowd: &Crowd) -> Result<f64> {
    let began = Instant::now();
    let mut command = Command::new(binary("wash")?);
    command.args(["get", "hosts", "--output", "json"]).envs(crowd.world.environment()?).stdin(Stdio::null());
    let output = command.output().await.context("cannot run `wash`")?;
    let took = began.elapsed().as_secs_f64();
    ensure!(output.status.success(), "`wash get hosts` failed: {}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).context("what `wash get hosts` says is not JSON")?;
    let listed = answer["hosts"].as_array().map_or(0, Vec::len);
    ensure!(listed == crowd.size, "`wash get hosts` lists {listed} of {} hosts", crowd.size);
    Ok(took)
}

fn rows(few: &Figures, many: Figures) -> Vec<Row> {
    let row = |name, title, unit, samples, few: &Samples, limit, notes| Row {
        name,
        title,
        unit,
        samples,
        limit,
        baselines: vec![Baseline { name: "ten hosts", samples: Ok(few.clone()), budget: None }],
        notes,
    };
    let start = "100 hosts in one lattice, started at once without state → every one answers";
    let restart = "the same with 1,000 actors and 2,000 links of before → every one answers and runs its actors";
    let get = "`wash get hosts` over 100 hosts, process start → complete answer";
    let link = "one link put at one host → served by a provider on each of 100 hosts";
    let cpu = "processor time of an idle host, of 100, in percent of one core";
    let incoming = "messages from 100 idle hosts to the nats-server";
    let outgoing = "messages from the nats-server to 100 idle hosts";
    let memory = "memory of this process for each of 100 hosts after its set-up, not backed by a file";
    let mut rows = vec![
        row("hosts-start", start, Unit::Seconds, many.start, &few.start, None, setting()),
        row("hosts-restart", restart, Unit::Seconds, many.restart, &few.restart, None, loading(few.load, many.load)),
        row("hosts-get", get, Unit::Seconds, many.get, &few.get, Some(GET_BUDGET), Vec::new()),
        row("hosts-link", link, Unit::Seconds, many.link, &few.link, None, Vec::new()),
        row("hosts-cpu", cpu, Unit::Percent, many.cpu, &few.cpu, None, Vec::new()),
        row("hosts-sent", incoming, Unit::PerSecond, many.incoming, &few.incoming, None, Vec::new()),
        row("hosts-received", outgoing, Unit::PerSecond, many.outgoing, &few.outgoing, None, Vec::new()),
        row("hosts-memory", memory, Unit::Bytes, many.memory, &few.memory, None, kept()),
    ];
    for idle in &mut rows[4..7] {
        idle.notes.push(format!("over {} s, one interval of heartbeats", IDLE.as_secs()));
    }
    rows
}

fn setting() -> Vec<String> {
    vec![
        format!(
            "all hosts in one process, each with {ACTORS_EACH} actors, {LINKS_EACH} links, a pool of {INSTANCES} \
             instances and one thread for long calls"
        ),
        "their state is in memory where there is `/dev/shm`, because they would have a disk each".to_owned(),
    ]
}

fn kept() -> Vec<String> {
    vec!["what was needed in between, and the allocator did not give back, is included".to_owned()]
}

fn loading(few: (f64, f64), many: (f64, f64)) -> Vec<String> {
    let said = |what, few: f64, many: f64, size: usize| {
        let (few, many) = (few * 1e3 / (size * FEW) as f64, many * 1e3 / (size * MANY) as f64);
        format!("{what}: {few:.1} ms each with ten hosts, {many:.1} ms with a hundred, four at once")
    };
    vec![
        said("starting the actors", few.0, many.0, ACTORS_EACH),
        said("putting the links until all are served", few.1, many.1, LINKS_EACH),
    ]
}
