//! `wash update actor`: replace a running actor by another version of itself.

use std::{collections::BTreeMap, ffi::OsString, time::Duration};

use claims::{ActorId, HostId};
use clap::{Args, Subcommand};
use lattice::{
    client::ControlClient,
    control::{Annotations, UpdateActor},
};

use crate::{
    arguments::{pairs, reference},
    commands::stop::one_host_running,
    context::Context,
    lattice::{
        actor_events::Scaling,
        connection::ConnectionArgs,
        view::Lattice,
        watch::{Watch, timed_out},
    },
    terminal::{
        failure::{Failure, Result},
        output::Output,
    },
};

/// The answer comes when the new version runs, so it may take as long as fetching and compiling does.
const USUAL_PATIENCE: Duration = Duration::from_secs(30);

/// `wash update`.
#[derive(Debug, Subcommand)]
pub enum UpdateCommand {
    /// Replace a running actor by another version; the old one serves until the new one runs
    ///
    /// Example: wash update actor echo ./echo_v2_s.wasm
    Actor(UpdateArgs),
}

/// Options of `wash update actor`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Actor: id, its beginning, or part of its name or call alias
    actor_id: String,
    /// New version: a file, or a reference that the host understands
    new_actor_ref: OsString,
    /// Host: id, its beginning, or part of the friendly name [default: the one that runs it]
    #[arg(long, value_name = "HOST")]
    host_id: Option<String>,
    /// Which instances, by their notes; repeatable
    #[arg(short = 'a', long = "annotations", alias = "annotation", value_name = "KEY=VALUE", value_parser = pairs::parse)]
    annotations: Vec<(String, String)>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `wash update`.
///
/// # Errors
/// The actor runs nowhere or on several hosts, or the host reports why it keeps the old version.
pub async fn run(UpdateCommand::Actor(args): UpdateCommand, context: &Context) -> Result<Output> {
    let reference = reference::parse(&args.new_actor_ref)?;
    let annotations: BTreeMap<String, String> = pairs::to_map(&args.annotations)?;
    let lattice = Lattice::reach(args.connection.resolve(context)?, context).await?;
    let actor = lattice.actor(&args.actor_id).await?;
    let host = match &args.host_id {
        Some(term) => lattice.host(term).await?,
        None => {
            one_host_running(&lattice, &format!("actor `{actor}`"), |inventory| {
                inventory.actors.iter().any(|running| running.id == actor && !running.instances.is_empty())
            })
            .await?
        }
    };
    let patience = lattice.connection.patience(USUAL_PATIENCE);
    let control = lattice.control(&host).with_timeout(patience);
    let mut watch = Watch::open(&control, patience).await?;
    let doing = format!("host `{host}` does not update `{actor}` to `{reference}`, and the old version keeps running");
    let request =
        UpdateActor { actor_id: actor, new_actor_ref: reference.clone(), annotations, host_id: host.to_string() };
    if let Err(refused) = control.update_actor(&host, &request).await {
        let failure = Failure::from(refused).while_doing(doing);
        let sets = sets_of(&control, &host, &actor).await;
        let is_one = sets.is_empty() || sets.contains(&request.annotations);
        return Err(if is_one { failure } else { failure.hint(which_set(&sets)) });
    }
    let scaling = Scaling { host, reference: &reference, max_instances: 0 };
    let updated = watch
        .until(&host, &doing, |event| scaling.judge(event))
        .await?
        .ok_or_else(|| timed_out(&format!("the update to `{reference}`"), &host, watch.patience()))?;
    let text = format!("Updated {} on host `{host}` to `{reference}`", updated.shown());
    Ok(Output::text(text.clone())
        .with("result", text)
        .with("actor_id", actor.to_string())
        .with("host_id", host.to_string())
        .with("new_actor_ref", reference))
}

/// The annotation sets of an actor on a host; none when it does not say.
async fn sets_of(control: &ControlClient, host: &HostId, actor: &ActorId) -> Vec<Annotations> {
    let Ok(inventory) = control.inventory(host).await else { return Vec::new() };
    let running = inventory.actors.into_iter().filter(|running| running.id == *actor);
    running.flat_map(|running| running.instances).map(|instance| instance.annotations).collect()
}

/// An update is about exactly one set of notes.
fn which_set(sets: &[Annotations]) -> String {
    let shown = sets.iter().map(|set| {
        let pairs: Vec<String> = set.iter().map(|(key, value)| format!("--annotations {key}={value}")).collect();
        if pairs.is_empty() { "no notes".to_owned() } else { format!("`{}`", pairs.join(" ")) }
    });
    format!(
        "name exactly the notes of the instances to replace; it runs with {}",
        shown.collect::<Vec<_>>().join(", and with ")
    )
}
