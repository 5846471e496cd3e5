//! What a provider process answers: the five subjects of its host and its actors.
//!
//! Owns subscriptions and the checks of a call (signature, target, link); the payloads are the provider's. Invariant: a
//! call is carried out only for a linked actor and a believed signature, and answered within its deadline.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Client, Message};
use bytes::Bytes;
use claims::{ActorId, ClusterId};
use contracts::{CallError, TraceContext};
use futures_util::StreamExt as _;
use lattice::{
    HealthResponse, HostData, Link, SHUTDOWN_REPLY, ShutdownRequest,
    client::{Delegated, Inbox, Incoming, ReplayGuard, RpcResponder},
    control::Ack,
    invocation::{Delegation, Entity},
    subject::RpcSubject,
};
use telemetry::{Kind, Tracer};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    DATA_DIR, DEFAULT_TIMEOUT,
    links::{Change, LinkChanges},
    unix_time,
};
use crate::{Builtin, LinkTable, Provider, ProviderCall};

/// Calls that run at once; more wait in the subscription.
const CALLS_AT_ONCE: usize = 1024;
/// How often links are tried again that were refused for now.
const RETRY_LINKS: Duration = Duration::from_secs(3);
/// How long calls wait for the first links.
const INITIAL_LINKS: Duration = Duration::from_secs(2);
/// The file, among the data of the provider, of the calls that were seen.
const SEEN_FILE: &str = ".seen-calls";
/// Time for running calls when the host asks to end.
const DRAIN: Duration = Duration::from_secs(1);

/// Serves one provider until its host asks it to end.
pub struct Server {
    host_data: HostData,
    client: Client,
    links: LinkChanges,
    calls: Arc<Calls>,
    /// The statement for the key of this process.
    delegated: Delegated,
}

/// What running calls share.
struct Calls {
    provider: Arc<dyn Provider>,
    responder: RpcResponder,
    replays: ReplayGuard,
    trusted: BTreeSet<ClusterId>,
    table: Arc<LinkTable>,
    own_key: String,
    link_name: String,
    contract: &'static str,
    timeout: Duration,
    tracer: Tracer,
}

