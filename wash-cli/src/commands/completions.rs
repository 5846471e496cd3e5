//! `wash completions`: what a shell needs to complete command lines.

use std::{fs, path::PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::terminal::{
    failure::{OrFail, Result},
    output::Output,
};

/// Options of `wash completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Write a file to this directory instead of printing
    #[arg(short = 'd', long = "dir", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Shell
    #[arg(value_parser = parse_shell)]
    shell: Shell,
}

fn parse_shell(text: &str) -> Result<Shell, String> {
    let known = text.to_lowercase().replace('-', "");
    known.parse().map_err(|_| "use zsh, bash, fish, elvish or power-shell".to_owned())
}

/// Runs `wash completions` for the commands of `cli`.
///
/// # Errors
/// The file cannot be written.
pub fn run(args: &CompletionsArgs, mut cli: Command) -> Result<Output> {
    if let Some(directory) = &args.directory {
        fs::create_dir_all(directory)
            .and_then(|()| clap_complete::generate_to(args.shell, &mut cli, "wash", directory))
            .while_doing(|| format!("cannot write to `{}`", directory.display()))
            .map(|file| Output::text(format!("Wrote {}", file.display())).with("file", file.to_string_lossy()))
    } else {
        let mut script = Vec::new();
        clap_complete::generate(args.shell, &mut cli, "wash", &mut script);
        let text = String::from_utf8_lossy(&script).into_owned();
        Ok(Output::raw(script).with("script", text))
    }
}
