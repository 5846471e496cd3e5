//! Logs of a host process: to stderr, filtered by level or directive, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for this process. `RUST_LOG`, when set, is used instead of `filter`. A second call does nothing.
///
/// # Errors
/// When the filter is not one.
pub fn init_logging(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_lowercase());
    // The NATS client's own news repeats what the host says about its connections.
    let directives = if directives.contains("async_nats") {
        directives
    } else {
        format!("{directives},async_nats=warn,async_nats::connector=off")
    };
    let filter = EnvFilter::builder().parse(directives)?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.try_init().ok(),
        LogFormat::Json => lines.json().try_init().ok(),
    };
    Ok(())
}
