//! The two NATS connections of a host, and whether they are up.
//!
//! The control connection carries control messages, events and lattice state; the RPC connection carries calls, so
//! that neither waits behind the other (protocol section 3.1). Both reconnect by themselves for ever. Invariant:
//! nothing here waits for a broker that is known to be away.

mod buckets;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, jetstream};
use bytes::Bytes;
use claims::HostId;
use lattice::{
    LatticeId,
    client::{ConnectError, ConnectionEvent, Denials, NatsOptions, RpcClient, connect, connect_observed},
    subject::{Role, RpcSubject},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use self::buckets::JetStreamBuckets;
use crate::{process::error_chain::error_chain, settings::HostConfig};

/// Between two looks at why there is no connection.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// One connection and its state.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// Whether it is up. Marked changed at every reconnect, however short the outage.
    pub connected: watch::Receiver<bool>,
    /// What the server forbade.
    pub forbidden: Denials,
    connects: Arc<AtomicU64>,
    role: &'static str,
    options: Arc<NatsOptions>,
    troubled: Arc<Notify>,
    problem: Arc<watch::Sender<Option<Problem>>>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable word.
    pub code: &'static str,
    /// Sentence.
    pub message: String,
}

impl Connection {
    /// How often it came back after it was lost.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Finds out, whenever an attempt to connect fails, why: by an attempt of its own, whose error is a type. Until `stop`.
    async fn find_troubles(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.troubled.notified() => {}
            }
            if !*self.connected.borrow() {
                self.find_trouble().await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN_AFTER) => {}
            }
        }
    }

    async fn find_trouble(&self) {
        let Err(error) = connect(&self.options).await else { return };
        let problem = Problem { code: error.code(), message: error_chain(&error) };
        let known = self.problem.borrow().as_ref().is_some_and(|known| known.code == problem.code);
        if !known {
            let server = self.options.shown_urls();
            tracing::warn!(role = self.role, %server, error = %problem.message, code = problem.code, hint = error.hint(), "cannot connect to NATS; this host serves what it has and keeps trying");
        }
        self.problem.send_replace(Some(problem));
    }
}

/// The connections of a host with NATS.
pub struct Broker {
    /// Control messages, events, lattice state.
    pub ctl: Connection,
    /// Calls.
    pub calls: Connection,
    /// Invocations out of this host.
    pub rpc: RpcClient,
    /// JetStream on the control connection.
    pub jetstream: jetstream::Context,
    lattice: LatticeId,
}

impl Broker {
    /// Starts both connections. Returns at once; the connections come up when the server does.
    ///
    /// # Errors
    /// [`ConnectError`] for settings that can never work.
    pub async fn connect(config: &HostConfig, name: &str, host: HostId) -> Result<Option<Self>, ConnectError> {
        let Some(ctl_options) = &config.ctl else { return Ok(None) };
        let rpc_options = config.rpc.as_ref().unwrap_or(ctl_options);
        let ctl = open(ctl_options, name, host, "control").await?;
        let calls = open(rpc_options, name, host, "rpc").await?;
        let jetstream = match &config.js_domain {
            Some(domain) => jetstream::with_domain(ctl.client.clone(), domain),
            None => jetstream::new(ctl.client.clone()),
        };
        let rpc = RpcClient::nats(calls.client.clone(), config.lattice.clone(), config.js_domain.as_deref())
            .with_denials(calls.forbidden.clone());
        Ok(Some(Self { ctl, calls, rpc, jetstream, lattice: config.lattice.clone() }))
    }

    /// Finds out why connections do not come about, until `stop`.
    pub async fn find_troubles(&self, stop: CancellationToken) {
        tokio::join!(self.ctl.find_troubles(&stop), self.calls.find_troubles(&stop));
    }

    /// Why one of the connections is down, where that is known.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        let of = |connection: &Connection| match *connection.connected.borrow() {
            true => None,
            false => connection.problem.borrow().clone(),
        };
        of(&self.ctl).or_else(|| of(&self.calls))
    }

    /// One request on the RPC connection; none when nobody answered in time or the broker is away.
    pub async fn ask(&self, subject: &RpcSubject, payload: Bytes, within: Duration) -> Option<Bytes> {
        if !*self.calls.connected.borrow() {
            return None;
        }
        let subject = subject.render(&self.lattice);
        let answer = tokio::time::timeout(within, self.calls.client.request(subject, payload)).await;
        answer.ok()?.ok().map(|message| message.payload)
    }

    /// Publishes on the RPC connection; says nothing when the broker is away.
    pub async fn publish(&self, subject: &RpcSubject, payload: Bytes) {
        if !*self.calls.connected.borrow() {
            return;
        }
        if let Err(error) = self.calls.client.publish(subject.render(&self.lattice), payload).await {
            tracing::warn!(%error, "cannot publish to a provider");
        }
    }

    /// At stop: gives what was published a moment to leave, and the broker a moment to learn that nobody listens here any
    /// more, so that it passes no later request to a host that is gone.
    pub async fn take_leave(&self, within: Duration) {
        for connection in [&self.ctl, &self.calls] {
            if *connection.connected.borrow() {
                tokio::time::timeout(within, connection.client.flush()).await.ok();
            }
        }
        if *self.ctl.connected.borrow() {
            // Whatever the answer is, it comes after all that was sent before the question.
            tokio::time::timeout(within, self.jetstream.query_account()).await.ok();
        }
    }
}

async fn open(options: &NatsOptions, name: &str, host: HostId, role: &'static str) -> Result<Connection, ConnectError> {
    let (state, connected) = watch::channel(false);
    let options = NatsOptions {
        name: format!("{name} {role}"),
        retry: true,
        inbox_prefix: Role::Host(host).inbox(),
        ..options.clone()
    };
    let shown = options.shown_urls();
    let waiting = shown.clone();
    let forbidden = Denials::default();
    let noted = forbidden.clone();
    let said = AtomicBool::new(false);
    let connects = Arc::<AtomicU64>::default();
    let counted = connects.clone();
    let (troubled, problem) = (Arc::<Notify>::default(), Arc::new(watch::Sender::new(None)));
    let (trouble, solved) = (troubled.clone(), problem.clone());
    let once = Arc::new(NatsOptions { retry: false, ..options.clone() });
    let is_up = connected.clone();
    let client = connect_observed(&options, move |event| match event {
        ConnectionEvent::Connected => {
            said.store(false, Ordering::Relaxed);
            counted.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%role, server = %shown, "connected to NATS");
            solved.send_replace(None);
            state.send_replace(true);
        }
        ConnectionEvent::Disconnected => {
            tracing::warn!(%role, server = %shown, "lost NATS; this host serves what it has and keeps trying");
            state.send_replace(false);
        }
        ConnectionEvent::Forbidden(subject) => {
            if noted.note(subject.clone()) {
                tracing::error!(%role, server = %shown, "{subject}; give it the permissions of a host (`docs/nats.md`)");
            }
        }
        ConnectionEvent::Trouble(_) if !*is_up.borrow() => trouble.notify_one(),
        ConnectionEvent::Trouble(error) => {
            if !said.swap(true, Ordering::Relaxed) {
                tracing::warn!(%role, server = %shown, %error, "trouble with NATS");
            }
        }
    })
    .await?;
    tracing::debug!(%role, server = %waiting, "connecting to NATS");
    Ok(Connection { client, connected, forbidden, connects, role, options: once, troubled, problem })
}

#[cfg(test)]
mod tests;
