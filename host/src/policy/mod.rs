//! The policy service: whether an actor or provider may start here, and who may call whom (protocol section 8.5).
//!
//! `gate` is asked before something starts, `calls/permission` before a call; `question` says what is asked,
//! `decisions` remembers, this file asks. Without a policy topic nothing here runs. Invariants: a decision that is
//! known costs one look into a map; equal questions that come together are asked once; however many different ones
//! come, the memory for them is bounded; nobody waits longer than the service is given.

mod decisions;
mod error;
mod gate;
mod question;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::RequestErrorKind;
use dashmap::{DashMap, mapref::entry::Entry};
use futures_util::StreamExt;
use lattice::policy::{PolicyAction, PolicyDecision, PolicyHost};
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use self::decisions::{Decision, Decisions};
pub use self::{
    error::{PolicyError, Silence},
    question::{Party, Question},
};
use crate::{
    identity::Identity,
    nats::Connection,
    settings::{PolicyConfig, PolicyDefault},
};

/// Questions that are remembered, with their decisions.
const MOST_DECISIONS: usize = 10_000;
/// Different questions that wait for an answer; the next one is not asked.
const MOST_WAITING: usize = 1024;
/// Questions that are with the service at the same time.
const AT_ONCE: usize = 64;

type Answer = Result<Decision, Silence>;

/// Asks the policy service.
pub struct Policy {
    config: PolicyConfig,
    connection: Option<Connection>,
    identity: Arc<Identity>,
    decisions: Decisions,
    waiting: DashMap<Question, watch::Receiver<Option<Answer>>>,
    slots: Semaphore,
    silent: AtomicBool,
    tasks: TaskTracker,
}

impl Policy {
    /// The policy of a host, if it has one.
    pub fn new(
        config: Option<&PolicyConfig>,
        connection: Option<Connection>,
        identity: Arc<Identity>,
        tasks: TaskTracker,
    ) -> Option<Arc<Self>> {
        let config = config?.clone();
        if connection.is_none() {
            tracing::warn!(default = %config.default, "a policy service is reached over NATS, and this host runs without; the default holds for everything");
        }
        Some(Arc::new(Self {
            config,
            connection,
            identity,
            decisions: Decisions::new(MOST_DECISIONS),
            waiting: DashMap::new(),
            slots: Semaphore::new(AT_ONCE),
            silent: AtomicBool::new(false),
            tasks,
        }))
    }

