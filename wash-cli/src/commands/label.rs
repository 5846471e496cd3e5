//! `wash label`: set or delete a label of a host.

use clap::Args;

use crate::{
    arguments::pairs,
    context::Context,
    lattice::{connection::ConnectionArgs, view::Lattice},
    terminal::{
        failure::{Failure, Result},
        output::Output,
    },
};

/// Options of `wash label`.
#[derive(Debug, Args)]
pub struct LabelArgs {
    /// Host: id, its beginning, or part of the friendly name
    host_id: String,
    /// `key=value`; with `--delete` only the key
    label: String,
    /// Delete the label
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash label`.
///
/// # Errors
/// The host is not found or refuses.
pub async fn run(args: &LabelArgs, context: &Context) -> Result<Output> {
    let pair = pairs::parse(&args.label);
    if !args.delete && pair.is_err() {
        return Err(Failure::usage(format!("`{}` is no label: write it as `key=value`", args.label))
            .hint("to delete a label, add `--delete`"));
    }
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let host = lattice.host(&args.host_id).await?;
    let control = lattice.control(&host);
    let text = match pair {
        Ok((key, value)) if !args.delete => {
            control.put_label(&host, &key, &value).await?;
            format!("Host `{host}` now has the label `{key}={value}`")
        }
        pair => {
            let key = pair.map_or_else(|_| args.label.clone(), |(key, _)| key);
            let there = lattice.hosts().await?.into_iter().find(|summary| summary.id == host);
            if there.is_some_and(|summary| !summary.labels.contains_key(&key)) {
                return Err(Failure::new(format!("host `{host}` has no label `{key}`"))
                    .hint("`wash get hosts` shows the labels there are"));
            }
            control.delete_label(&host, &key).await?;
            format!("Host `{host}` no longer has the label `{key}`")
        }
    };
    Ok(Output::text(text.clone()).with("result", text).with("host_id", host.to_string()))
}
