//! One provider that runs here: who it is, how it feels, which links it serves.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use claims::ActorId;
use contracts::CallError;
use lattice::{Link, control::ProviderDescription};
use provider_sdk::Provider;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{child::Process, spec::ProviderSpec, trouble::Trouble};

/// Where a provider lives.
pub enum Home {
    /// In this process.
    Embedded(Arc<dyn Provider>),
    /// In a child process.
    Process(Process),
}

/// A link that a provider was given.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) link: Arc<Link>,
    pub(super) served: bool,
}

/// One provider that runs here.
pub struct RunningProvider {
    /// Who it is.
    pub spec: ProviderSpec,
    /// Where it lives.
    pub home: Home,
    healthy: AtomicBool,
    /// Why it is not called although its process runs.
    trouble: RwLock<Option<Trouble>>,
    doubts: Notify,
    wake: Notify,
    repeated: Mutex<BTreeSet<ActorId>>,
    /// The links it was given, and whether it serves them.
    pub(super) given: watch::Sender<HashMap<ActorId, Given>>,
    stop: CancellationToken,
}

impl RunningProvider {
    /// A provider that was just started; not known to be healthy yet.
    #[must_use]
    pub fn new(spec: ProviderSpec, home: Home) -> Arc<Self> {
        Self::with_stop(spec, home, CancellationToken::new())
    }

    /// The same, with the token its process already listens to.
    #[must_use]
    pub fn with_stop(spec: ProviderSpec, home: Home, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            spec,
            home,
            healthy: AtomicBool::new(false),
            trouble: RwLock::default(),
            doubts: Notify::new(),
            wake: Notify::new(),
            repeated: Mutex::default(),
            given: watch::Sender::default(),
            stop,
        })
    }

    /// The token that ends its tasks.
    #[must_use]
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Its links may have changed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// The link of this actor was put again as it is: its outcome is to be told again.
    pub fn report_again(&self, actor: ActorId) {
        self.repeated.lock().unwrap_or_else(PoisonError::into_inner).insert(actor);
        self.wake();
    }

    pub(super) fn take_repeated(&self) -> BTreeSet<ActorId> {
        std::mem::take(&mut self.repeated.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it serves this very link.
    pub async fn serves(&self, link: &Link) {
        // The sender lives as long as this provider.
        let is_served = |all: &HashMap<_, Given>| {
            all.get(&link.actor_id).is_some_and(|given| given.served && given.link.as_ref() == link)
        };
        self.given.subscribe().wait_for(is_served).await.ok();
    }

    /// Waits until it was given the link of an actor, whatever it said.
    pub async fn answered(&self, actor: &ActorId) {
        self.given.subscribe().wait_for(|all| all.contains_key(actor)).await.ok();
    }

    /// Whether it serves this very link now.
    #[must_use]
    pub fn has_taken(&self, link: &Link) -> bool {
        let given = self.given.borrow();
        given.get(&link.actor_id).is_some_and(|given| given.served && given.link.as_ref() == link)
    }

    /// Which of its processes runs, counted from the first.
    pub fn process_number(&self) -> u64 {
        match &self.home {
            Home::Embedded(_) => 0,
            Home::Process(process) => process.number(),
        }
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Records health; whether it was otherwise before.
    pub(super) fn set_healthy(&self, healthy: bool) -> bool {
        self.healthy.swap(healthy, Ordering::Relaxed) != healthy
    }

    /// Whether its last health check passed.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Says why calls are not to be made for now, or that they are again. Whether that is news.
    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) -> bool {
        let mut now = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = *now != trouble;
        *now = trouble;
        is_news
    }

    /// A call was not answered in time: its health is asked for now rather than later.
    pub fn suspect(&self) {
        self.doubts.notify_one();
    }

    pub(super) async fn doubted(&self) {
        self.doubts.notified().await;
    }

    /// Fails at once when the provider is known not to answer now.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] while its process is down or in a crash loop, says that it is not healthy, or does not
    /// answer health checks.
    pub fn check_reachable(&self) -> Result<(), CallError> {
        let Home::Process(process) = &self.home else { return Ok(()) };
        let trouble = || Some(self.trouble.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.reason.clone());
        match process.down().or_else(trouble) {
            Some(reason) => Err(CallError::Unreachable { target: self.spec.id.to_string(), reason }),
            None => Ok(()),
        }
    }

    /// What it said of its trouble itself, for whoever runs it, without secrets.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let Home::Process(process) = &self.home else { return None };
        let trouble = || self.trouble.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.words.clone();
        process.last_words().or_else(trouble)
    }

    /// Its row in the inventory.
    #[must_use]
    pub fn describe(&self) -> ProviderDescription {
        ProviderDescription {
            id: self.spec.id,
            annotations: self.spec.annotations.clone(),
            image_ref: Some(self.spec.image_ref.clone()),
            contract_id: self.spec.contract.clone(),
            link_name: self.spec.link_name.clone(),
            name: Some(self.spec.name.clone()),
            revision: self.spec.revision,
        }
    }
}
