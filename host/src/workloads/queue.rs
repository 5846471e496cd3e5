//! The order of commands: those about one actor or one provider are applied in the order they came, under every name it
//! goes by: the reference it is asked for by, and the id that turns out to run from it.
//!
//! A command takes its place in line before it is acknowledged. Invariant: what an operator asked for first is done first.

use std::sync::Arc;

use claims::{ActorId, ProviderId};
use lattice::{
    LinkName,
    control::{ScaleActor, StartProvider, StopActor, StopProvider, UpdateActor},
};

use super::{
    actor::{self, ActorError, ActorWorkloads, NotStopped},
    provider::{self, OtherLinkName, ProviderWorkloads, StartProviderError},
    resume::Resuming,
};
use crate::process::{backoff::Schedule, lifetime::Lifetime, sequencer::Sequencer};

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

/// What runs on a host, and why.
pub struct Workloads {
    /// Actors.
    pub actors: Arc<ActorWorkloads>,
    /// Providers.
    pub providers: Arc<ProviderWorkloads>,
    /// Starts of the last run that are under way.
    pub resuming: Resuming,
    /// Between attempts of such a start.
    pub(super) pauses: Schedule,
    /// Owns what outlasts a command.
    pub life: Lifetime,
    lines: Sequencer<Line>,
}

impl Workloads {
    /// Nothing runs yet. `pauses`: between attempts of what ran before.
    #[must_use]
    pub fn new(
        actors: Arc<ActorWorkloads>,
        providers: Arc<ProviderWorkloads>,
        pauses: Schedule,
        life: Lifetime,
    ) -> Arc<Self> {
        let lines = Sequencer::new(life.tasks.clone());
        Arc::new(Self { actors, providers, resuming: Resuming::default(), pauses, life, lines })
    }

    /// Puts a scale command in line behind the earlier ones for the same actor.
    pub fn scale(&self, command: ScaleActor) -> Outcome<ActorError> {
        let start = (command.max_instances > 0).then(|| self.actors.starts.begin());
        self.lines.run(self.lines_of_scale(&command), actor::scale(self.actors.clone(), command, start))
    }

    /// The same for a start of the last run, which comes to nothing once the actor is not to run like this any more.
    pub fn scale_again(&self, command: ScaleActor) -> Outcome<ActorError> {
        let (work, start) = (self.actors.clone(), self.actors.starts.begin());
        self.lines.run(self.lines_of_scale(&command), async move {
            if !work.desired.workload().await.wants_actor(&command) {
                return Ok(());
            }
            actor::scale(work, command, Some(start)).await
        })
    }

    /// Stops what runs of an actor with these annotations, and what is on its way.
    pub fn stop_actor(&self, command: StopActor) -> Outcome<NotStopped> {
        let (work, lines) = (self.actors.clone(), self.lines_of_actor(command.actor_id));
        let starting = work.starts.stop(command.actor_id, &command.annotations);
        self.lines.run(lines, async move { actor::stop(&work, command, starting).await })
    }

    /// Puts another version in the place of one that runs.
    pub fn update_actor(&self, command: UpdateActor) -> Outcome<ActorError> {
        let (work, mut lines) = (self.actors.clone(), self.lines_of_actor(command.actor_id));
        lines.push(Line::reference(&command.new_actor_ref));
        self.lines.run(lines, async move { actor::update(&work, &command).await })
    }

    /// Puts a provider start in line behind the earlier commands for the same provider.
    pub fn start_provider(&self, command: StartProvider) -> Outcome<StartProviderError> {
        let start = self.providers.starts.begin();
        self.lines.run(self.lines_of_start(&command), provider::start(self.providers.clone(), command, start))
    }

    /// The same for a start of the last run, which comes to nothing once the provider is not to run like this any more.
    pub fn start_provider_again(&self, command: StartProvider) -> Outcome<StartProviderError> {
        let (work, start) = (self.providers.clone(), self.providers.starts.begin());
        self.lines.run(self.lines_of_start(&command), async move {
            if !work.desired.workload().await.wants_provider(&command) {
                return Ok(());
            }
            provider::start(work, command, start).await
        })
    }

    /// Stops a provider under a link name, and what is on its way.
    pub fn stop_provider(&self, command: StopProvider) -> Outcome<OtherLinkName> {
        let work = self.providers.clone();
        let (id, name) = (command.provider_id, &command.link_name);
        let mut lines = vec![Line::Provider(id, name.clone())];
        if let Some(running) = work.providers.get(&id, name) {
            lines.push(Line::ProviderReference(running.spec.image_ref.clone(), name.clone()));
        }
        work.starts.stop(id, name);
        self.lines.run(lines, async move { provider::stop(&work, command).await })
    }

    fn lines_of_scale(&self, command: &ScaleActor) -> Vec<Line> {
        let running = self.actors.actors.running_from(command.actor_ref.trim());
        let ids = running.iter().map(|actor| Line::Actor(actor.id));
        [Line::reference(&command.actor_ref)].into_iter().chain(ids).collect()
    }

    /// The names that an actor goes by now.
    fn lines_of_actor(&self, id: ActorId) -> Vec<Line> {
        let versions = self.actors.actors.versions(&id);
        [Line::Actor(id)].into_iter().chain(versions.iter().map(|actor| Line::reference(&actor.image_ref))).collect()
    }

    fn lines_of_start(&self, command: &StartProvider) -> Vec<Line> {
        let (reference, name) = (command.provider_ref.trim(), &command.link_name);
        let mut lines = vec![Line::ProviderReference(reference.to_owned(), name.clone())];
        let running = self.providers.providers.all().into_iter();
        let running = running.filter(|provider| provider.spec.image_ref == reference);
        lines.extend(running.map(|provider| Line::Provider(provider.spec.id, name.clone())));
        lines
    }
}
