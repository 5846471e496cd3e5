//! `wash events`: what happens in the lattice, as it happens.

use clap::Args;
use serde_json::Value;

use crate::{
    connection::ConnectionArgs,
    context::Context,
    failure::{Failure, OrFail, Result},
    output::{Output, Reader},
    reach::reach,
};

/// Options of `wash events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only events of this name; repeatable
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash events`, until the count is reached, nobody reads any more, or Ctrl-C.
///
/// # Errors
/// The lattice cannot be reached, or the connection ends.
pub async fn run(args: &EventsArgs, context: &Context) -> Result<Output> {
    let reached = reach(&args.connection.resolve(context)?, context).await?;
    let mut events = reached.control.events().await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(event) = events.next().await else {
            return Err(Failure::new("the connection to the lattice ended"));
        };
        if !args.names.is_empty() && !args.names.iter().any(|name| name == event.name()) {
            continue;
        }
        let record: Value =
            serde_json::from_slice(&event.to_json()).while_doing(|| "cannot show an event".to_owned())?;
        let text = format!("{} {} {} {}", event.time_text(), event.name(), event.source, record["data"]);
        if context.printer.record(&text, &record)? == Reader::Gone {
            break;
        }
        left -= 1;
    }
    Ok(Output::silent())
}
