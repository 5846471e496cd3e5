//! `cmd.{host}.…`: scale, stop and update actors, start and stop providers, stop the host.
//!
//! Commands about one actor or one provider are queued in the order they came, before anything is acknowledged, under
//! every name it goes by: the reference it is asked for by, and the id that turns out to run from it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use claims::{ActorId, ProviderId};
use lattice::{
    LinkName,
    control::{Ack, ControlRequest, ScaleActor, StartProvider, StopActor, StopHost, StopProvider, UpdateActor, decode},
};

use crate::{
    core::Core,
    lifecycle::{self, ActorError},
    providers::{StartProviderError, start},
};

/// How a queued command ended; nothing comes when the host stops first.
pub type Outcome<E> = tokio::sync::oneshot::Receiver<Result<(), E>>;

/// A name that commands may be about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Line {
    /// An actor.
    Actor(ActorId),
    /// Whatever actor a reference leads to.
    ActorReference(String),
    /// A provider under a link name.
    Provider(ProviderId, LinkName),
    /// Whatever provider a reference leads to, under a link name.
    ProviderReference(String, LinkName),
}

impl Line {
    fn reference(text: &str) -> Self {
        Self::ActorReference(text.trim().to_owned())
    }
}

/// Accepts at once; the outcome is an event.
pub fn scale_actor(core: &Arc<Core>, body: &Bytes) -> Ack {
    accept(decode(body), |command: ScaleActor| {
        if command.actor_ref.trim().is_empty() {
            return Ack::refused("a scale command needs an actor reference");
        }
        drop(queue_scale(core, command));
        Ack::accepted()
    })
}

/// Puts a scale command in line behind the earlier ones for the same actor.
fn queue_scale(core: &Arc<Core>, command: ScaleActor) -> Outcome<ActorError> {
    let start = (command.max_instances > 0).then(|| core.starts.begin());
    core.commands.run(lines_of(core, &command), lifecycle::scale(core.clone(), command, start))
}

/// The same for a start of the last run, which comes to nothing once the actor is not to run like this any more.
pub fn queue_again(core: &Arc<Core>, command: ScaleActor) -> Outcome<ActorError> {
    let (shared, start) = (core.clone(), core.starts.begin());
    core.commands.run(lines_of(core, &command), async move {
        if !shared.wanted.workload().await.wants_actor(&command) {
            return Ok(());
        }
        lifecycle::scale(shared, command, Some(start)).await
    })
}

fn lines_of(core: &Core, command: &ScaleActor) -> Vec<Line> {
    let running = core.actors.running_from(command.actor_ref.trim());
    let ids = running.iter().map(|actor| Line::Actor(actor.id));
    [Line::reference(&command.actor_ref)].into_iter().chain(ids).collect()
}

/// The names that an actor goes by now.
fn lines_of_actor(core: &Core, id: ActorId) -> Vec<Line> {
    let versions = core.actors.versions(&id);
    [Line::Actor(id)].into_iter().chain(versions.iter().map(|actor| Line::reference(&actor.image_ref))).collect()
}

/// Answers when the actor has stopped; events precede the answer.
pub async fn stop_actor(core: &Arc<Core>, body: &Bytes) -> Ack {
    let command: StopActor = match decode(body) {
        Ok(command) => command,
        Err(error) => return Ack::refused(error),
    };
    let shared = core.clone();
    let lines = lines_of_actor(core, command.actor_id);
    let starting = core.starts.stop(command.actor_id, &command.annotations);
    outcome(core.commands.run(lines, async move { lifecycle::stop(&shared, command, starting).await }).await)
}

/// Answers when the new version serves, or says why the old one still does.
pub async fn update_actor(core: &Arc<Core>, body: &Bytes) -> Ack {
    let command: UpdateActor = match decode(body) {
        Ok(command) => command,
        Err(error) => return Ack::refused(error),
    };
    let shared = core.clone();
    let mut lines = lines_of_actor(core, command.actor_id);
    lines.push(Line::reference(&command.new_actor_ref));
    outcome(core.commands.run(lines, async move { lifecycle::update(&shared, command).await }).await)
}

/// Accepts at once; the outcome is an event.
pub fn start_provider(core: &Arc<Core>, body: &Bytes) -> Ack {
    accept(decode(body), |command: StartProvider| {
        if command.provider_ref.trim().is_empty() {
            return Ack::refused("a provider launch command needs a provider reference");
        }
        drop(queue_provider(core, command));
        Ack::accepted()
    })
}

/// Puts a provider start in line behind the earlier commands for the same provider.
fn queue_provider(core: &Arc<Core>, command: StartProvider) -> Outcome<StartProviderError> {
    let start = core.provider_starts.begin();
    core.commands.run(lines_of_start(core, &command), start::start(core.clone(), command, start))
}

/// The same for a start of the last run, which comes to nothing once the provider is not to run like this any more.
pub fn queue_provider_again(core: &Arc<Core>, command: StartProvider) -> Outcome<StartProviderError> {
    let (shared, start) = (core.clone(), core.provider_starts.begin());
    core.commands.run(lines_of_start(core, &command), async move {
        if !shared.wanted.workload().await.wants_provider(&command) {
            return Ok(());
        }
        start::start(shared, command, start).await
    })
}

fn lines_of_start(core: &Core, command: &StartProvider) -> Vec<Line> {
    let (reference, name) = (command.provider_ref.trim(), &command.link_name);
    let mut lines = vec![Line::ProviderReference(reference.to_owned(), name.clone())];
    let running = core.providers.all().into_iter().filter(|provider| provider.spec.image_ref == reference);
    lines.extend(running.map(|provider| Line::Provider(provider.spec.id, name.clone())));
    lines
}

/// Answers when the provider has stopped.
pub async fn stop_provider(core: &Arc<Core>, body: &Bytes) -> Ack {
    let command: StopProvider = match decode(body) {
        Ok(command) => command,
        Err(error) => return Ack::refused(error),
    };
    let (id, name) = (command.provider_id, &command.link_name);
    let mut lines = vec![Line::Provider(id, name.clone())];
    if let Some(running) = core.providers.get(&id, name) {
        lines.push(Line::ProviderReference(running.spec.image_ref.clone(), name.clone()));
    }
    core.provider_starts.stop(id, name);
    let shared = core.clone();
    outcome(core.commands.run(lines, async move { start::stop(&shared, command).await }).await)
}

/// Accepts, then stops.
pub fn stop_host(core: &Arc<Core>, body: &Bytes) -> Ack {
    accept(decode(body), |command: StopHost| {
        tracing::info!("asked to stop");
        if let Some(timeout) = command.timeout_ms {
            core.set_stop_deadline(Duration::from_millis(timeout));
        }
        core.stop.cancel();
        Ack::accepted()
    })
}

fn accept<T: ControlRequest>(command: Result<T, lattice::control::DecodeError>, run: impl FnOnce(T) -> Ack) -> Ack {
    command.map_or_else(Ack::refused, run)
}

fn outcome(result: Result<Result<(), String>, tokio::sync::oneshot::error::RecvError>) -> Ack {
    match result {
        Ok(Ok(())) => Ack::accepted(),
        Ok(Err(reason)) => Ack::refused(reason),
        Err(_) => Ack::refused("the command was interrupted; see the host's log"),
    }
}
