//! `cargo xtask docs`: writes `docs/cli.md` from the help texts of the real `wash`.
//!
//! The help texts are the only source: whoever changes a flag changes its doc comment and runs this.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Flags of `docs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write nothing; fail when the file is not what it would be.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
///
/// # Errors
/// When `wash` does not build or has no help, or, with `--check`, when the file is out of date.
pub fn run(args: &Args) -> Result<()> {
    workspace::build_everything()?;
    let wash = workspace::binary("debug", "wash");
    let mut text = String::from(
        "# `wash`, command by command\n\nWritten by `cargo xtask docs` from the program's own help; change it there.\n",
    );
    describe(&wash, &mut Vec::new(), &mut text)?;

    let file = workspace::root().join("docs/cli.md");
    if args.check {
        if fs::read_to_string(&file).unwrap_or_default() != text {
            bail!("`docs/cli.md` is out of date; run `cargo xtask docs`");
        }
        return Ok(());
    }
    fs::write(&file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
    println!("wrote docs/cli.md");
    Ok(())
}

/// Adds the help of one command and of everything below it.
fn describe(wash: &Path, words: &mut Vec<String>, text: &mut String) -> Result<()> {
    let help = joined(&help(wash, words, "--help")?, &help(wash, words, "-h")?);
    let name = std::iter::once("wash").chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    write!(text, "\n## `{name}`\n\n```text\n{help}```\n").expect("writing to a string cannot fail");
    for below in subcommands(&help) {
        words.push(below);
        describe(wash, words, text)?;
        words.pop();
    }
    Ok(())
}

fn help(wash: &Path, words: &[String], flag: &str) -> Result<String> {
    let mut command = Command::new(wash);
    // Help shows values taken from the environment; the document must not depend on the writer's.
    command.args(words).arg(flag).env_clear().env("HOME", "~").env("COLUMNS", "120");
    workspace::output_of(&mut command)
}

/// The introduction of the long help, which has the examples, and the options of the short one, a line each.
fn joined(long: &str, short: &str) -> String {
    const USAGE: &str = "Usage:";
    let introduction = long.split(USAGE).next().unwrap_or_default();
    let options = short.find(USAGE).map_or(short, |at| &short[at..]);
    introduction.lines().chain(options.lines()).map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The names in the `Commands:` section of a help text.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_come_from_the_long_help_and_options_from_the_short_one() {
        let long = "Starts\n\nExample: wash up\n\nUsage: wash up\n\nOptions:\n  -d\n          Long text\n";
        let short = "Starts\n\nUsage: wash up\n\nOptions:\n  -d  Text\n";
        assert_eq!(joined(long, short), "Starts\n\nExample: wash up\n\nUsage: wash up\n\nOptions:\n  -d  Text\n");
    }

    #[test]
    fn subcommands_are_read_from_help() {
        let help = "Does things\n\nUsage: wash <COMMAND>\n\nCommands:\n  up    Start\n          more words\n  \
                    get   Show\n  help  Print this\n\nOptions:\n  -h, --help  Help\n";
        assert_eq!(subcommands(help), ["up", "get"]);
        assert!(subcommands("Usage: wash up\n\nOptions:\n  -h  Help\n").is_empty());
    }
}
