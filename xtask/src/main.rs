//! `cargo xtask <command>`: everything around the code that is more than one cargo command. Plain Rust, no shell.
//!
//! One file per command; each is a function `run(args) -> Result<()>`. This file only names them.

use clap::{Parser, Subcommand};
use xtask::{bench, demo, docs, fuzz, guests, test, tidy, tools};

/// Everything around the code: `cargo xtask demo` shows the product, `cargo xtask test` tests it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the main job with the real `wash`: two hosts, two signed actors, a link, HTTP, faults.
    Demo(demo::Args),
    /// Run every test, with the servers that tests need.
    Test(test::Args),
    /// Check the house rules: dependency edges, rooms, file openings, the lock file, docs that belong to code.
    Tidy(tidy::Args),
    /// Provide what demo and tests need: wasm targets, a nats-server, and a registry server with its tools.
    Tools(tools::Args),
    /// Build the guests in other languages than Rust, with pinned toolchains; about 1.2 GB of them, once.
    Guests(guests::Args),
    /// Measure what someone waits for, each row beside its raw baseline.
    Bench(bench::Args),
    /// Write the generated documentation (`docs/cli.md`).
    Docs(docs::Args),
    /// Search for inputs that break a parser: libFuzzer, so many minutes of processor time per target.
    Fuzz(fuzz::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::Tools(args) => tools::run(&args),
        Command::Guests(args) => guests::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn no_two_flags_of_a_command_collide() {
        Cli::command().debug_assert();
    }
}
