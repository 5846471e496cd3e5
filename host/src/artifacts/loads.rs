//! How many artifacts are being loaded: in all, and from one source.
//!
//! A source that is slow takes its own places and not those of others. Whoever finds all places taken waits in line, and
//! not for ever. Invariant: places that are taken come back when whoever took them is dropped.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Loads at one time, from all sources.
pub const MAX_LOADS: usize = 32;
/// Loads at one time from one source: a registry, or the files of this machine.
pub const MAX_LOADS_OF_SOURCE: usize = 8;
/// Loads that wait for a place.
const MAX_WAITING: usize = 1024;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// The places.
#[derive(Debug)]
pub struct Loads {
    all: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    sources: Mutex<HashMap<String, Arc<Semaphore>>>,
    patience: Duration,
}

/// A place that is taken.
#[derive(Debug)]
pub struct Place {
    _source: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Loads {
    fn default() -> Self {
        let (all, waiting) = (Semaphore::new(MAX_LOADS), Semaphore::new(MAX_WAITING));
        Self { all: Arc::new(all), waiting: Arc::new(waiting), sources: Mutex::default(), patience: PATIENCE }
    }
}

impl Loads {
    /// Takes a place for a load from `source`; none when there was none for too long.
    pub async fn enter(&self, source: &str) -> Option<Place> {
        let _waiting = self.waiting.clone().try_acquire_owned().ok()?;
        let of_source = self.source(source);
        let take = async {
            // First the one that only its own kind waits for.
            let source = of_source.acquire_owned().await.ok()?;
            let all = self.all.clone().acquire_owned().await.ok()?;
            Some(Place { _source: source, _all: all })
        };
        timeout(self.patience, take).await.ok().flatten()
    }

    fn source(&self, name: &str) -> Arc<Semaphore> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has a place, or waits for one, keeps the entry.
        sources.retain(|_, places| Arc::strong_count(places) > 1);
        sources.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MAX_LOADS_OF_SOURCE))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_takes_its_own_places_only() {
        let loads = Loads::default();
        let mut slow = Vec::new();
        for _ in 0..MAX_LOADS_OF_SOURCE {
            slow.push(loads.enter("slow.test").await.expect("a place"));
        }
        assert!(loads.enter("slow.test").await.is_none(), "waited in vain");
        let other = loads.enter("other.test").await.expect("a place beside them");
        slow.pop();
        slow.push(loads.enter("slow.test").await.expect("the place that came free"));
        drop((slow, other));
        loads.source("any.test");
        assert_eq!(loads.sources.lock().expect("no panic").len(), 1, "sources nobody uses are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn all_sources_together_have_a_bound() {
        let loads = Loads::default();
        let mut places = Vec::new();
        for number in 0..MAX_LOADS {
            places.push(loads.enter(&number.to_string()).await.expect("a place"));
        }
        assert!(loads.enter("one more").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_line_has_a_bound_and_beyond_it_nobody_waits() {
        let loads = Arc::new(Loads::default());
        let held = loads.waiting.clone().acquire_many_owned(1024).await.expect("all of them");
        let began = tokio::time::Instant::now();
        assert!(loads.enter("any.test").await.is_none());
        assert_eq!(began.elapsed(), Duration::ZERO);
        drop(held);
        assert!(loads.enter("any.test").await.is_some());
    }
}
