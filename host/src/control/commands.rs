//! `cmd.{host}.…`: scale, stop and update actors, start and stop providers, stop the host.
//!
//! Commands about one actor or one provider are queued in the order they came, before anything is acknowledged, under
//! every name it goes by: the reference it is asked for by, and the id that turns out to run from it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use lattice::control::{
    Ack, ControlRequest, ScaleActor, StartProvider, StopActor, StopHost, StopProvider, UpdateActor, decode,
};

use crate::{
    core::Core,
    workloads::{
        actor, provider,
        queue::{Line, lines_of_actor, queue_provider, queue_scale},
    },
};

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

/// Answers when the actor has stopped; events precede the answer.
pub async fn stop_actor(core: &Arc<Core>, body: &Bytes) -> Ack {
    let command: StopActor = match decode(body) {
        Ok(command) => command,
        Err(error) => return Ack::refused(error),
    };
    let shared = core.clone();
    let lines = lines_of_actor(core, command.actor_id);
    let starting = core.starts.stop(command.actor_id, &command.annotations);
    outcome(core.commands.run(lines, async move { actor::stop(&shared, command, starting).await }).await)
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
    outcome(core.commands.run(lines, async move { actor::update(&shared, command).await }).await)
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
    outcome(core.commands.run(lines, async move { provider::stop(&shared, command).await }).await)
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
