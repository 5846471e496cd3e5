//! The two NATS connections of a host, and whether they are up.
//!
//! The control connection carries control messages, events and lattice state; the RPC connection carries calls, so
//! that neither waits behind the other (protocol section 3.1). Both reconnect by themselves for ever. Invariant:
//! nothing here waits for a broker that is known to be away.

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
    client::{ConnectError, ConnectionEvent, Denials, NatsOptions, RpcClient, connect_observed},
    subject::Role,
};
use tokio::sync::watch;

use crate::config::HostConfig;

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
}

impl Connection {
    /// How often it came back after it was lost.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed).saturating_sub(1)
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
        Ok(Some(Self { ctl, calls, rpc, jetstream }))
    }

    /// One request on the RPC connection; none when nobody answered in time or the broker is away.
    pub async fn ask(&self, subject: String, payload: Bytes, within: Duration) -> Option<Bytes> {
        if !*self.calls.connected.borrow() {
            return None;
        }
        let answer = tokio::time::timeout(within, self.calls.client.request(subject, payload)).await;
        answer.ok()?.ok().map(|message| message.payload)
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
    let client = connect_observed(&options, move |event| match event {
        ConnectionEvent::Connected => {
            said.store(false, Ordering::Relaxed);
            counted.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%role, server = %shown, "connected to NATS");
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
        ConnectionEvent::Trouble(error) => {
            if !said.swap(true, Ordering::Relaxed) {
                tracing::warn!(%role, server = %shown, %error, "trouble with NATS");
            }
        }
    })
    .await?;
    tracing::debug!(%role, server = %waiting, "connecting to NATS");
    Ok(Connection { client, connected, forbidden, connects })
}
