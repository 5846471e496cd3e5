//! `wash`: keys, signing, starting, linking, scaling and observing actors across a lattice.
//!
//! Reads the command line, runs the command, shows the result. `commands` has one file per verb; they return what is to be
//! shown, and only `output` writes to the terminal.

mod arguments;
mod artifacts;
mod cli;
mod commands;
mod context;
mod keys;
mod lattice;
mod machine;
mod nats_server;
mod parse;
mod terminal;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{
    cli::Cli,
    context::Context,
    machine::home::Home,
    parse::Asked,
    terminal::{
        failure::{Failure, Result},
        output::Printer,
    },
};

fn main() -> ExitCode {
    if let Some(code) = host::guard::run_if_asked() {
        return code;
    }
    if runtime::compile_worker::is_asked() {
        return runtime::compile_worker::serve();
    }
    rustls::crypto::ring::default_provider().install_default().ok();
    let (printer, outcome) = match parse::command_line(std::env::args_os().collect()) {
        Ok(Asked::Shown) => return ExitCode::SUCCESS,
        Ok(Asked::Command(cli, printer)) => (printer.clone(), run(*cli, printer)),
        Err((printer, failure)) => (printer, Err(failure)),
    };
    match outcome {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Runs the command, shows its result and returns the exit code.
fn run(cli: Cli, printer: Printer) -> Result<u8> {
    let context = Context { home: Home::from_env(), printer: printer.clone() };
    let runtime =
        host::executor().map_err(|error| Failure::from(error).while_doing("cannot start the async runtime"))?;
    let outcome = runtime.block_on(cli.command.run(&context, Cli::command()));
    // Whatever is still in flight belongs to nobody now.
    runtime.shutdown_background();
    let output = outcome?;
    printer.data(&output)?;
    Ok(output.exit_code())
}
