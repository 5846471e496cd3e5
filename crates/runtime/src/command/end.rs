//! How a program comes to its end: an exit code, or a failure that says what happened and where.
//!
//! Invariant: what the program does wrong, a limit that stops it, and a fault of ours are different variants.

use std::time::Duration;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::actor::local_grants::GrantError;
use crate::error::ended::Breach;

/// Functions shown of a trap.
const FRAMES: usize = 8;
/// Longest name of a function that is shown, in characters.
const NAME: usize = 120;

/// Why a program came to no end of its own.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It did what no program may.
    #[error("the program trapped: {reason}")]
    Trap {
        /// Stable word for the kind of trap, such as `unreachable`.
        kind: &'static str,
        /// What happened, in words.
        reason: String,
        /// The functions it was in by name, innermost first.
        frames: Vec<String>,
        /// Functions further out, which are not named.
        further: usize,
    },
    /// It ran longer than it was given.
    #[error("the program was stopped after {limit:?}")]
    TimedOut {
        /// What it was given.
        limit: Duration,
    },
    /// It failed after it was refused more memory or a larger table.
    #[error("the program needs more than it may have: {limit}")]
    LimitExceeded {
        /// The limit, with its value.
        limit: String,
    },
    /// Something that it is granted is not there.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// A fault of the runtime.
    #[error("host fault: {reason}")]
    HostFault {
        /// What went wrong.
        reason: String,
    },
}

impl CommandError {
    /// Stable word for tests, docs and output for programs. The sentence may change; this may not.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap { kind, .. } => kind,
            Self::TimedOut { .. } => "timed_out",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::Grant(_) => "grant_unusable",
            Self::HostFault { .. } => "host_fault",
        }
    }
}

/// What classification must know about the run.
pub(super) struct Ended {
    /// The limit that refused a growth.
    pub(super) breach: Option<String>,
    /// The time the program was given.
    pub(super) time: Option<Duration>,
}

/// The exit code, or why there is none.
pub(super) fn of(error: wasmtime::Error, ended: Ended) -> Result<i32, CommandError> {
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return Ok(*code);
    }
    if let (Some(Breach::Deadline), Some(limit)) = (error.downcast_ref::<Breach>(), ended.time) {
        return Err(CommandError::TimedOut { limit });
    }
    // A program that gets no more memory usually gives up by a trap; the cause is the better answer.
    if let Some(limit) = ended.breach {
        return Err(CommandError::LimitExceeded { limit });
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let frames = backtrace.map(frames).unwrap_or_default();
    let further = backtrace.map_or(0, |backtrace| backtrace.frames().len().saturating_sub(FRAMES));
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let reason = trap.to_string();
        let reason = reason.strip_prefix("wasm trap: ").unwrap_or(&reason).to_owned();
        return Err(CommandError::Trap { kind: kind(*trap), reason, frames, further });
    }
    let reason = crate::error::ended::reason(&error);
    // Host functions refuse pointers that lead nowhere, and such things, by an error of their own.
    if error.is::<WasmBacktrace>() && error.downcast_ref::<Breach>().is_none() {
        return Err(CommandError::Trap { kind: "host_call", reason, frames, further });
    }
    Err(CommandError::HostFault { reason })
}

fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    let frames = backtrace.frames().iter();
    frames
        .take(FRAMES)
        .map(|frame| match frame.func_name() {
            Some(name) => readable(name),
            None => format!("function {}", frame.func_index()),
        })
        .collect()
}

/// The name as it stands in the source, as far as that can be told. Names are the guest's, so they are cut and have
/// nothing in them that a terminal would act on.
fn readable(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    name.chars().filter(|c| !c.is_control()).take(NAME).collect()
}

fn kind(trap: Trap) -> &'static str {
    match trap {
        Trap::UnreachableCodeReached => "unreachable",
        Trap::StackOverflow => "stack_overflow",
        Trap::MemoryOutOfBounds => "memory_out_of_bounds",
        Trap::HeapMisaligned => "unaligned_atomic",
        Trap::TableOutOfBounds => "table_out_of_bounds",
        Trap::IndirectCallToNull => "indirect_call_to_null",
        Trap::BadSignature => "indirect_call_of_another_type",
        Trap::IntegerOverflow => "integer_overflow",
        Trap::IntegerDivisionByZero => "division_by_zero",
        Trap::BadConversionToInteger => "conversion_to_integer",
        _ => "trap",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rust_functions_are_shown_as_they_are_written() {
        assert_eq!(readable("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
        assert_eq!(readable("main"), "main");
    }

    #[test]
    fn a_name_cannot_reach_the_terminal_or_fill_it() {
        assert_eq!(readable("a\u{1b}[2Jb\n"), "a[2Jb");
        assert_eq!(readable(&"x".repeat(10_000)).len(), NAME);
    }
}
