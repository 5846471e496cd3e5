//! `wash start provider`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use claims::HostId;
use clap::Args;
use lattice::{
    LinkName,
    client::ControlClient,
    control::{ProviderDescription, StartProvider},
    event::{EventData, ProviderStarted},
};

use super::place::PlaceArgs;
use crate::{
    arguments::reference,
    context::Context,
    lattice::{
        placement::{self, Chosen, Workload},
        view::Lattice,
        watch::{Verdict, Watch, timed_out},
    },
    machine::given_file,
    terminal::{
        failure::{OrFail, Result},
        output::Output,
    },
};

const USUAL_PATIENCE: Duration = Duration::from_secs(60);

/// Options of `wash start provider`.
#[derive(Debug, Args)]
pub struct ProviderArgs {
    /// Provider: `builtin://NAME`, an archive file, or a reference that the host understands
    provider_ref: OsString,
    /// Link name
    #[arg(short = 'l', long, default_value = "default")]
    link_name: LinkName,
    /// File whose text the provider gets as its configuration
    #[arg(long, value_name = "FILE")]
    config_json: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs `wash start provider`.
///
/// # Errors
/// No host can be chosen, the host reports why it does not run the provider, or it reports nothing in time.
pub async fn run(args: &ProviderArgs, context: &Context) -> Result<Output> {
    let reference = reference::parse(&args.provider_ref)?;
    let constraints = args.place.constraints()?;
    let configuration = args.config_json.as_ref().map(|path| given_file::read_text(path)).transpose()?;
    let lattice = Lattice::reach(args.place.connection.resolve(context)?, context).await?;
    let link_name = &args.link_name;
    let workload = Workload::Provider { reference: reference.clone(), link_name: link_name.clone() };
    let host =
        placement::choose(&lattice, args.place.host_id.as_deref(), &constraints, &workload, args.place.auction_time())
            .await?;

    let control = lattice.control(&host.id);
    let mut watch = Watch::open(&control, lattice.connection.patience(USUAL_PATIENCE)).await?;
    let request = StartProvider {
        provider_ref: reference.clone(),
        link_name: link_name.clone(),
        configuration,
        ..StartProvider::default()
    };
    let doing = format!("host {} does not start `{reference}`", host.shown());
    control.start_provider(&host.id, &request).await.while_doing(|| doing.clone())?;
    let result = Output::default()
        .with("provider_ref", reference.clone())
        .with("link_name", link_name.to_string())
        .with("host_id", host.id.to_string());
    if args.place.skip_wait {
        let text = format!("Asked host {} to start `{reference}`", host.shown());
        return Ok(result.with_text(&text).with("result", text));
    }
    // Hosts of others say nothing of what runs already.
    if host.is_of_others
        && let Some(running) = running_already(&control, &host.id, &reference, link_name).await?
    {
        return Ok(runs_already(result, &reference, Some(&running), &host));
    }
    let started = watch.until(&host.id, &doing, |event| match &event.data {
        EventData::ProviderStarted(started)
            if started.host_id == host.id && started.image_ref == reference && started.link_name == *link_name =>
        {
            Verdict::Done(Outcome::Started(Box::new(started.clone())))
        }
        // The failure names no host; the source of the event does.
        EventData::ProviderStartFailed(failed)
            if event.source == host.id.as_str()
                && failed.provider_ref == reference
                && failed.link_name == *link_name =>
        {
            if failed.code.as_deref() == Some(ALREADY_RUNNING) {
                Verdict::Done(Outcome::RunsAlready)
            } else {
                Verdict::Failed(failed.error.clone())
            }
        }
        _ => Verdict::Unrelated,
    });
    let started = match started.await? {
        Some(Outcome::Started(started)) => started,
        Some(Outcome::RunsAlready) => {
            let running = running_already(&control, &host.id, &reference, link_name).await?;
            return Ok(runs_already(result, &reference, running.as_ref(), &host));
        }
        // Hosts of the 0.82 line say nothing when it has run all along.
        None => match running_already(&control, &host.id, &reference, link_name).await? {
            Some(running) => return Ok(runs_already(result, &reference, Some(&running), &host)),
            None => return Err(timed_out(&format!("the start of `{reference}`"), &host.id, watch.patience())),
        },
    };
    let name = if started.claims.name.is_empty() { reference.as_str() } else { started.claims.name.as_str() };
    let text = format!("Started `{name}` ({}) on host {}", started.public_key, host.shown());
    Ok(result
        .with_text(&text)
        .with("provider_id", started.public_key.to_string())
        .with("contract_id", started.contract_id.to_string())
        .with("result", text))
}

/// How a start ends that has not failed.
enum Outcome {
    Started(Box<ProviderStarted>),
    RunsAlready,
}

/// Code of the host for a start of what runs, and is the same.
const ALREADY_RUNNING: &str = "already_running";

fn runs_already(result: Output, reference: &str, running: Option<&ProviderDescription>, host: &Chosen) -> Output {
    let id = running.map(|running| format!(" ({})", running.id)).unwrap_or_default();
    let text = format!("`{reference}`{id} runs already on host {}", host.shown());
    result
        .with_text(&text)
        .with("provider_id", running.map(|running| running.id.to_string()))
        .with("contract_id", running.map(|running| running.contract_id.to_string()))
        .with("result", text)
}

/// What is asked for may be there: a restarted host takes up what it ran.
async fn running_already(
    control: &ControlClient,
    host: &HostId,
    reference: &str,
    link_name: &LinkName,
) -> Result<Option<ProviderDescription>> {
    let inventory = control.inventory(host).await?;
    let same = |provider: &ProviderDescription| {
        provider.image_ref.as_deref() == Some(reference) && provider.link_name == *link_name
    };
    Ok(inventory.providers.into_iter().find(same))
}
