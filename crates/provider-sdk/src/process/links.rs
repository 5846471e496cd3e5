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
use contracts::mask;
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
                let reason = refused.to_string();
                let shown = mask::text(&reason);
                if again {
                    tracing::debug!(error = %shown, %actor, "link still refused");
                } else {
                    tracing::warn!(error = %shown, %actor, "link refused");
                }
                self.table.refuse(actor, refused.to_string());
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use async_trait::async_trait;
    use bytes::Bytes;
    use claims::{KeyKind, ProviderId, PublicKey};
    use contracts::{CallError, LinkValueError};
    use tokio::sync::oneshot;

    use super::*;
    use crate::ProviderCall;

    /// Links with the value `wait` need a permit, `later` is refused for now, `never` for good.
    struct Fake {
        gate: Semaphore,
        done: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Provider for Fake {
        async fn put_link(&self, link: &Link) -> Result<(), LinkRefused> {
            let value = link.values["value"].as_str();
            if value == "wait" {
                self.gate.acquire().await.unwrap().forget();
            }
            self.done.lock().unwrap().push(format!("put {value}"));
            match value {
                "later" => Err(LinkRefused::Unavailable { reason: "not now".to_owned() }),
                "never" => Err(LinkValueError::new("value", "never").into()),
                _ => Ok(()),
            }
        }

        async fn delete_link(&self, _: &ActorId) {
            self.done.lock().unwrap().push("delete".to_owned());
        }

        async fn call(&self, _: ProviderCall) -> Result<Bytes, CallError> {
            Ok(Bytes::new())
        }

        async fn shutdown(&self) {}
    }

    struct World {
        provider: Arc<Fake>,
        table: Arc<LinkTable>,
        changes: LinkChanges,
    }

    impl World {
        fn new() -> Self {
            let provider = Arc::new(Fake { gate: Semaphore::new(0), done: Mutex::default() });
            let table = Arc::new(LinkTable::default());
            let changes = LinkChanges::new(provider.clone(), Arc::clone(&table));
            Self { provider, table, changes }
        }

        async fn begin(&mut self, change: Change) -> oneshot::Receiver<Ack> {
            let (sender, receiver) = oneshot::channel();
            self.changes.begin(change, |ack| _ = sender.send(ack)).await;
            receiver
        }

        async fn retry(&mut self) {
            self.changes.retry().await;
            self.changes.settle(Duration::from_secs(10)).await;
        }

        fn done(&self) -> Vec<String> {
            std::mem::take(&mut *self.provider.done.lock().unwrap())
        }
    }

    fn actor(number: u8) -> ActorId {
        PublicKey::from_raw(KeyKind::Module, [number; 32]).try_into().unwrap()
    }

    fn put(number: u8, value: &str) -> Change {
        Change::Put(Link {
            actor_id: actor(number),
            provider_id: ProviderId::well_known("test"),
            contract_id: "test:links".parse().unwrap(),
            link_name: "default".parse().unwrap(),
            values: [("value".to_owned(), value.to_owned())].into(),
        })
    }

    #[tokio::test]
    async fn changes_of_one_actor_come_in_order_and_do_not_hold_up_others() {
        let mut world = World::new();
        let first = world.begin(put(1, "wait")).await;
        let second = world.begin(Change::Delete(actor(1))).await;
        let third = world.begin(put(1, "a")).await;
        assert_eq!(world.begin(put(2, "b")).await.await, Ok(Ack::accepted()));
        assert_eq!(world.done(), ["put b"]);
        world.provider.gate.add_permits(1);
        for change in [first, second, third] {
            assert_eq!(change.await, Ok(Ack::accepted()));
        }
        assert_eq!(world.done(), ["put wait", "delete", "put a"]);
        assert!(world.table.contains(&actor(1)) && world.table.contains(&actor(2)));
    }

    #[tokio::test]
    async fn the_same_link_reaches_the_provider_once() {
        let mut world = World::new();
        for _ in 0..3 {
            assert_eq!(world.begin(put(1, "a")).await.await, Ok(Ack::accepted()));
        }
        assert_eq!(world.done(), ["put a"]);
    }

    #[tokio::test]
    async fn a_link_refused_for_now_is_tried_again_until_it_is_replaced() {
        let mut world = World::new();
        assert_eq!(world.begin(put(1, "later")).await.await, Ok(Ack::refused("not now")));
        assert!(!world.table.contains(&actor(1)));
        world.retry().await;
        assert_eq!(world.done(), ["put later", "put later"]);
        assert_eq!(world.begin(put(1, "a")).await.await, Ok(Ack::accepted()));
        world.retry().await;
        assert_eq!(world.done(), ["put a"]);
    }

    #[tokio::test]
    async fn a_link_refused_for_good_is_not_tried_again_and_leaves_the_old_one() {
        let mut world = World::new();
        assert_eq!(world.begin(put(1, "a")).await.await, Ok(Ack::accepted()));
        assert_eq!(world.begin(put(1, "never")).await.await, Ok(Ack::refused("link value `value`: never")));
        world.retry().await;
        assert_eq!(world.done(), ["put a", "put never"]);
        assert!(world.table.contains(&actor(1)));
    }

    #[tokio::test]
    async fn a_link_taken_back_is_not_tried_again_even_by_a_retry_that_waits_behind() {
        let mut world = World::new();
        assert_eq!(world.begin(put(1, "later")).await.await, Ok(Ack::refused("not now")));
        let _deleted = world.begin(Change::Delete(actor(1))).await;
        world.retry().await;
        assert_eq!(world.done(), ["put later", "delete"]);
        assert!(!world.table.contains(&actor(1)));
    }
}
