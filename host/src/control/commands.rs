//! `cmd.{host}.…`: scale, stop and update actors, start and stop providers, stop the host.
//!
//! A command takes its place in line before anything is acknowledged.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use lattice::control::{
    Ack, ControlRequest, ScaleActor, StartProvider, StopActor, StopHost, StopProvider, UpdateActor, decode,
};

use crate::{
    process::{error_chain::error_chain, lifetime::Lifetime},
    workloads::{Outcome, Workloads},
};

/// Accepts at once; the outcome is an event.
pub fn scale_actor(workloads: &Workloads, body: &Bytes) -> Ack {
    accept(decode(body), |command: ScaleActor| {
        if command.actor_ref.trim().is_empty() {
            return Ack::refused("a scale command needs an actor reference");
        }
        drop(workloads.scale(command));
        Ack::accepted()
    })
}

/// Answers when the actor has stopped; events precede the answer.
pub async fn stop_actor(workloads: &Workloads, body: &Bytes) -> Ack {
    match decode::<StopActor>(body) {
        Ok(command) => outcome(workloads.stop_actor(command)).await,
        Err(error) => Ack::refused(error),
    }
}

/// Answers when the new version serves, or says why the old one still does.
pub async fn update_actor(workloads: &Workloads, body: &Bytes) -> Ack {
    match decode::<UpdateActor>(body) {
        Ok(command) => outcome(workloads.update_actor(command)).await,
        Err(error) => Ack::refused(error),
    }
}

/// Accepts at once; the outcome is an event.
pub fn start_provider(workloads: &Workloads, body: &Bytes) -> Ack {
    accept(decode(body), |command: StartProvider| {
        if command.provider_ref.trim().is_empty() {
            return Ack::refused("a provider launch command needs a provider reference");
        }
        drop(workloads.start_provider(command));
        Ack::accepted()
    })
}

/// Answers when the provider has stopped.
pub async fn stop_provider(workloads: &Workloads, body: &Bytes) -> Ack {
    match decode::<StopProvider>(body) {
        Ok(command) => outcome(workloads.stop_provider(command)).await,
        Err(error) => Ack::refused(error),
    }
}

/// Accepts, then stops.
pub fn stop_host(life: &Lifetime, body: &Bytes) -> Ack {
    accept(decode(body), |command: StopHost| {
        tracing::info!("asked to stop");
        if let Some(timeout) = command.timeout_ms {
            life.set_stop_deadline(Duration::from_millis(timeout));
        }
        life.stop.cancel();
        Ack::accepted()
    })
}

fn accept<T: ControlRequest>(command: Result<T, lattice::control::DecodeError>, run: impl FnOnce(T) -> Ack) -> Ack {
    command.map_or_else(Ack::refused, run)
}

async fn outcome<E: Error + 'static>(result: Outcome<E>) -> Ack {
    match result.await {
        Ok(Ok(())) => Ack::accepted(),
        Ok(Err(error)) => Ack::refused(error_chain(&error)),
        Err(_) => Ack::refused("the command was interrupted; see the host's log"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        providers::process::LaunchError,
        workloads::{actor::ActorError, provider::StartProviderError},
    };

    #[test]
    fn a_stop_says_how_long_it_may_take_and_happens() {
        let life = Lifetime::new(Duration::from_secs(10));
        let ack = stop_host(&life, &Bytes::from_static(br#"{"host_id":"","timeout":1500}"#));
        assert!(ack.accepted && life.is_stopping());
        assert_eq!(life.stop_within(), Duration::from_millis(1500));
    }

    #[test]
    fn a_stop_that_cannot_be_read_is_refused_and_does_not_happen() {
        let life = Lifetime::new(Duration::from_secs(10));
        assert!(!stop_host(&life, &Bytes::from_static(b"junk")).accepted);
        assert!(!life.is_stopping());
    }

    #[tokio::test]
    async fn the_answer_to_a_command_is_how_it_ended() {
        let ended = |result: Option<Result<(), ActorError>>| {
            let (tell, told) = oneshot::channel();
            if let Some(result) = result {
                tell.send(result).ok();
            }
            outcome(told)
        };
        assert!(ended(Some(Ok(()))).await.accepted);
        let refused = ended(Some(Err(ActorError::NotRunning))).await;
        assert_eq!((refused.accepted, refused.error.as_str()), (false, "actor not found"));
        assert!(ended(None).await.error.contains("interrupted"));
    }

    #[tokio::test]
    async fn a_refusal_tells_every_level_of_its_cause() {
        let (tell, told) = oneshot::channel();
        let cause = LaunchError::Spawn(std::io::Error::other("no such program"));
        tell.send(Err(StartProviderError::Launch(cause))).ok();
        let refused = outcome(told).await;
        assert_eq!(refused.error, "cannot start the provider: cannot start the program: no such program");
    }
}
