//! The order of commands: those about one actor or one provider are applied in the order they came, under every name it
//! goes by: the reference it is asked for by, and the id that turns out to run from it.

use std::sync::Arc;

use claims::{ActorId, ProviderId};
use lattice::{
    LinkName,
    control::{ScaleActor, StartProvider},
};

use crate::{
    core::Core,
    workloads::{
        actor::{self, ActorError},
        provider::{self, error::StartProviderError},
    },
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
    pub fn reference(text: &str) -> Self {
        Self::ActorReference(text.trim().to_owned())
    }
}

/// Puts a scale command in line behind the earlier ones for the same actor.
pub fn queue_scale(core: &Arc<Core>, command: ScaleActor) -> Outcome<ActorError> {
    let start = (command.max_instances > 0).then(|| core.starts.begin());
    core.commands.run(lines_of(core, &command), actor::scale(core.clone(), command, start))
}

/// The same for a start of the last run, which comes to nothing once the actor is not to run like this any more.
pub fn queue_again(core: &Arc<Core>, command: ScaleActor) -> Outcome<ActorError> {
    let (shared, start) = (core.clone(), core.starts.begin());
    core.commands.run(lines_of(core, &command), async move {
        if !shared.wanted.workload().await.wants_actor(&command) {
            return Ok(());
        }
        actor::scale(shared, command, Some(start)).await
    })
}

fn lines_of(core: &Core, command: &ScaleActor) -> Vec<Line> {
    let running = core.actors.running_from(command.actor_ref.trim());
    let ids = running.iter().map(|actor| Line::Actor(actor.id));
    [Line::reference(&command.actor_ref)].into_iter().chain(ids).collect()
}

/// The names that an actor goes by now.
pub fn lines_of_actor(core: &Core, id: ActorId) -> Vec<Line> {
    let versions = core.actors.versions(&id);
    [Line::Actor(id)].into_iter().chain(versions.iter().map(|actor| Line::reference(&actor.image_ref))).collect()
}

/// Puts a provider start in line behind the earlier commands for the same provider.
pub fn queue_provider(core: &Arc<Core>, command: StartProvider) -> Outcome<StartProviderError> {
    let start = core.provider_starts.begin();
    core.commands.run(lines_of_start(core, &command), provider::start(core.clone(), command, start))
}

/// The same for a start of the last run, which comes to nothing once the provider is not to run like this any more.
pub fn queue_provider_again(core: &Arc<Core>, command: StartProvider) -> Outcome<StartProviderError> {
    let (shared, start) = (core.clone(), core.provider_starts.begin());
    core.commands.run(lines_of_start(core, &command), async move {
        if !shared.wanted.workload().await.wants_provider(&command) {
            return Ok(());
        }
        provider::start(shared, command, start).await
    })
}

fn lines_of_start(core: &Core, command: &StartProvider) -> Vec<Line> {
    let (reference, name) = (command.provider_ref.trim(), &command.link_name);
    let mut lines = vec![Line::ProviderReference(reference.to_owned(), name.clone())];
    let running = core.providers.all().into_iter().filter(|provider| provider.spec.image_ref == reference);
    lines.extend(running.map(|provider| Line::Provider(provider.spec.id, name.clone())));
    lines
}
