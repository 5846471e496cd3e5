//! `wash run`: a command program on this machine, without any lattice.
//!
//! Standard streams and exit code are the program's own. Invariant: it gets nothing of this machine that was not named
//! on the command line.

use std::{ffi::OsString, time::Duration};

use clap::Args;
use runtime::{CommandError, CommandOptions};

use crate::{
    arguments::{grants::GrantArgs, units},
    artifacts::{
        programs::{self, EngineArgs},
        registry::{FetchArgs, RegistryArgs},
    },
    context::Context,
    terminal::{
        failure::{Failure, Result},
        output::Output,
    },
};

/// As a shell has it for a program that aborts.
const TRAPPED: u8 = 134;
/// As `timeout` has it.
const TIMED_OUT: u8 = 124;

/// Options of `wash run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Program: a file (`.wasm`, or `.cwasm` as written by `wash compile`), or a reference to a registry
    #[arg(value_name = "FILE|REF")]
    program: OsString,
    /// The name the program is told [default: its file name]
    #[arg(long, value_name = "NAME")]
    arg0: Option<String>,
    /// Most memory it may have, such as `64MiB` [default: 4GiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_memory: Option<u64>,
    /// Stop it after this time, such as `30s`
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    timeout: Option<Duration>,
    /// Say where code and signature are from
    #[arg(short = 'v', long = "verbose", id = "connection_verbose")]
    verbose: bool,
    /// Arguments of the program
    #[arg(last = true, value_name = "ARG")]
    args: Vec<String>,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    fetch: FetchArgs,
    #[command(flatten)]
    grants: GrantArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs `wash run`.
///
/// # Errors
/// The program cannot be had or is none, or it comes to no end of its own.
pub async fn run(args: RunArgs, context: &Context) -> Result<Output> {
    let name = programs::name(&args.program);
    let grants = args.grants.grants()?;
    let bytes = programs::read(&args.program, &args.fetch, &args.registry, context).await?;
    let engine = programs::engine(&args.engine, context)?;
    programs::tell_signature(&context.printer, &bytes);
    let command = engine.command(bytes).await.map_err(|error| programs::refused(&name, &error))?;
    programs::tell_origin(&context.printer, &name, command.code());
    let mut words = vec![args.arg0.unwrap_or_else(|| name.clone())];
    words.extend(args.args);
    let options = CommandOptions { args: words, grants, memory_bytes: args.max_memory, time: args.timeout };
    let code = command.run(&options).await.map_err(|error| failure(&name, error))?;
    Ok(Output::exited(exit_code(code)))
}

/// What of a program's exit code this process can hand on: its low byte, but failure stays failure.
fn exit_code(code: i32) -> u8 {
    let [low, ..] = code.to_le_bytes();
    if low == 0 && code != 0 { 1 } else { low }
}

fn failure(name: &str, error: CommandError) -> Failure {
    match error {
        CommandError::Trap { reason, frames, further, .. } => {
            let failure = Failure::new(format!("`{name}` trapped: {reason}")).exiting_with(TRAPPED);
            if frames.is_empty() { failure } else { failure.cause(place(&frames, further)) }
        }
        CommandError::TimedOut { limit } => {
            Failure::new(format!("`{name}` was stopped after {limit:?}")).exiting_with(TIMED_OUT)
        }
        CommandError::LimitExceeded { limit } => Failure::new(format!("`{name}` needs more than it may have: {limit}"))
            .hint("raise it with `--max-memory`")
            .exiting_with(TRAPPED),
        error => Failure::from(error),
    }
}

/// Where in the program it happened.
fn place(frames: &[String], further: usize) -> String {
    let names: Vec<String> = frames.iter().map(|name| format!("`{name}`")).collect();
    let more = if further > 0 { format!(", and {further} more") } else { String::new() };
    format!("in {}{more}", names.join(", called by "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_that_does_not_fit_is_no_success() {
        assert_eq!([0, 3, 200, 255, 256, -1].map(exit_code), [0, 3, 200, 255, 1, 255]);
    }

    #[test]
    fn a_trap_says_where_it_was() {
        let frames = vec!["divide".to_owned(), "main".to_owned()];
        let trap = CommandError::Trap {
            kind: "division_by_zero",
            reason: "integer divide by zero".to_owned(),
            frames,
            further: 3,
        };
        let failure = failure("x.wasm", trap);
        assert_eq!(
            failure.to_string(),
            "`x.wasm` trapped: integer divide by zero: in `divide`, called by `main`, and 3 more"
        );
        assert_eq!(failure.exit_code(), 134);
    }
}