impl Server {
    /// Serves this provider on this connection.
    pub fn new(
        builtin: &Builtin,
        host_data: HostData,
        client: Client,
        provider: Arc<dyn Provider>,
        tracer: Tracer,
    ) -> Self {
        let table = Arc::new(LinkTable::default());
        let calls = Arc::new(Calls {
            provider: Arc::clone(&provider),
            responder: RpcResponder::new(client.clone(), &host_data.lattice, None),
            replays: replays(&host_data),
            trusted: host_data.cluster_issuers.iter().copied().collect(),
            table: Arc::clone(&table),
            own_key: host_data.provider_key.to_string(),
            link_name: host_data.link_name.to_string(),
            contract: builtin.descriptor.contract,
            timeout: host_data.default_rpc_timeout_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis),
            tracer,
        });
        Self { links: LinkChanges::new(provider, table), calls, host_data, client, delegated: Delegated::default() }
    }

    /// The same, which keeps the statement for the key of this process as its host sends it.
    pub fn with_delegated(self, delegated: Delegated) -> Self {
        Self { delegated, ..self }
    }

    /// Serves. Returns when the host has asked to end and running calls have ended.
    pub async fn run(mut self) -> Result<(), String> {
        let (id, link_name) = (self.host_data.provider_key, self.host_data.link_name.clone());
        let mut puts = self.subscribe(&RpcSubject::LinkPut { id, link_name: link_name.clone() }).await?;
        let mut deletes = self.subscribe(&RpcSubject::LinkDel { id, link_name: link_name.clone() }).await?;
        let mut checks = self.subscribe(&RpcSubject::Health { id, link_name: link_name.clone() }).await?;
        let mut shutdowns = self.subscribe(&RpcSubject::Shutdown { id, link_name: link_name.clone() }).await?;
        for link in std::mem::take(&mut self.host_data.link_definitions) {
            self.links.begin(Change::Put(link), |_| {}).await;
        }
        // Calls of actors that are linked already should find the link.
        self.links.settle(INITIAL_LINKS).await;
        let mut requests = self.subscribe(&RpcSubject::Provider { id, link_name }).await?;

        let slots = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        let mut running = JoinSet::new();
        let mut retry = interval(RETRY_LINKS);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = shutdowns.next() => match message {
                    Some(message) if self.is_told_to_end(&message).await => break,
                    Some(_) => {}
                    None => return Err("the connection to NATS is closed".to_owned()),
                },
                Some(message) = puts.next() => self.change(&message, true).await,
                Some(message) = deletes.next() => self.change(&message, false).await,
                Some(message) = checks.next() => {
                    self.renew(&message.payload);
                    running.spawn(health(Arc::clone(&self.calls.provider), self.client.clone(), message));
                }
                Some((slot, message)) = requests.next_with(&slots) => {
                    let calls = Arc::clone(&self.calls);
                    running.spawn(async move {
                        let _slot = slot;
                        Box::pin(calls.answer(message)).await;
                    });
                }
                Some(_) = running.join_next() => {}
                _ = retry.tick() => self.links.retry().await,
            }
        }
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("ending with calls still running");
        }
        Ok(())
    }

    async fn subscribe(&self, subject: &RpcSubject) -> Result<Inbox, String> {
        let text = subject.render(&self.host_data.lattice);
        let subscription = match subject.queue_group(&self.host_data.lattice) {
            Some(group) => self.client.queue_subscribe(text.clone(), group).await,
            None => self.client.subscribe(text.clone()).await,
        };
        subscription
            .map(|messages| Inbox::of_calls("provider", messages))
            .map_err(|error| format!("cannot subscribe to `{text}`: {error}"))
    }

    /// Begins the link change that a message asks for, and answers it when somebody waits for the answer.
    async fn change(&mut self, message: &Message, put: bool) {
        let (client, reply) = (self.client.clone(), message.reply.clone());
        let answer = move |ack: Ack| {
            if let Some(reply) = reply {
                tokio::spawn(async move {
                    if let Err(error) = client.publish(reply, lattice::control::encode(&ack).into()).await {
                        tracing::warn!(%error, "cannot answer a link change");
                    }
                });
            }
        };
        let link = match Link::from_msgpack(&message.payload) {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%error, "unreadable link");
                return answer(Ack::refused(error.to_string()));
            }
        };
        if let Some(reason) = self.not_ours(&link) {
            tracing::warn!(actor = %link.actor_id, reason, "link refused");
            return answer(Ack::refused(reason));
        }
        let change = if put { Change::Put(link) } else { Change::Delete(link.actor_id) };
        self.links.begin(change, answer).await;
    }

    /// A host of ours sends a new statement for the key of this process with a health check. Others could send anything.
    fn renew(&self, payload: &[u8]) {
        let (Ok(statement), true) = (std::str::from_utf8(payload), !payload.is_empty()) else { return };
        let Some(current) = self.delegated.get() else { return };
        let (origin, lattice, trusted) = (self.origin(), &self.host_data.lattice, &self.calls.trusted);
        let read = |statement: &str| Delegation::verify(statement, &origin, lattice, unix_time(), trusted);
        let Ok(fresh) = read(statement) else { return };
        // One that is over says nothing any more about which key it was for.
        if read(&current).is_ok_and(|current| current.key != fresh.key) {
            return;
        }
        self.delegated.set(statement);
    }

    fn origin(&self) -> Entity {
        let HostData { provider_key, link_name, .. } = &self.host_data;
        Entity {
            public_key: provider_key.to_string(),
            link_name: link_name.to_string(),
            contract_id: self.calls.contract.to_owned(),
        }
    }

    fn not_ours(&self, link: &Link) -> Option<String> {
        let contract = self.calls.contract;
        if link.provider_id != self.host_data.provider_key || link.link_name != self.host_data.link_name {
            return Some("the link is for another provider or link name".to_owned());
        }
        (link.contract_id.as_str() != contract).then(|| format!("this provider serves `{contract}`"))
    }

    async fn is_told_to_end(&self, message: &Message) -> bool {
        let request = ShutdownRequest::from_json(&message.payload);
        if !request.is_some_and(|request| request.is_from(&self.host_data.host_id)) {
            tracing::warn!("ignoring a shutdown request that is not from the host of this provider");
            return false;
        }
        if let Some(reply) = &message.reply {
            // The host ends us either way; nobody is left to hear that this failed.
            let _ = self.client.publish(reply.clone(), Bytes::from_static(SHUTDOWN_REPLY.as_bytes())).await;
            let _ = self.client.flush().await;
        }
        tracing::info!("shutting down");
        true
    }
}

