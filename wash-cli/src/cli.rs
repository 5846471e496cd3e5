//! The command line as a whole: global options and what they mean for every command.

use clap::{ArgAction, Parser};

use crate::{
    commands::Command,
    output::{Format, Printer},
};

/// Run and observe signed WebAssembly actors across a lattice of hosts.
#[derive(Debug, Parser)]
#[command(
    name = "wash",
    version,
    about,
    after_help = "Start here: wash up, then wash claims sign FILE.wasm -q, then wash start actor FILE_s.wasm.\n\
                  The older spelling `wash ctl COMMAND` is accepted for every command."
)]
pub struct Cli {
    /// How results are shown
    #[arg(short = 'o', long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: Format,
    /// Say more about what is being done
    #[arg(short = 'v', long, action = ArgAction::SetTrue)]
    pub verbose: bool,
    /// Accepted for older scripts; nothing is hidden behind it
    #[arg(long, global = true, hide = true, env = "WASH_EXPERIMENTAL", action = ArgAction::SetTrue,
          value_parser = clap::builder::FalseyValueParser::new())]
    pub experimental: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The way to the terminal that the options ask for.
    pub fn printer(&self, verbose_below: bool) -> Printer {
        Printer::new(self.output, self.verbose || verbose_below)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
