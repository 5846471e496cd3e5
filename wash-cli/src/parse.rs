//! From the words of the command line to a command, or to what is wrong with them.
//!
//! Owns how help and wrong usage are shown: help is data, wrong usage is a failure like any other, JSON included. Knows no
//! command. Invariant: what is not text is refused by the name of the argument or variable that holds it.

use std::ffi::{OsStr, OsString};

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, builder::ValueParser, error::ErrorKind};

use crate::{
    arguments::legacy,
    cli::Cli,
    terminal::{
        failure::{Failure, Result},
        output::{self, Format, Printer},
    },
};

/// What the command line asks for.
pub enum Asked {
    /// A command, and the way to the terminal that its options ask for.
    Command(Box<Cli>, Printer),
    /// Help or the version, which has been shown.
    Shown,
}

/// Reads the command line. Wrong usage comes with the printer that its words ask for.
///
/// # Errors
/// Wrong usage, or help that cannot be written.
pub fn command_line(words: Vec<OsString>) -> std::result::Result<Asked, (Printer, Failure)> {
    let early = Printer::new(format(&words), false);
    let words = legacy::modernize(words);
    match Cli::command()
        .try_get_matches_from(words.clone())
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)))
    {
        Ok((cli, matches)) => {
            let printer = cli.printer(is_verbose(&matches));
            Ok(Asked::Command(Box::new(cli), printer))
        }
        Err(error) if !error.use_stderr() => shown(&error).map(|()| Asked::Shown).map_err(|failure| (early, failure)),
        Err(error) => Err((early, wrong_usage(&error, &words))),
    }
}

fn shown(error: &clap::Error) -> Result<()> {
    let rendered = error.render();
    let text = if output::stdout_takes_colors() { rendered.ansi().to_string() } else { rendered.to_string() };
    output::write(text.as_bytes()).map(drop)
}

/// The sentence of clap without its label, and what it adds as the hint.
fn wrong_usage(error: &clap::Error, words: &[OsString]) -> Failure {
    if error.kind() == ErrorKind::InvalidUtf8 {
        return not_text(words);
    }
    let text = error.render().to_string();
    let text = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
    let (sentence, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let failure = Failure::usage(sentence.trim());
    if rest.is_empty() { failure } else { failure.hint(rest.trim()) }
}

/// Which word, or which variable of ours, is not text where text is needed.
fn not_text(words: &[OsString]) -> Failure {
    let bad: Vec<&OsString> = words.iter().filter(|word| word.to_str().is_none()).collect();
    let variables = not_text_variables(&Cli::command());
    match (bad.first(), variables.first()) {
        (Some(word), _) => Failure::usage(format!("the argument `{}` is not UTF-8 text", word.display()))
            .hint("only paths may be something else than text"),
        (None, Some(name)) => {
            Failure::usage(format!("the environment variable `{}` is not UTF-8 text", name.display()))
        }
        (None, None) => Failure::usage("an argument is not UTF-8 text"),
    }
}

/// Variables that options are read from, hold something that is no text, and must be text.
fn not_text_variables(command: &Command) -> Vec<OsString> {
    let must_be_text = |parser: &ValueParser| {
        let paths = [ValueParser::path_buf().type_id(), ValueParser::os_string().type_id()];
        !paths.contains(&parser.type_id())
    };
    let ours =
        command.get_arguments().filter(|arg| must_be_text(arg.get_value_parser())).filter_map(|arg| arg.get_env());
    let bad = |name: &&OsStr| std::env::var_os(name).is_some_and(|value| value.to_str().is_none());
    let mut found: Vec<OsString> = ours.filter(bad).map(OsStr::to_owned).collect();
    found.extend(command.get_subcommands().flat_map(not_text_variables));
    found
}

/// The format that the words ask for, before they are known to be right.
fn format(words: &[OsString]) -> Format {
    let text: Vec<&str> = words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let pair = text.windows(2).any(|pair| matches!(pair, ["-o" | "--output", "json"]));
    let one = text.iter().any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"));
    if pair || one { Format::Json } else { Format::Text }
}

/// Whether `-v` was given to the command, or to one below it. Not every command can have it: `claims sign` has had
/// `-v VERSION` for ever.
fn is_verbose(matches: &ArgMatches) -> bool {
    let here = matches.try_get_one::<bool>("connection_verbose").ok().flatten().copied().unwrap_or(false);
    here || matches.subcommand().is_some_and(|(_, below)| is_verbose(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(line: &str) -> Failure {
        let words = line.split_whitespace().map(OsString::from).collect();
        command_line(words).err().expect("wrong").1
    }

    #[test]
    fn wrong_usage_is_a_sentence_and_a_hint_and_exits_with_two() {
        let failure = failure("wash get hosts --timeout-ms soon");
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.message().starts_with("invalid value 'soon' for"), "{failure}");
        assert!(failure.next_step().is_some_and(|hint| hint.contains("--help")), "{failure:?}");
    }

    #[test]
    fn the_format_is_known_before_the_words_are_right() {
        let of = |line: &str| format(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>());
        for json in ["wash frobnicate -o json", "wash --output json x", "wash -ojson", "wash --output=json"] {
            assert_eq!(of(json), Format::Json, "{json}");
        }
        for text in ["wash x", "wash -o text x", "wash run a.wasm -- -o json"] {
            assert_eq!(of(text), Format::Text, "{text}");
        }
    }
}
