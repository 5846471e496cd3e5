//! `cmd.{host}.…`: scale, stop and update actors, start and stop providers, stop the host.
//!
//! Commands about one reference or one provider are queued in the order they came, before anything is acknowledged.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use lattice::control::{
    Ack, ControlRequest, ScaleActor, StartProvider, StopActor, StopHost, StopProvider, UpdateActor, decode,
};

use crate::{
    core::Core,
    lifecycle::{self, ActorError},
    providers::{StartProviderError, start},
};

/// How a queued command ended; nothing comes when the host stops first.
pub type Outcome<E> = tokio::sync::oneshot::Receiver<Result<(), E>>;

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
pub fn queue_scale(core: &Arc<Core>, command: ScaleActor) -> Outcome<ActorError> {
    let line = core.actors.by_reference(command.actor_ref.trim()).map(|actor| actor.id.to_string());
    let line = line.unwrap_or_else(|| command.actor_ref.trim().to_owned());
    core.commands.run(line, lifecycle::scale(core.clone(), command))
}

/// Answers when the actor has stopped; events precede the answer.
pub async fn stop_actor(core: &Arc<Core>, body: &Bytes) -> Ack {
    let command: StopActor = match decode(body) {
        Ok(command) => command,
        Err(error) => return Ack::refused(error),
    };
    let shared = core.clone();
    let line = command.actor_id.to_string();
    outcome(core.commands.run(line, async move { lifecycle::stop(&shared, command).await }).await)
}

/// Answers when the new version serves, or says why the old one still does.
pub async fn update_actor(core: &Arc<Core>, body: &Bytes) -> Ack {
    let command: UpdateActor = match decode(body) {
        Ok(command) => command,
        Err(error) => return Ack::refused(error),
    };
    let shared = core.clone();
    let line = command.actor_id.to_string();
    outcome(core.commands.run(line, async move { lifecycle::update(&shared, command).await }).await)
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
pub fn queue_provider(core: &Arc<Core>, command: StartProvider) -> Outcome<StartProviderError> {
    let line = format!("{} {}", command.provider_ref.trim(), command.link_name);
    core.commands.run(line, start::start(core.clone(), command))
}

/// Answers when the provider has stopped.
pub async fn stop_provider(core: &Arc<Core>, body: &Bytes) -> Ack {
    let command: StopProvider = match decode(body) {
        Ok(command) => command,
        Err(error) => return Ack::refused(error),
    };
    let shared = core.clone();
    let line = match core.providers.get(&command.provider_id, &command.link_name) {
        Some(running) => format!("{} {}", running.spec.image_ref, command.link_name),
        None => command.provider_id.to_string(),
    };
    outcome(core.commands.run(line, async move { start::stop(&shared, command).await }).await)
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
