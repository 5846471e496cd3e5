//! The server of one link, and a few connections to it.
//!
//! A connection that breaks is made again by the next call. A server that cannot be reached is left alone for a moment, in
//! which calls fail at once. Invariant: nothing here waits beyond a deadline.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use provider_sdk::contracts::{
    CallError, LinkValueError,
    keyvalue::{Answer, Request},
};
use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};
use tokio::{
    sync::Mutex,
    time::{timeout, timeout_at},
};

use crate::{commands, fault::Fault, settings::LinkSettings};

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long a server is left alone that could not be reached.
const LEAVE_ALONE: Duration = Duration::from_millis(250);
/// So much earlier than its deadline a call gives up, to be able to say why.
const SAY_WHY: Duration = Duration::from_millis(50);

/// A server with connections.
pub struct Server {
    settings: LinkSettings,
    client: Client,
    slots: Vec<Mutex<Slot>>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that one that broke is dropped once.
    generation: u64,
    failed: Option<(Instant, CallError)>,
}

impl Server {
    /// A server that is not connected yet.
    ///
    /// # Errors
    /// When its settings cannot be used.
    pub fn new(settings: LinkSettings) -> Result<Self, LinkValueError> {
        let client = settings.client()?;
        let slots = (0..settings.connections).map(|_| Mutex::default()).collect();
        Ok(Self { settings, client, slots, turn: AtomicUsize::new(0) })
    }

    /// What the link says.
    pub fn settings(&self) -> &LinkSettings {
        &self.settings
    }

    /// Where it is, without any password.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Makes the first connection.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] with the server and the reason.
    pub async fn connect(&self) -> Result<(), CallError> {
        self.connected(&self.slots[0]).await.map(drop)
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn check(&self, deadline: Instant) -> Result<(), CallError> {
        let ping = async {
            let (mut connection, _) = self.connected(&self.slots[0]).await?;
            match redis::cmd("PING").query_async::<String>(&mut connection).await.map_err(Fault::from) {
                Ok(_) => Ok(()),
                Err(fault) => Err(self.told(fault)),
            }
        };
        timeout_at(deadline.into(), ping).await.unwrap_or_else(|_| Err(self.away("it does not answer".to_owned())))
    }

    /// Carries an operation out. One that leaves the same when it is done twice is tried on a second connection when the
    /// first one breaks.
    ///
    /// # Errors
    /// [`CallError`], by the deadline at the latest.
    pub async fn carry_out(&self, request: &Request, deadline: Instant) -> Result<Answer, CallError> {
        let room = deadline.saturating_duration_since(Instant::now());
        let deadline = if room > SAY_WHY * 4 { deadline - SAY_WHY } else { deadline };
        let mut attempts = if request.is_repeatable() { 2 } else { 1 };
        loop {
            attempts -= 1;
            match self.attempt(request, deadline).await {
                Err(Fault::Connection(reason)) if attempts > 0 => {
                    tracing::debug!(server = self.name(), %reason, "connection broke; trying another");
                }
                outcome => return outcome.map_err(|fault| self.told(fault)),
            }
        }
    }

    async fn attempt(&self, request: &Request, deadline: Instant) -> Result<Answer, Fault> {
        let slot = &self.slots[self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
        let late = |step: &str| CallError::DeadlineExceeded { step: format!("{step} `{}`", self.name()) };
        let connected = timeout_at(deadline.into(), self.connected(slot)).await;
        let (mut connection, generation) = connected.map_err(|_| late("connecting to"))??;
        let work = commands::carry_out(&mut connection, &self.settings, request);
        let outcome = timeout_at(deadline.into(), work).await;
        // A server that does not answer may be gone without a word; the next call asks for a new connection.
        if matches!(outcome, Err(_) | Ok(Err(Fault::Connection(_)))) {
            drop_connection(slot, generation);
        }
        outcome.unwrap_or_else(|_| Err(late("waiting for").into()))
    }

    /// The connection of a slot, made now if there is none.
    async fn connected(&self, slot: &Mutex<Slot>) -> Result<(MultiplexedConnection, u64), CallError> {
        let mut slot = slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((connection.clone(), slot.generation));
        }
        if let Some((when, error)) = &slot.failed
            && when.elapsed() < LEAVE_ALONE
        {
            return Err(error.clone());
        }
        // Deadlines are those of the calls.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let outcome = match timeout(CONNECT_WITHIN, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.away(error.to_string())),
            Err(_) => Err(self.away(format!("no connection within {CONNECT_WITHIN:?}"))),
        };
        match outcome {
            Ok(connection) => {
                if slot.failed.take().is_some() {
                    tracing::info!(server = self.name(), "connected again");
                }
                slot.generation += 1;
                slot.connection = Some(connection.clone());
                Ok((connection, slot.generation))
            }
            Err(error) => {
                if slot.failed.is_none() {
                    tracing::warn!(%error, "cannot connect");
                }
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn told(&self, fault: Fault) -> CallError {
        match fault {
            Fault::Connection(reason) | Fault::Server(reason) => self.away(reason),
            Fault::Call(error) => error,
        }
    }

    fn away(&self, reason: String) -> CallError {
        CallError::Unreachable { target: self.name().to_owned(), reason }
    }
}

/// Whoever holds the slot meanwhile makes a new connection, or has done so.
fn drop_connection(slot: &Mutex<Slot>, generation: u64) {
    if let Ok(mut slot) = slot.try_lock()
        && slot.generation == generation
    {
        slot.connection = None;
    }
}
