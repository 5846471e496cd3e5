//! `cargo xtask bench`: what someone waits for, measured in release mode beside a raw baseline in the same run.
//!
//! This file owns the preparation (tools, actors, release binaries) and runs the rows; a row is a bench target of
//! `lattice-tests`, `lattice-tests/benches/<row>.rs` with `harness = false`, which prints its own lines. To add one,
//! add the file and its `[[bench]]` entry. The budgets are in `docs/performance.md`.

use anyhow::{Context, Result, bail};

use crate::{
    actors::{self, ACTORS},
    nats_server, tools, workspace,
};

/// Flags of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    tools: tools::Args,
    /// Only these rows; all when none is named.
    rows: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When a row does not exist, does not build, or fails.
pub fn run(args: &Args) -> Result<()> {
    let rows = chosen(&all_rows()?, &args.rows)?;
    let tools = tools::provide(&args.tools)?;
    actors::build()?;
    let mut build = workspace::cargo(workspace::root());
    workspace::run_visibly(build.args(["build", "--release", "--package", "wash-cli", "--package", "wash-host"]))?;
    let mut bench = workspace::cargo(workspace::root());
    bench.args(["bench", "--package", "lattice-tests"]).env(nats_server::VARIABLE, &tools.nats_server.path);
    for actor in ACTORS {
        bench.env(actor.variable, actor.path());
    }
    for row in &rows {
        bench.args(["--bench", row]);
    }
    workspace::run_visibly(&mut bench)
}

fn all_rows() -> Result<Vec<String>> {
    let dir = workspace::root().join("lattice-tests/benches");
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("cannot read `{}`", dir.display()))? {
        let path = entry.context("cannot read the list of benches")?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            rows.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    rows.sort();
    Ok(rows)
}

fn chosen(all: &[String], asked: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = asked.iter().find(|row| !all.contains(row)) {
        bail!("there is no bench `{unknown}`; there are: {}", all.join(", "));
    }
    let rows = if asked.is_empty() { all } else { asked };
    if rows.is_empty() {
        bail!("there is no bench yet: `lattice-tests/benches` is empty");
    }
    Ok(rows.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_row_is_refused_with_the_known_ones() {
        let all = ["call".to_owned(), "start".to_owned()];
        assert_eq!(chosen(&all, &[]).expect("all"), all);
        let error = chosen(&all, &["cal".to_owned()]).expect_err("unknown").to_string();
        assert_eq!(error, "there is no bench `cal`; there are: call, start");
        assert!(chosen(&[], &[]).is_err());
    }
}
