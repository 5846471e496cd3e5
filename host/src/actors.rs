//! Actors that run on this host.
//!
//! One entry per actor: its compiled code, its claims, and one instance per annotation set (protocol section 8.3).
//! Invariant: an entry has at least one instance, and its guest's bound is the sum of theirs.

mod call;
mod watch;

pub use self::watch::FailureLines;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use claims::ActorId;
use contracts::CallError;
use dashmap::DashMap;
use lattice::{
    control::{ActorDescription, ActorInstance},
    event::ActorClaims,
};
use runtime::{Guest, Limit, LimitSettings, Outbound};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::ActorCalls,
    state::{
        revocations::Provenance,
        scale::{self, Annotations, Instance},
    },
};

/// Whether an actor may neither call nor be called any more; shared by the actor and its way out.
#[derive(Debug, Clone, Default)]
pub struct Barred(Arc<AtomicBool>);

impl Barred {
    /// Refuses a call of, or to, a barred actor.
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

/// One actor.
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
    pub barred: Barred,
    /// Its calls, counted; shared with its way out.
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
        barred: Barred,
        calls: Arc<ActorCalls>,
    ) -> Self {
        Self {
            id,
            shown,
            image_ref,
            provenance,
            guest,
            outbound,
            barred,
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
    pub fn bar(&self) {
        self.barred.0.store(true, Ordering::Relaxed);
    }

    /// Ends when the actor no longer takes calls from the lattice. One that replaces another shares it.
    pub fn serving(&self) -> &CancellationToken {
        self.serving.get_or_init(CancellationToken::new)
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

    /// Takes over from the actor it replaces: its annotation sets, and its place in the queue group. To be called
    /// before anybody can ask whether it serves.
    pub fn succeed(&self, old: &Self) {
        let instances = old.instances();
        let total = scale::total(&instances);
        *self.lock() = instances;
        self.bound(total);
        self.serving.set(old.serving().clone()).ok();
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

/// The table.
#[derive(Default)]
pub struct Actors {
    running: DashMap<ActorId, Arc<RunningActor>>,
    changing: DashMap<ActorId, Arc<tokio::sync::Mutex<()>>>,
}

impl Actors {
    /// A running actor.
    #[must_use]
    pub fn get(&self, id: &ActorId) -> Option<Arc<RunningActor>> {
        self.running.get(id).map(|entry| entry.clone())
    }

    /// The actor that runs from a reference.
    #[must_use]
    pub fn by_reference(&self, image_ref: &str) -> Option<Arc<RunningActor>> {
        self.running.iter().find(|entry| entry.image_ref == image_ref).map(|entry| entry.value().clone())
    }

    /// Everything that runs, in a stable order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<RunningActor>> {
        let mut all: Vec<_> = self.running.iter().map(|entry| entry.value().clone()).collect();
        all.sort_by_key(|actor| actor.id);
        all
    }

    /// Adds or replaces an actor.
    pub fn insert(&self, actor: Arc<RunningActor>) {
        self.running.insert(actor.id, actor);
    }

    /// Removes an actor; calls in flight keep it until they end.
    pub fn remove(&self, id: &ActorId) -> Option<Arc<RunningActor>> {
        let removed = self.running.remove(id).map(|(_, actor)| actor);
        if let Some(actor) = &removed {
            actor.serving().cancel();
        }
        removed
    }

    /// Held while an actor is changed, so that changes of one actor do not cross.
    pub async fn change(&self, id: &ActorId) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = self.changing.entry(*id).or_default().clone();
        lock.lock_owned().await
    }
}
