//! The command line as a whole: global options and what they mean for every command.

use clap::{ArgAction, Parser};

use crate::{
    commands::Command,
    terminal::output::{Format, Printer},
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
    use clap::{Arg, Command, CommandFactory, builder::ValueParser};

    use super::*;

    /// What arguments that lead to a file are called, in help or by us.
    const PATHS: [&str; 8] =
        ["FILE", "DIR", "PATH", "SEED|FILE", "FILE|REF", "ACTOR_REF", "NEW_ACTOR_REF", "PROVIDER_REF"];

    fn is_a_path(arg: &Arg) -> bool {
        let names = arg.get_value_names().unwrap_or_default().iter().any(|name| PATHS.contains(&name.as_str()));
        names || PATHS.contains(&arg.get_id().as_str().to_uppercase().as_str())
    }

    /// Arguments below `command` that are paths and must be text.
    fn paths_that_must_be_text(command: &Command) -> Vec<String> {
        let of_the_system = [ValueParser::path_buf().type_id(), ValueParser::os_string().type_id()];
        let wrong = |arg: &&Arg| is_a_path(arg) && !of_the_system.contains(&arg.get_value_parser().type_id());
        let mut found: Vec<String> =
            command.get_arguments().filter(wrong).map(|arg| format!("{} {arg}", command.get_name())).collect();
        found.extend(command.get_subcommands().flat_map(paths_that_must_be_text));
        found
    }

    #[test]
    fn what_leads_to_a_file_need_not_be_text() {
        assert_eq!(paths_that_must_be_text(&Cli::command()), Vec::<String>::new());
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
