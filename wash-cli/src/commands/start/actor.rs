//! `wash start actor`.

use std::{collections::BTreeSet, ffi::OsString, time::Duration};

use claims::{ActorId, HostId};
use clap::Args;
use lattice::control::{ActorDescription, ActorInstance, ScaleActor};
use serde_json::Value;

use super::place::PlaceArgs;
use crate::{
    arguments::{limits, reference},
    context::Context,
    lattice::{
        actor_events::{self, Scaling},
        placement::{self, Workload},
        view::Lattice,
        watch::{Watch, timed_out, usual_patience},
    },
    terminal::{
        failure::{Failure, OrFail, Result},
        output::Output,
    },
};

/// Fetching and compiling take time; a host of ours reports every outcome, so this is rarely waited out.
const USUAL_PATIENCE: Duration = Duration::from_secs(30);

/// Options of `wash start actor`.
#[derive(Debug, Args)]
pub struct ActorArgs {
    /// Signed actor: a file, or a reference that the host understands
    actor_ref: OsString,
    /// How many instances may run at once
    #[arg(long, visible_aliases = ["max-concurrent", "max", "count"], default_value_t = 1)]
    max_instances: u32,
    /// What the actor may use, such as `memory=16MiB` or `cpu-time=500ms`, within what the host allows; repeatable
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limits::parse)]
    limits: Vec<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs `wash start actor`.
///
/// # Errors
/// No host can be chosen, the host reports why it does not run the actor, or it reports nothing in time.
pub async fn run(args: &ActorArgs, context: &Context) -> Result<Output> {
    if args.max_instances == 0 {
        return Err(Failure::usage("`--max-instances 0` starts nothing").hint("stop an actor with `wash stop actor`"));
    }
    let reference = reference::parse(&args.actor_ref)?;
    let constraints = args.place.constraints()?;
    let lattice = Lattice::reach(args.place.connection.resolve(context)?, context).await?;
    let workload = Workload::Actor { reference: reference.clone() };
    let host =
        placement::choose(&lattice, args.place.host_id.as_deref(), &constraints, &workload, args.place.auction_time())
            .await?;

    let control = lattice.control(&host.id);
    let ran = actor_events::running_as(&control, &host.id, &reference).await;
    let usual = usual_patience(USUAL_PATIENCE, host.is_of_others);
    let mut watch = Watch::open(&control, lattice.connection.patience(usual)).await?;
    let request = ScaleActor {
        actor_ref: reference.clone(),
        max_instances: args.max_instances,
        limits: limits::to_wire(&args.limits)?,
        ..ScaleActor::default()
    };
    let doing = format!("host {} does not start `{reference}`", host.shown());
    control.scale_actor(&host.id, &request).await.while_doing(|| doing.clone())?;
    let result = Output::default().with("actor_ref", reference.clone()).with("host_id", host.id.to_string());
    if args.place.skip_wait {
        let text = format!("Asked host {} to start `{reference}`", host.shown());
        return Ok(result.with_text(&text).with("actor_id", Value::Null).with("result", text));
    }
    let scaling = Scaling { host: host.id, reference: &reference, max_instances: args.max_instances };
    let runs_already = if host.is_of_others { actor_events::as_running(&control, &scaling).await } else { None };
    let scaled = match runs_already {
        Some(running) => Some(running),
        None => watch.until(&host.id, &doing, |event| scaling.judge(event)).await?,
    };
    let scaled = match scaled {
        Some(scaled) => scaled,
        // Hosts of the 0.82 line say nothing when the actor has run like this all along.
        None => actor_events::as_running(&control, &scaling)
            .await
            .ok_or_else(|| timed_out(&format!("the start of `{reference}`"), &host.id, watch.patience()))?,
    };
    for other in other_versions(&lattice, &scaled.id, &reference, &host.id).await {
        context.printer.note(other);
    }
    let text = match ran {
        // What was asked for is what there was.
        Some(max) if max == args.max_instances && args.limits.is_empty() => {
            format!("{} runs already on host {}", scaled.shown(), host.shown())
        }
        Some(_) => format!("{} runs on host {}, as asked for now", scaled.shown(), host.shown()),
        None => format!("Started {} on host {}", scaled.shown(), host.shown()),
    };
    Ok(result.with_text(&text).with("actor_id", scaled.id.to_string()).with("result", text))
}

/// Where the same actor runs from another reference: calls go there, too.
async fn other_versions(lattice: &Lattice<'_>, id: &ActorId, reference: &str, host: &HostId) -> Vec<String> {
    // Hosts of others do not say whom else there is: all of them would have to be waited for.
    if lattice.has_only_others().await {
        return Vec::new();
    }
    let Ok(hosts) = lattice.hosts().await else { return Vec::new() };
    let elsewhere = hosts.iter().filter(|other| other.id != *host);
    let mut notes = Vec::new();
    for inventory in lattice.inventories(elsewhere.map(|other| other.id)).await {
        let running = inventory.actors.iter().filter(|actor| actor.id == *id);
        let instances = running.flat_map(|actor| actor.instances.iter().map(move |one| (actor, one)));
        let from = |(actor, one): (&ActorDescription, &ActorInstance)| {
            one.image_ref.clone().or_else(|| actor.image_ref.clone()).filter(|other| other != reference)
        };
        let others: BTreeSet<String> = instances.filter_map(from).collect();
        notes.extend(others.into_iter().map(|other| {
            format!(
                "host `{}` runs this actor from `{other}`; `wash update actor {id} {reference} --host-id {}` replaces it",
                inventory.friendly_name, inventory.host_id
            )
        }));
    }
    notes
}
