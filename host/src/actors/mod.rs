//! Actors that run on this host.
//!
//! Per actor a few *versions*, mostly one: a reference, its loaded code and limits, shared by the annotation sets that
//! run from it (protocol section 8.3). The table of them is in `table`. Invariant: a version in the table has at least one
//! annotation set, and its guest's bound is the sum of theirs.

mod broken_limits;
mod call;
mod coming;
mod counted;
mod failure_lines;
mod grants;
mod ongoing;
mod table;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use claims::ActorId;
use contracts::CallError;
use lattice::{
    control::{ActorDescription, ActorInstance},
    event::ActorClaims,
};
use lattice_state::{
    revocations::Provenance,
    scale::{self, Annotations, Instance},
};
use runtime::{Guest, Limit, LimitSettings, Outbound};
use tokio_util::sync::CancellationToken;

pub use self::{
    broken_limits::BrokenLimits,
    coming::Came,
    counted::ActorCalls,
    grants::{check_grant, exists},
    ongoing::Ongoing,
    table::{Actors, Left, Vacancy},
};

/// Whether an actor may neither call nor be called any more; shared by the actor and its way out.
#[derive(Debug, Clone, Default)]
pub struct RevokedFlag(Arc<AtomicBool>);

impl RevokedFlag {
    /// From now on calls are refused, also those that are under way.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Refuses a call of, or to, a revoked actor.
    ///
    /// # Errors
    /// [`CallError::Unauthorized`].
    pub fn check(&self, actor: &ActorId) -> Result<(), CallError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(CallError::Unauthorized { reason: format!("actor `{actor}` is revoked") });
        }
        Ok(())
    }
}

/// One version of an actor.
pub struct RunningActor {
    /// Its key.
    pub id: ActorId,
    /// Claims as events show them.
    pub shown: ActorClaims,
    /// The reference it runs from, as the client wrote it.
    pub image_ref: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Its code.
    pub guest: Guest,
    /// Its way out.
    pub outbound: Arc<dyn Outbound>,
    /// Whether it is revoked.
    pub revoked: RevokedFlag,
    /// The calls of the actor, counted; shared by its versions and their ways out.
    pub calls: Arc<ActorCalls>,
    /// The limits its start set.
    pub limits: LimitSettings,
    told: Mutex<BTreeMap<Limit, u64>>,
    instances: Mutex<BTreeMap<Annotations, Instance>>,
    serving: OnceLock<CancellationToken>,
}

impl RunningActor {
    /// An actor with its first instance.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "what an actor is made of, each once")]
    pub fn new(
        id: ActorId,
        shown: ActorClaims,
        image_ref: String,
        provenance: Provenance,
        guest: Guest,
        outbound: Arc<dyn Outbound>,
        revoked: RevokedFlag,
        calls: Arc<ActorCalls>,
    ) -> Self {
        Self {
            id,
            shown,
            image_ref,
            provenance,
            guest,
            outbound,
            revoked,
            calls,
            limits: LimitSettings::default(),
            told: Mutex::default(),
            instances: Mutex::default(),
            serving: OnceLock::new(),
        }
    }

    /// Whether its signed claims name a contract.
    #[must_use]
    pub fn grants(&self, contract: &str) -> bool {
        self.shown.caps.iter().any(|granted| granted == contract)
    }

    /// From now on it neither calls nor is called, also where a call is under way.
    pub fn revoke(&self) {
        self.revoked.set();
    }

    /// Ends when the actor no longer takes calls from the lattice; shared by its versions.
    pub fn serving(&self) -> &CancellationToken {
        self.serving.get_or_init(CancellationToken::new)
    }

    /// Whether it was in the table and may not return: who takes its place takes calls at another one.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.lock().is_empty() && self.serving.get().is_some()
    }

    /// Whether it is loaded from these very bytes, under this reference.
    #[must_use]
    pub fn is_from(&self, image_ref: &str, artifact: &Provenance) -> bool {
        self.image_ref == image_ref && self.provenance.digests == artifact.digests
    }

    /// The maximum of an annotation set.
    #[must_use]
    pub fn max_of(&self, annotations: &Annotations) -> Option<u32> {
        self.lock().get(annotations).map(|instance| instance.max_instances)
    }

    /// All annotation sets.
    #[must_use]
    pub fn instances(&self) -> BTreeMap<Annotations, Instance> {
        self.lock().clone()
    }

    /// Sets the maximum of an annotation set; zero removes it. What is left in total.
    pub fn set(&self, annotations: &Annotations, max_instances: u32) -> u32 {
        let mut instances = self.lock();
        if max_instances == 0 {
            instances.remove(annotations);
        } else {
            let fresh = || Instance { instance_id: uuid::Uuid::new_v4().to_string(), max_instances };
            instances.entry(annotations.clone()).or_insert_with(fresh).max_instances = max_instances;
        }
        let total = scale::total(&instances);
        self.bound(total);
        total
    }

    /// Takes an annotation set over from another version, as it is. What the other one has left in total.
    pub fn take_over(&self, old: &Self, annotations: &Annotations) -> u32 {
        if let Some(instance) = old.lock().get(annotations).cloned() {
            let mut instances = self.lock();
            instances.insert(annotations.clone(), instance);
            self.bound(scale::total(&instances));
        }
        old.set(annotations, 0)
    }

    /// Gives an annotation set back that was taken over.
    pub fn give_back(&self, old: &Self, annotations: &Annotations) {
        old.take_over(self, annotations);
    }

    fn takes_calls_at(&self, place: &CancellationToken) {
        self.serving.set(place.clone()).ok();
    }

    /// However many are asked for, its limits hold.
    fn bound(&self, total: u32) {
        if total > 0 {
            self.guest.set_max_instances(total.min(self.guest.limits().max_concurrent));
        }
    }

    /// The limits its calls broke since this was asked for the last time, and how often.
    #[must_use]
    pub fn new_breaches(&self) -> Vec<(Limit, u64)> {
        let now = self.guest.breaches();
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = |limit| told.get(limit).copied().unwrap_or_default();
        let more = now.iter().map(|(limit, count)| (*limit, count - before(limit))).filter(|(_, more)| *more > 0);
        let more = more.collect();
        *told = now;
        more
    }

    /// Its row in the inventory.
    #[must_use]
    pub fn describe(&self) -> ActorDescription {
        let revision = self.shown.revision;
        let row = |(annotations, instance): (Annotations, Instance)| ActorInstance {
            annotations,
            image_ref: Some(self.image_ref.clone()),
            instance_id: instance.instance_id,
            revision,
            max_instances: instance.max_instances,
        };
        ActorDescription {
            id: self.id,
            image_ref: Some(self.image_ref.clone()),
            name: Some(self.shown.name.clone()),
            instances: self.instances().into_iter().map(row).collect(),
            limits: self.limits.to_texts(),
            limits_exceeded: self
                .guest
                .breaches()
                .into_iter()
                .map(|(limit, count)| (limit.to_string(), count))
                .collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Annotations, Instance>> {
        self.instances.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
