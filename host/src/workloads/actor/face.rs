//! What starting and stopping actors needs.

use std::sync::Arc;

use claims::{AccountId, ActorId};
use lattice_state::scale::Annotations;
use runtime::{GuestLimits, LimitSettings, Runtime};

use super::{error::ActorError, report::Reports};
use crate::{
    actors::{Actors, BrokenLimits},
    calls::Calls,
    process::lifetime::Lifetime,
    workloads::{
        Desired,
        admission::Admission,
        starts::{Start, Starts},
    },
};

/// A start of an actor that is under way; a stop may be about some annotation sets only.
pub type ActorStart = Start<ActorId, Annotations>;

/// The actors of a host, started and stopped.
pub struct ActorWorkloads {
    /// What artifacts are judged by.
    pub admission: Arc<Admission>,
    /// The engine.
    pub runtime: Runtime,
    /// Limits of an actor unless its start says otherwise.
    pub limits: GuestLimits,
    /// The most that a start may ask for.
    pub most: LimitSettings,
    /// Those that run.
    pub actors: Arc<Actors>,
    /// Their ways out, and in.
    pub calls: Arc<Calls>,
    /// What this host is to run.
    pub desired: Arc<Desired>,
    /// Tells the lattice.
    pub reports: Reports,
    /// Tells of those that break their limits.
    pub broken_limits: Arc<BrokenLimits>,
    /// Starts that are under way.
    pub starts: Starts<ActorId, Annotations>,
    /// Owns what outlasts a command.
    pub life: Lifetime,
}

impl ActorWorkloads {
    /// Whether the policy permits an actor of this issuer to start, or to get more instances.
    ///
    /// # Errors
    /// [`ActorError::Policy`].
    pub(super) async fn may_start(&self, actor: &ActorId, issuer: AccountId) -> Result<(), ActorError> {
        match &self.admission.policy {
            Some(policy) => Ok(policy.may_start_actor(actor, issuer).await?),
            None => Ok(()),
        }
    }
}