    /// What the operator set.
    pub fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// Whether the service permits this; without an answer, the default of this host. `capabilities`: those of the source,
    /// looked up only when the service is asked.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn check(
        self: &Arc<Self>,
        question: Question,
        capabilities: impl FnOnce() -> Vec<String>,
    ) -> Result<(), PolicyError> {
        let action = question.action();
        match self.decide(question, capabilities).await {
            Ok(decision) => decision.outcome(action),
            Err(silence) => self.without_answer(action, silence),
        }
    }

    /// The service's no, where it has said so already.
    pub fn known_refusal(&self, question: &Question) -> Option<PolicyError> {
        self.decisions.get(question)?.outcome(question.action()).err()
    }

    /// What the service says, asked or remembered.
    async fn decide(self: &Arc<Self>, question: Question, capabilities: impl FnOnce() -> Vec<String>) -> Answer {
        if let Some(decision) = self.decisions.get(&question) {
            return Ok(decision);
        }
        let mut answer = self.begin(question, capabilities)?;
        let answered = answer.wait_for(Option::is_some).await.map_err(|_| Silence::Stopping)?;
        answered.clone().unwrap_or(Err(Silence::Stopping))
    }

    /// The answer to a question that is being asked, by us or by whoever came before.
    fn begin(
        self: &Arc<Self>,
        question: Question,
        capabilities: impl FnOnce() -> Vec<String>,
    ) -> Result<watch::Receiver<Option<Answer>>, Silence> {
        let full = self.waiting.len() >= MOST_WAITING;
        let Some(connection) = &self.connection else { return Err(Silence::NoNats) };
        if !*connection.connected.borrow() {
            return Err(Silence::Away);
        }
        let (said, answer) = watch::channel(None);
        match self.waiting.entry(question.clone()) {
            Entry::Occupied(asked) => return Ok(asked.get().clone()),
            Entry::Vacant(_) if full => return Err(Silence::TooMany { most: MOST_WAITING }),
            Entry::Vacant(slot) => slot.insert(answer.clone()),
        };
        let id: Arc<str> = Uuid::new_v4().to_string().into();
        let payload = question.request(self.host(), capabilities(), &id).to_json();
        let (policy, connection) = (self.clone(), connection.clone());
        // A task of its own: whoever asked first may go away, and others wait for the same answer.
        self.tasks.spawn(async move {
            let answer = policy.ask(connection, &id, &question, payload).await;
            let answer = answer.map(|decision| policy.decisions.answer(&question, decision));
            policy.waiting.remove(&question);
            said.send_replace(Some(answer));
        });
        Ok(answer)
    }

    async fn ask(&self, connection: Connection, id: &Arc<str>, question: &Question, payload: Vec<u8>) -> Answer {
        let Connection { client, mut connected, .. } = connection;
        let topic = self.config.topic.clone();
        let within = self.config.timeout;
        let deadline = Instant::now() + within;
        let exchange = async {
            // Never closed, so this waits for a slot and nothing else.
            let _slot = self.slots.acquire().await;
            // One that had to wait this long would only burden a service that is slow already.
            let left = deadline.saturating_duration_since(Instant::now());
            if left < within / 10 {
                return None;
            }
            self.decisions.ask(id, question);
            let request = async_nats::Request::new().payload(payload.into()).timeout(Some(left));
            Some(client.send_request(topic.clone(), request).await)
        };
        let late = || Silence::Late { topic: topic.clone(), within_ms: milliseconds(within) };
        let answered = tokio::select! {
            answered = tokio::time::timeout(within, exchange) => answered,
            // An answer to a question of a lost connection does not come.
            _ = connected.wait_for(|connected| !connected) => return Err(Silence::Away),
        };
        let reply = match answered {
            Ok(Some(Ok(reply))) => reply.payload,
            Ok(Some(Err(error))) => {
                return Err(match error.kind() {
                    RequestErrorKind::NoResponders => Silence::Nobody { topic: topic.clone() },
                    RequestErrorKind::TimedOut => late(),
                    _ => Silence::Unusable { reason: error.to_string() },
                });
            }
            Ok(None) | Err(_) => return Err(late()),
        };
        let decision =
            PolicyDecision::from_json(&reply).map_err(|error| Silence::Unusable { reason: error.to_string() })?;
        if decision.request_id != **id {
            return Err(Silence::Unusable { reason: "it is about another request".to_owned() });
        }
        self.silent.store(false, Ordering::Relaxed);
        Ok(decision.into())
    }

    fn host(&self) -> PolicyHost {
        PolicyHost {
            public_key: self.identity.host_id,
            lattice_id: self.identity.lattice.clone(),
            labels: self.identity.labels.all(),
            cluster_issuers: self.identity.trusted_issuers.iter().copied().collect(),
        }
    }

    fn without_answer(&self, action: PolicyAction, silence: Silence) -> Result<(), PolicyError> {
        let default = self.config.default;
        if !self.silent.swap(true, Ordering::Relaxed) {
            tracing::warn!(%action, %silence, %default, "no decision of the policy service; the default holds");
        }
        match default {
            PolicyDefault::Permit => Ok(()),
            PolicyDefault::Deny => Err(PolicyError::Unanswered { action, silence }),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Follows the changes topic until the host stops. What may have been missed while NATS was away is asked again.
pub async fn follow_changes(policy: Arc<Policy>, stop: CancellationToken) {
    let (Some(topic), Some(connection)) = (&policy.config.changes_topic, &policy.connection) else { return };
    let mut connected = connection.connected.clone();
    let mut changes = match connection.client.subscribe(topic.clone()).await {
        Ok(changes) => changes,
        Err(error) => {
            tracing::error!(%error, %topic, "cannot follow the changes of the policy");
            return;
        }
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = connected.changed() => match changed {
                Ok(()) => policy.decisions.forget(),
                Err(_) => return,
            },
            message = changes.next() => match message {
                Some(message) => policy.hear(&message.payload),
                None => return,
            },
        }
    }
}

impl Policy {
    fn hear(&self, body: &[u8]) {
        match PolicyDecision::from_json(body) {
            Ok(decision) => {
                let (request_id, permitted) = (decision.request_id.clone(), decision.permitted);
                if self.decisions.change(decision.into()) {
                    tracing::info!(%request_id, permitted, remembered = self.decisions.len(), "the policy changed");
                }
            }
            Err(error) => tracing::warn!(%error, code = error.code(), "unusable news of the policy service"),
        }
    }
}
