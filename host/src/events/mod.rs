//! What happened on this host, told to the lattice and to listeners on the control socket.
//!
//! Every event goes to both event subjects (protocol section 8.4). Emitting never waits: events of a time without
//! broker are not sent later, because state is compared after a reconnect, not replayed.

mod own_signs;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use claims::HostId;
use lattice::{
    event::{Event, EventData, EventKind},
    subject,
};
use tokio::sync::{broadcast, mpsc};

use self::own_signs::OwnSigns;
use crate::{identity::Identity, nats::Connection};

/// Events a slow listener may fall behind.
const BACKLOG: usize = 1024;

/// Tells the lattice.
#[derive(Clone)]
pub struct Events {
    source: HostId,
    listeners: broadcast::Sender<Bytes>,
    outgoing: Option<mpsc::Sender<Arc<Outgoing>>>,
    dropped: Arc<AtomicU64>,
    signs: Arc<OwnSigns>,
}

struct Outgoing {
    name: String,
    body: Bytes,
    /// Whether other hosts read it, and want the word of our key.
    vouched: bool,
}

/// Sends events over NATS; run it as a task.
pub struct Publisher {
    identity: Arc<Identity>,
    connection: Connection,
    outgoing: mpsc::Receiver<Arc<Outgoing>>,
}

/// Makes the emitting side and, with a connection, the task that publishes.
#[must_use]
pub fn channel(identity: Arc<Identity>, connection: Option<Connection>) -> (Events, Option<Publisher>) {
    let source = identity.host_id;
    let listeners = broadcast::Sender::new(BACKLOG);
    let Some(connection) = connection else {
        let (dropped, signs) = Default::default();
        return (Events { source, listeners, outgoing: None, dropped, signs }, None);
    };
    let (sender, outgoing) = mpsc::channel(BACKLOG);
    let (dropped, signs) = Default::default();
    let events = Events { source, listeners, outgoing: Some(sender), dropped, signs };
    (events, Some(Publisher { identity, connection, outgoing }))
}

impl Events {
    /// Tells everybody who listens.
    pub fn emit(&self, data: EventData) {
        let event = Event::new(&self.source, SystemTime::now(), data);
        if is_sign_of_life(&event.data) {
            self.signs.sent(event.id.clone());
        }
        let body = Bytes::from(event.to_json());
        self.listeners.send(body.clone()).ok();
        let vouched = event.data.kind().is_some_and(tells_of_a_peer);
        if let Some(outgoing) = &self.outgoing
            && outgoing.try_send(Arc::new(Outgoing { name: event.name().to_owned(), body, vouched })).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(event = %event.name(), "too many events wait for NATS; one is not sent");
        }
    }

    /// Whether an event under our key says that somebody else lives under it.
    #[must_use]
    pub fn is_of_a_twin(&self, event: &Event) -> bool {
        is_sign_of_life(&event.data) && !self.signs.has(&event.id)
    }

    /// How many were not sent because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Bytes> {
        self.listeners.subscribe()
    }
}

/// Whether other hosts read more of such an event than that its host lives. Hosts of ours send the word of their key beside these.
pub fn tells_of_a_peer(kind: EventKind) -> bool {
    use EventKind::{
        ActorScaled, ActorsStarted, ActorsStopped, HostHeartbeat, HostStarted, HostStopped, ProviderStarted,
        ProviderStopped,
    };
    matches!(kind, HostStarted | HostStopped | HostHeartbeat | ActorsStarted | ActorScaled | ActorsStopped)
        || matches!(kind, ProviderStarted | ProviderStopped)
}

fn is_sign_of_life(data: &EventData) -> bool {
    matches!(data, EventData::HostStarted(_) | EventData::HostHeartbeat(_))
}

impl Publisher {
    /// Publishes until every [`Events`] is gone or `stop` was called and the queue is empty.
    pub async fn run(mut self, stop: tokio_util::sync::CancellationToken) {
        loop {
            let next = tokio::select! {
                next = self.outgoing.recv() => next,
                () = stop.cancelled() => self.outgoing.try_recv().ok(),
            };
            match next {
                Some(event) => self.publish(&event).await,
                None => return,
            }
        }
    }

    async fn publish(&self, event: &Outgoing) {
        if !*self.connection.connected.borrow() {
            tracing::debug!(event = %event.name, "no NATS now; the event is not sent");
            return;
        }
        let client = &self.connection.client;
        let word = event.vouched.then(|| self.identity.word(&event.body));
        for subject in [subject::events(&self.identity.lattice), subject::event(&self.identity.lattice, &event.name)] {
            let published = match word.clone() {
                Some(word) => client.publish_with_headers(subject, word, event.body.clone()).await,
                None => client.publish(subject, event.body.clone()).await,
            };
            if let Err(error) = published {
                tracing::warn!(%error, event = %event.name, "cannot publish an event");
            }
        }
    }
}
