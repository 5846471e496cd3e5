//! `bench`: what someone waits for, each beside a raw baseline measured in the same run. `cargo xtask bench` builds and
//! starts it.
//!
//! This file is a table of contents: options, rows in order, the report. Needs `wash-host` and `wash` beside itself, so
//! that everything measured has the same profile. Invariant: what is compared is sampled in turns, so that a machine
//! that gets busier does so for both.

mod http_load;
mod machine;
mod measure;
mod phases;
mod report;
mod rows;
mod servers;
mod world;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};

use crate::{machine::Machine, measure::Plan, phases::Extent, report::Report};

/// Measures what someone waits for, beside raw baselines.
#[derive(Parser)]
#[command(name = "bench", max_term_width = 120)]
struct Cli {
    /// Only these rows; `many-actors` and `hosts` are measured only when they are named.
    #[arg(long, value_enum, value_name = "ROW", value_delimiter = ',')]
    only: Vec<rows::Group>,
    /// Time for measuring each group of rows, seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Samples of each figure; the table shows their median, lowest and highest.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    samples: u32,
    /// Also write everything, every sample included, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What runs in a process of its own: the other half of a baseline as the other host does, a phase as callgrind wants.
#[derive(Subcommand)]
enum Part {
    /// Where the time of a call goes: wall time and instructions (by valgrind) of each phase, as a table.
    Phases,
    /// One phase, for a number of calls or a time; prints seconds for each call.
    #[command(hide = true)]
    Phase {
        phase: phases::Phase,
        #[arg(long, conflicts_with = "millis")]
        calls: Option<u32>,
        #[arg(long, default_value_t = 1000)]
        millis: u64,
    },
    /// Answers requests on a NATS subject with their payload.
    #[command(hide = true)]
    AnswerNats { url: String, subject: String },
    /// Answers HTTP with fixed bytes.
    #[command(hide = true)]
    AnswerHttp { address: SocketAddr, body: String },
}

fn main() -> Result<()> {
    rustls_provider();
    let cli = Cli::parse();
    host::executor()?.block_on(async {
        match &cli.part {
            Some(part) => part.run(Duration::from_secs(cli.seconds)).await,
            None => measure_all(&cli).await,
        }
    })
}

impl Part {
    async fn run(&self, time: Duration) -> Result<()> {
        match self {
            Self::Phases => phases::table(time).await,
            Self::Phase { phase, calls: Some(calls), .. } => phases::run(*phase, Extent::Calls(*calls)).await,
            Self::Phase { phase, millis, .. } => {
                phases::run(*phase, Extent::Time(Duration::from_millis(*millis))).await
            }
            Self::AnswerNats { url, subject } => servers::answer_nats(url, subject).await,
            Self::AnswerHttp { address, body } => servers::answer_http(*address, body).await,
        }
    }
}

async fn measure_all(cli: &Cli) -> Result<()> {
    let plan = Plan { samples: cli.samples, time: Duration::from_secs(cli.seconds) };
    let mut report = Report::new(Machine::look(), plan);
    print!("{}", report.header());
    for &group in rows::Group::value_variants() {
        let wanted = if cli.only.is_empty() { group.is_usual() } else { cli.only.contains(&group) };
        if !wanted {
            continue;
        }
        let name = group.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        eprintln!("measuring {name} …");
        let rows = group.run(plan).await.with_context(|| format!("cannot measure `{name}`"))?;
        rows.iter().for_each(|row| print!("{}", report::table(row)));
        report.rows.extend(rows);
    }
    println!("{}", report.closing_line());
    if let Some(path) = &cli.json {
        std::fs::write(path, format!("{:#}\n", report.json()))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// As in every program of the workspace: whoever speaks TLS needs one, and it is this one.
fn rustls_provider() {
    rustls::crypto::ring::default_provider().install_default().ok();
}
