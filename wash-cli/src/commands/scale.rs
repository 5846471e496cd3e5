//! `wash scale actor`: how many instances of an actor may run on a host.

use std::{ffi::OsString, time::Duration};

use clap::{Args, Subcommand};
use lattice::control::{ScaleActor, UNBOUNDED};

use crate::{
    arguments::{limits, pairs, reference},
    context::Context,
    lattice::{
        actor_events::{self, Scaling},
        connection::ConnectionArgs,
        view::Lattice,
        watch::{Watch, timed_out, usual_patience},
    },
    terminal::{
        failure::{OrFail, Result},
        output::Output,
    },
};

const USUAL_PATIENCE: Duration = Duration::from_secs(30);

/// `wash scale`.
#[derive(Debug, Subcommand)]
pub enum ScaleCommand {
    /// Set how many instances of an actor may run on a host; zero stops it
    ///
    /// Example: wash scale actor quiet-sea ./echo_s.wasm --max-instances 100
    Actor(ScaleArgs),
}

/// Options of `wash scale actor`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// Host: id, its beginning, or part of the friendly name
    host_id: String,
    /// Signed actor: a file, or a reference that the host understands
    actor_ref: OsString,
    /// How many instances may run at once [default: unbounded]
    #[arg(
        short = 'c',
        long,
        visible_aliases = ["max-concurrent", "max", "count"],
        default_value_t = UNBOUNDED,
        hide_default_value = true
    )]
    max_instances: u32,
    /// Note on these instances; repeatable
    #[arg(short = 'a', long = "annotations", alias = "annotation", value_name = "KEY=VALUE", value_parser = pairs::parse)]
    annotations: Vec<(String, String)>,
    /// What the actor may use, such as `memory=16MiB` or `cpu-time=500ms`, within what the host allows; repeatable.
    /// Left out, it keeps what it has
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limits::parse)]
    limits: Vec<String>,
    /// Return as soon as the host has the request, without waiting for the outcome
    #[arg(long)]
    skip_wait: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash scale`.
///
/// # Errors
/// The host is not found, reports why it does not scale the actor, or reports nothing in time.
pub async fn run(ScaleCommand::Actor(args): ScaleCommand, context: &Context) -> Result<Output> {
    let reference = reference::parse(&args.actor_ref)?;
    let annotations = pairs::to_map(&args.annotations)?;
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let host = lattice.host(&args.host_id).await?;
    let control = lattice.control(&host);
    let is_of_others = lattice.is_of_others(&host).await;
    let usual = usual_patience(USUAL_PATIENCE, is_of_others);
    let mut watch = Watch::open(&control, lattice.connection.patience(usual)).await?;
    let request = ScaleActor {
        actor_ref: reference.clone(),
        max_instances: args.max_instances,
        annotations,
        limits: limits::to_wire(&args.limits)?,
        ..ScaleActor::default()
    };
    let doing = format!("host `{host}` does not scale `{reference}`");
    control.scale_actor(&host, &request).await.while_doing(|| doing.clone())?;
    if args.skip_wait {
        let text = format!("Asked host `{host}` to scale `{reference}` to {}", shown(args.max_instances));
        return Ok(Output::text(text.clone()).with("result", text));
    }
    let scaling = Scaling { host, reference: &reference, max_instances: args.max_instances };
    // Hosts of others say nothing of what is so already.
    let is_so = if is_of_others { actor_events::as_running(&control, &scaling).await } else { None };
    let scaled = match is_so {
        Some(scaled) => Some(scaled),
        None => watch.until(&host, &doing, |event| scaling.judge(event)).await?,
    };
    let scaled = match scaled {
        Some(scaled) => Some(scaled),
        None if args.max_instances == 0 => None,
        None => Some(
            actor_events::as_running(&control, &scaling)
                .await
                .ok_or_else(|| timed_out(&format!("the new scale of `{reference}`"), &host, watch.patience()))?,
        ),
    };
    let actor = scaled.as_ref().map_or_else(|| format!("`{reference}`"), actor_events::Scaled::shown);
    let text = match args.max_instances {
        0 => format!("Stopped {actor} on host `{host}`"),
        max => format!("Scaled {actor} on host `{host}` to {}", shown(max)),
    };
    Ok(Output::text(text.clone())
        .with("result", text)
        .with("actor_ref", reference)
        .with("actor_id", scaled.map(|scaled| scaled.id.to_string()))
        .with("host_id", host.to_string())
        .with("max_instances", args.max_instances))
}

fn shown(max_instances: u32) -> String {
    match max_instances {
        UNBOUNDED => "any number of instances".to_owned(),
        1 => "at most 1 instance".to_owned(),
        max => format!("at most {max} instances"),
    }
}
