//! `wash-host`: the slim host for devices. Configure, build, announce, run, drain.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use host::{Host, HostArgs, HostConfig, LogFormat, executor, init_logging};
use tokio::signal::unix::{SignalKind, signal};

/// A lattice host without the command line tools.
#[derive(Parser)]
#[command(name = "wash-host", version, about)]
struct Cli {
    #[command(flatten)]
    host: HostArgs,
    /// Run without NATS: a complete small lattice on this machine, reached over its control socket.
    #[arg(long, env = "WASH_WITHOUT_NATS")]
    without_nats: bool,
}

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().ok();
    let cli = Cli::parse();
    let outcome = executor().context("cannot start worker threads").and_then(|executor| {
        let outcome = executor.block_on(run(cli));
        // What the host was given time for is over; what a system call still holds (a disk that is away) is not waited for.
        executor.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let format = if cli.host.enable_structured_logging { LogFormat::Json } else { LogFormat::Text };
    init_logging(&cli.host.log_level, format)?;
    let config = configure(cli)?;
    let host = Host::start(config, &[provider_httpserver::BUILTIN, provider_keyvalue_redb::BUILTIN]).await?;
    tracing::info!(host = %host.id(), name = host.friendly_name(), lattice = %host.lattice(), socket = %host.socket().display(), "host started");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    host.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    Ok(())
}

fn configure(cli: Cli) -> anyhow::Result<HostConfig> {
    let home = std::env::home_dir().ok_or_else(|| anyhow::anyhow!("no home directory; set `--state-dir`"));
    let state_dir = match &cli.host.state_dir {
        Some(directory) => directory.clone(),
        None => home?.join(".wash").join("host"),
    };
    let mut config = cli.host.into_config(state_dir)?;
    if cli.without_nats {
        (config.ctl, config.rpc) = (None, None);
    }
    Ok(config)
}
