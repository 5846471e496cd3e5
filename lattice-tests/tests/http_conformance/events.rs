//! What the lattice was told about calls.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use claims::ActorId;
use lattice::event::EventData;
use lattice_tests::Operator;

/// How often an actor broke a limit, by the name of the limit.
type Broken = BTreeMap<ActorId, BTreeMap<String, u64>>;

/// The sums of all events so far.
pub struct Told(Arc<Mutex<Broken>>);

impl Told {
    /// Listens from now on.
    pub async fn listen(operator: &Operator) -> Self {
        let (mut events, told) = (operator.events().await, Arc::<Mutex<Broken>>::default());
        let sums = told.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let EventData::ActorLimitExceeded(told) = event.data {
                    let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
                    *sums.entry(told.public_key).or_default().entry(told.limit).or_default() += told.count;
                }
            }
        });
        Self(told)
    }

    /// Those about one actor.
    pub fn of(&self, actor: &ActorId) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(actor).cloned().unwrap_or_default()
    }
}
