//! What a host tells a provider when it starts it, and the log, which only then knows its level.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use claims::{KeyKind, KeyPair};
use lattice::{HostData, HostDataError};
use tracing_subscriber::EnvFilter;

/// More than the longest line that is accepted.
const MOST_INPUT: u64 = 17 * 1024 * 1024;

/// Why there is no host data.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Somebody typed the command.
    #[error(
        "a provider is started by a host, which writes host data to its standard input; use `wash ctl start provider`"
    )]
    Terminal,
    /// The input ended before it began.
    #[error("standard input is empty; a host writes one line of host data to it")]
    Empty,
    /// Reading failed.
    #[error("cannot read host data from standard input: {0}")]
    Read(std::io::Error),
    /// The line is not what it should be.
    #[error("cannot use what is on standard input: {0}")]
    HostData(#[from] HostDataError),
}

/// Reads the line on standard input.
pub fn read_host_data() -> Result<HostData, LaunchError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(LaunchError::Terminal);
    }
    let mut line = Vec::new();
    stdin.lock().take(MOST_INPUT).read_until(b'\n', &mut line).map_err(LaunchError::Read)?;
    if line.trim_ascii().is_empty() {
        return Err(LaunchError::Empty);
    }
    Ok(HostData::from_stdin_line(&line)?)
}

/// The key that signs calls to actors.
pub fn cluster_key(host_data: &HostData) -> Result<KeyPair, String> {
    let key = KeyPair::from_seed(host_data.invocation_seed.expose())
        .map_err(|error| format!("the invocation seed of the host data is unusable: {error}"))?;
    match key.kind() {
        KeyKind::Cluster => Ok(key),
        _ => Err("the invocation seed of the host data is not the seed of a cluster".to_owned()),
    }
}

/// Logs to standard error: at the level of `RUST_LOG`, else at that of the host data, else at `info`.
pub fn log_to_stderr(host_data: &HostData) {
    let level = host_data.log_level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(level))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Refused only when there is a log already.
    let _ = if host_data.structured_logging { log.json().try_init() } else { log.try_init() };
}
