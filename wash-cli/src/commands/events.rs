//! `wash events`: what happens in the lattice, as it happens.

use clap::Args;
use contracts::mask;
use serde_json::Value;

use crate::{
    context::Context,
    lattice::{connection::ConnectionArgs, reach::reach},
    terminal::{
        failure::{Failure, OrFail, Result},
        output::{Output, Reader},
    },
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
        let mut record: Value =
            serde_json::from_slice(&event.to_json()).while_doing(|| "cannot show an event".to_owned())?;
        mask_values(&mut record);
        let text = format!("{} {} {} {}", event.time_text(), event.name(), event.source, record["data"]);
        if context.printer.record(&text, &record)? == Reader::Gone {
            break;
        }
        left -= 1;
    }
    Ok(Output::silent())
}

/// An event of a link carries its values, which programs of the lattice need and people do not.
fn mask_values(record: &mut Value) {
    let Some(Value::Object(values)) = record.get_mut("data").and_then(|data| data.get_mut("values")) else { return };
    for (key, value) in values {
        if let Value::String(text) = value {
            *text = mask::value(key, text).into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_the_values_of_a_link_are_not_shown() {
        let mut record = serde_json::json!({
            "type": "com.wasmcloud.lattice.linkdef_set",
            "data": {"actor_id": "M", "values": {"url": "redis://u:hunter2@h", "PASSWORD": "hunter2", "port": "1"}},
        });
        mask_values(&mut record);
        assert!(!record.to_string().contains("hunter2"), "{record}");
        assert_eq!(record["data"]["values"]["port"], "1");
    }
}
