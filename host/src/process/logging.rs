//! Logs of a host process: to stderr, filtered by level or directive, as text or JSON.
//!
//! Invariant: writing a line never ends anything. A line that cannot be written (a full disk, a reader that went away) is
//! dropped and counted, and the next one that can be written says how many were.

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicU64, Ordering},
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt::MakeWriter};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// A word that is no level.
    #[error("`{0}` is no log level: use error, warn, info, debug, trace or off, or a filter such as `host=debug,info`")]
    NoLevel(String),
    /// `RUST_LOG`, or a filter, is no filter.
    #[error("`{filter}` is no log filter")]
    NoFilter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Not text.
    #[error("the environment variable `RUST_LOG` is not UTF-8 text")]
    NotText,
}

/// Lines that could not be written since this process began.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines of this process's log that could not be written.
#[must_use]
pub fn dropped_log_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Whether terminals are to get colors: not with `NO_COLOR` set to anything, nor on a terminal that says it has none.
#[must_use]
pub fn colors_are_welcome() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Starts logging for this process. `RUST_LOG`, when set, is used instead of `filter`. A second call does nothing.
///
/// # Errors
/// When the filter is not one.
pub fn init_logging(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    let directives = match env::var("RUST_LOG") {
        Ok(directives) => directives,
        Err(env::VarError::NotPresent) => checked(filter)?,
        Err(env::VarError::NotUnicode(_)) => return Err(LoggingError::NotText),
    };
    // The NATS client's own news repeats what the host says about its connections.
    let directives = if directives.contains("async_nats") {
        directives
    } else {
        format!("{directives},async_nats=warn,async_nats::connector=off")
    };
    let filter = EnvFilter::builder()
        .parse(&directives)
        .map_err(|source| LoggingError::NoFilter { filter: directives.clone(), source })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Log)
        .log_internal_errors(false) // it would say so on the very stream that failed, and panic
        .with_ansi(io::stderr().is_terminal() && colors_are_welcome());
    match format {
        LogFormat::Text => lines.try_init().ok(),
        LogFormat::Json => lines.json().try_init().ok(),
    };
    Ok(())
}

/// The filter in lower case, when each part is a level or gives one to a target. Without this check a slip such as `inof` is
/// taken for the name of a target, and nothing is logged at all.
fn checked(filter: &str) -> Result<String, LoggingError> {
    let filter = filter.to_lowercase();
    for part in filter.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        level.parse::<LevelFilter>().map_err(|_| LoggingError::NoLevel(level.to_owned()))?;
    }
    Ok(filter)
}

/// Makes a writer for each line.
struct Log;

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { to: io::stderr(), dropped: &DROPPED }
    }
}

/// Writes one line, whatever becomes of it.
struct Line<W> {
    to: W,
    dropped: &'static AtomicU64,
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let missed = self.dropped.load(Ordering::Relaxed);
        let mut written = Ok(());
        if missed > 0 {
            written = self.to.write_all(Missed(missed).to_string().as_bytes());
            if written.is_ok() {
                self.dropped.fetch_sub(missed, Ordering::Relaxed);
            }
        }
        if written.and_then(|()| self.to.write_all(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.to.flush();
        Ok(())
    }
}

/// The line in place of those that are missing.
struct Missed(u64);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "({} log lines could not be written)", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails so many times, then takes everything.
    struct Disk {
        full: u32,
        holds: Vec<u8>,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.full > 0 {
                self.full -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.holds.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_dropped_counted_and_told_of_later() {
        static MISSED: AtomicU64 = AtomicU64::new(0);
        let mut disk = Disk { full: 2, holds: Vec::new() };
        for line in ["a\n", "b\n", "c\n", "d\n"] {
            Line { to: &mut disk, dropped: &MISSED }.write_all(line.as_bytes()).expect("never fails");
        }
        assert_eq!(String::from_utf8_lossy(&disk.holds), "(2 log lines could not be written)\nc\nd\n");
        assert_eq!(MISSED.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_slip_in_the_level_is_named_and_not_taken_for_a_target() {
        for good in ["info", "WARN", "off", "host=debug,info", "host::rpc=trace", ""] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for (wrong, named) in [("inof", "inof"), ("host=verbose", "verbose"), ("info,hots", "hots")] {
            let error = checked(wrong).expect_err(wrong).to_string();
            assert!(error.starts_with(&format!("`{named}` is no log level")), "{error}");
        }
    }
}