/// What was called is remembered over a restart of the process where it has a directory for its data.
fn replays(host_data: &HostData) -> ReplayGuard {
    match host_data.env_values.get(DATA_DIR).map(PathBuf::from) {
        Some(directory) if std::fs::create_dir_all(&directory).is_ok() => {
            ReplayGuard::kept_in(&directory.join(SEEN_FILE), unix_time())
        }
        _ => ReplayGuard::default(),
    }
}

async fn health(provider: Arc<dyn Provider>, client: Client, message: Message) {
    let Some(reply) = message.reply else { return };
    let health = provider.health().await;
    let answer = HealthResponse { healthy: health.healthy, message: health.message };
    if let Err(error) = client.publish(reply, answer.encode().into()).await {
        tracing::warn!(%error, "cannot answer a health check");
    }
}

impl Calls {
    async fn answer(&self, message: Message) {
        let (reply_to, result) = match self.responder.accept(&message, unix_time(), &self.trusted, &self.replays).await
        {
            Ok(incoming) => (incoming.reply_to.clone(), self.carry_out(incoming).await),
            Err(rejected) => (rejected.reply_to, Err(rejected.error)),
        };
        if let Err(error) = &result {
            tracing::debug!(%error, code = error.code(), "call failed");
        }
        if let Err(error) = self.responder.respond(&reply_to, result).await {
            tracing::warn!(%error, "cannot answer a call");
        }
    }

    async fn carry_out(&self, mut incoming: Incoming) -> Result<Bytes, CallError> {
        let invocation = &mut incoming.invocation;
        let mut trace = TraceContext::new(std::mem::take(&mut invocation.trace_context));
        let span = self.tracer.span(&invocation.operation, Kind::Server, &mut trace);
        let span = span.with("lattice.hop", || "arrival").with("lattice.origin", || &invocation.origin.public_key);
        let outcome = self.call(incoming, trace).await;
        span.end(&outcome);
        outcome
    }

    async fn call(&self, incoming: Incoming, trace: TraceContext) -> Result<Bytes, CallError> {
        let invocation = incoming.invocation;
        if invocation.target.public_key != self.own_key {
            let reason = format!("the invocation is for `{}`, not for this provider", invocation.target.public_key);
            return Err(CallError::Unauthorized { reason });
        }
        let origin = invocation.origin.public_key;
        let actor = self.linked(&origin)?;
        let deadline = incoming.deadline.unwrap_or_else(|| Instant::now() + self.timeout);
        let call = ProviderCall { actor, operation: invocation.operation, payload: invocation.msg, deadline, trace };
        let expired = |_| Err(CallError::DeadlineExceeded { step: format!("waiting for provider `{}`", self.own_key) });
        tokio::time::timeout_at(deadline.into(), self.provider.call(call)).await.unwrap_or_else(expired)
    }

    /// The calling actor, if its link is served.
    fn linked(&self, origin: &str) -> Result<ActorId, CallError> {
        let actor: Option<ActorId> = origin.parse().ok();
        if let Some(actor) = actor.filter(|actor| self.table.contains(actor)) {
            return Ok(actor);
        }
        match actor.and_then(|actor| self.table.refusal(&actor)) {
            Some(reason) => Err(CallError::Unreachable {
                target: self.own_key.clone(),
                reason: format!("it does not serve the link of `{origin}` now: {reason}"),
            }),
            None => Err(CallError::NotLinked {
                actor: origin.to_owned(),
                contract: self.contract.to_owned(),
                link_name: self.link_name.clone(),
            }),
        }
    }
}
