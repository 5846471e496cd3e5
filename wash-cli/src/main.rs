//! `wash`: keys, signing, starting, linking, scaling and observing actors across a lattice.
//!
//! Modernizes the command line, parses it, runs the command, shows the result. `commands` has one file per verb; they
//! return what is to be shown, and only `output` writes to the terminal.

mod actor_events;
mod builtins;
mod cli;
mod commands;
mod connection;
mod context;
mod failure;
mod files;
mod given_file;
mod home;
mod hosts_here;
mod keystore;
mod lattice_view;
mod legacy;
mod limits;
mod local_grants;
mod nats_cleanup;
mod nats_server;
mod output;
mod pairs;
mod placement;
mod programs;
mod progress;
mod reach;
mod reference;
mod registry;
mod resolve;
mod revocations;
mod signals;
mod signing;
mod units;
mod watch;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::{cli::Cli, context::Context, failure::Failure, home::Home, output::Printer};

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().ok();
    let matches = Cli::command().get_matches_from(legacy::modernize(std::env::args_os().collect()));
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let printer = cli.printer(is_verbose(&matches));
    match run(cli, printer.clone()) {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Runs the command, shows its result and returns the exit code.
fn run(cli: Cli, printer: Printer) -> failure::Result<u8> {
    let context = Context { home: Home::from_env()?, printer: printer.clone() };
    let runtime =
        host::executor().map_err(|error| Failure::from(error).while_doing("cannot start the async runtime"))?;
    let outcome = runtime.block_on(cli.command.run(&context));
    // Whatever is still in flight belongs to nobody now.
    runtime.shutdown_background();
    let output = outcome?;
    printer.data(&output);
    Ok(output.exit_code())
}

/// Whether `-v` was given to the command, or to one below it. Not every command can have it: `claims sign` has had
/// `-v VERSION` for ever.
fn is_verbose(matches: &ArgMatches) -> bool {
    let here = matches.try_get_one::<bool>("connection_verbose").ok().flatten().copied().unwrap_or(false);
    here || matches.subcommand().is_some_and(|(_, below)| is_verbose(below))
}
