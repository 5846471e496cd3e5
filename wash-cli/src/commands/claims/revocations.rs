//! `wash claims revocations`: what is revoked in the lattice, by whom and why.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    context::Context,
    keys::signing::date,
    lattice::{connection::ConnectionArgs, revocations::in_force, view::Lattice},
    terminal::{
        failure::Result,
        output::{Output, table},
    },
};

/// Options of `wash claims revocations`.
#[derive(Debug, Args)]
pub struct RevocationsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash claims revocations`.
///
/// # Errors
/// No host that knows revocation answers.
pub async fn run(args: &RevocationsArgs, context: &Context) -> Result<Output> {
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let lists = in_force(&lattice, &context.printer).await?;
    let mut rows: Vec<(Vec<String>, Value)> = Vec::new();
    for list in &lists {
        let (signer, number) = (list.signer.to_string(), list.list.number);
        for entry in &list.list.entries {
            let (what, id) = (entry.revoked.kind(), entry.revoked.to_string());
            let reason = entry.reason.clone();
            rows.push((
                vec![
                    what.to_owned(),
                    id.clone(),
                    date(entry.since),
                    signer.clone(),
                    number.to_string(),
                    reason.clone().unwrap_or_default(),
                ],
                json!({
                    "what": what, "id": id, "reason": reason, "since": entry.since, "signer": signer, "number": number
                }),
            ));
        }
    }
    let (rows, records): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let text = if rows.is_empty() {
        format!("Nothing is revoked in lattice `{}`", lattice.connection.lattice)
    } else {
        table(&["What", "Id", "Since", "Signer", "Number", "Reason"], rows)
    };
    Ok(Output::text(text).with("revocations", records))
}
