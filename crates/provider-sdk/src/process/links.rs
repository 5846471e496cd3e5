//! Link changes of a provider process: applied in order for one actor, independently for different ones.
//!
//! A link that cannot be served now is tried again until it can or somebody takes it back. Invariant: the table names
//! an actor only after the provider has accepted its link, and no longer than until it is asked to drop it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use claims::ActorId;
use lattice::{Link, control::Ack};
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{LinkChange, LinkRefused, LinkTable, Provider};

/// Changes under way at once; more wait in the subscription.
const AT_ONCE: usize = 256;

/// One change.
pub enum Change {
    /// Serve this link, or serve it differently.
    Put(Link),
    /// Stop serving the link of this actor.
    Delete(ActorId),
    /// Try the link of this actor again if it is still wanted when this change has its turn.
    Retry(ActorId),
}

/// Applies link changes to a provider.
pub struct LinkChanges {
    state: Arc<State>,
    /// The last change of each actor, which the next one waits for.
    last: HashMap<ActorId, JoinHandle<()>>,
    slots: Arc<Semaphore>,
}

struct State {
    provider: Arc<dyn Provider>,
    table: Arc<LinkTable>,
    /// Links that were refused for now.
    waiting: Mutex<HashMap<ActorId, Link>>,
}

impl LinkChanges {
    /// Applies changes to this provider and notes accepted links in this table.
    pub fn new(provider: Arc<dyn Provider>, table: Arc<LinkTable>) -> Self {
        let state = Arc::new(State { provider, table, waiting: Mutex::default() });
        Self { state, last: HashMap::new(), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins a change; `done` hears how it ended. Waits only while very many changes are under way.
    pub async fn begin(&mut self, change: Change, done: impl FnOnce(Ack) + Send + 'static) {
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
        let actor = match &change {
            Change::Put(link) => link.actor_id,
            Change::Delete(actor) | Change::Retry(actor) => *actor,
        };
        self.last.retain(|_, change| !change.is_finished());
        let previous = self.last.remove(&actor);
        let state = Arc::clone(&self.state);
        let task = tokio::spawn(async move {
            let _slot = slot;
            if let Some(previous) = previous {
                // A panic in it was reported when it happened; this change is another one.
                let _ = previous.await;
            }
            done(match change {
                Change::Put(link) => state.put(link).await,
                Change::Delete(actor) => state.delete(&actor).await,
                Change::Retry(actor) => state.retry(&actor).await,
            });
        });
        self.last.insert(actor, task);
    }

    /// Begins to try those again that were refused for now.
    pub async fn retry(&mut self) {
        let waiting: Vec<ActorId> = self.state.waiting().keys().copied().collect();
        for actor in waiting {
            self.begin(Change::Retry(actor), |_| {}).await;
        }
    }

    /// Waits for the changes under way, but not longer than this.
    pub async fn settle(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for (actor, mut change) in std::mem::take(&mut self.last) {
            if timeout_at(deadline, &mut change).await.is_err() {
                self.last.insert(actor, change);
            }
        }
    }
}

impl State {
    async fn put(&self, link: Link) -> Ack {
        let actor = link.actor_id;
        if self.table.compare(&link) == LinkChange::Same {
            self.waiting().remove(&actor);
            return Ack::accepted();
        }
        match self.provider.put_link(&link).await {
            Ok(()) => {
                self.waiting().remove(&actor);
                self.table.accept(link);
                Ack::accepted()
            }
            Err(refused) => {
                let again = match &refused {
                    LinkRefused::Values(_) => self.waiting().remove(&actor).is_some(),
                    LinkRefused::Unavailable { .. } => self.waiting().insert(actor, link).is_some(),
                };
                if again {
                    tracing::debug!(error = %refused, %actor, "link still refused");
                } else {
                    tracing::warn!(error = %refused, %actor, "link refused");
                }
                Ack::refused(refused.to_string())
            }
        }
    }

    async fn retry(&self, actor: &ActorId) -> Ack {
        let wanted = self.waiting().get(actor).cloned();
        match wanted {
            Some(link) => self.put(link).await,
            None => Ack::accepted(),
        }
    }

    async fn delete(&self, actor: &ActorId) -> Ack {
        self.waiting().remove(actor);
        // First of all nobody may call any more.
        self.table.remove(actor);
        self.provider.delete_link(actor).await;
        Ack::accepted()
    }

    // Nothing can panic while the lock is held.
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<ActorId, Link>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
