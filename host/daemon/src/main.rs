//! `wash-host`: the slim host for devices. Configure, build, announce, run, drain.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use host::{Host, HostArgs, HostConfig, LogFormat, compile_worker, executor, init_logging, until_signal};

/// A lattice host without the command line tools.
#[derive(Parser)]
#[command(name = "wash-host", version, about)]
struct Cli {
    #[command(flatten)]
    host: HostArgs,
    /// Run without NATS: a complete small lattice on this machine, reached over its control socket.
    #[arg(long, env = "WASH_WITHOUT_NATS")]
    without_nats: bool,
    /// Directory of `wash`, where the credentials of the NATS server are that `wash up` runs for this user [default: ~/.wash]
    #[arg(long, env = "WASH_HOME", value_name = "DIRECTORY")]
    wash_home: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Some(code) = host::guard::run_if_asked() {
        return code;
    }
    if compile_worker::is_asked() {
        return compile_worker::serve();
    }
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
            // Not `eprintln!`, which panics where stderr cannot be written.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let format = if cli.host.enable_structured_logging { LogFormat::Json } else { LogFormat::Text };
    init_logging(&cli.host.log_level, format)?;
    let config = configure(cli)?;
    let builtins = [provider_httpserver::BUILTIN, provider_keyvalue_redb::BUILTIN];
    let host = Box::pin(Host::start(config, &builtins)).await?;
    tracing::info!(host = %host.id(), name = host.friendly_name(), lattice = %host.lattice(), socket = %host.socket().display(), "host started");
    host.run(until_signal()?).await;
    Ok(())
}

fn configure(cli: Cli) -> anyhow::Result<HostConfig> {
    let wash_home = cli.wash_home.or_else(|| Some(std::env::home_dir()?.join(".wash")));
    let state_dir = match (&cli.host.state_dir, &wash_home) {
        (Some(directory), _) => directory.clone(),
        (None, Some(home)) => home.join("host"),
        (None, None) => anyhow::bail!("no home directory; set `--state-dir`"),
    };
    let mut config = cli.host.into_config(state_dir)?;
    if let Some(home) = &wash_home {
        config.use_local_nats(home);
    }
    if cli.without_nats {
        (config.ctl, config.rpc) = (None, None);
    }
    Ok(config)
}
