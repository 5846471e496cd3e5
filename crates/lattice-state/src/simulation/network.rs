//! What lies between one host and the broker: requests and answers that take time, changes that come twice, and cuts.
//!
//! What one connection carries arrives in the order in which it was sent. A cut loses what is under way, and nobody is told
//! at once. Invariant: a request that is sent may be done although its answer never comes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::{
    broker::{Broker, Change},
    history::History,
    scheduler::Scheduler,
};
use crate::{
    Bucket,
    buckets::{BucketError, Buckets, Opened, Snapshot, Update, Writer},
};

/// Longest wait for one call, as hosts have it.
const DEADLINE: Duration = Duration::from_secs(3);
/// Milliseconds since 1970 at which a run begins.
pub(super) const EPOCH_MS: u64 = 1_800_000_000_000;

/// The connection of one host. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    scheduler: Scheduler,
    broker: Broker,
    history: History,
    host: usize,
    /// Microseconds that a message takes, at least.
    latency: u64,
    /// How many messages there are for each that is very slow; zero: none is.
    slow: u64,
    wire: Mutex<Wire>,
    connected: watch::Sender<bool>,
}

/// The wire as it is now.
struct Wire {
    up: bool,
    /// Counts connections; what was sent over an earlier one is lost.
    number: u64,
    /// When the last message to the broker, and the last from it, arrives.
    there: u64,
    back: u64,
}

impl Connection {
    pub(super) fn new(
        scheduler: &Scheduler,
        broker: &Broker,
        history: &History,
        host: usize,
        latency: u64,
        slow: u64,
    ) -> Self {
        let wire = Mutex::new(Wire { up: true, number: 0, there: 0, back: 0 });
        let (scheduler, broker, history) = (scheduler.clone(), broker.clone(), history.clone());
        let connected = watch::channel(true).0;
        Self(Arc::new(Shared { scheduler, broker, history, host, latency, slow, wire, connected }))
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the host believes that it is connected.
    pub(super) fn connected(&self) -> watch::Receiver<bool> {
        self.0.connected.subscribe()
    }

    /// Nothing passes any more; the host notices after a while.
    pub(super) fn cut(&self, noticed_after: u64) {
        let number = {
            let mut wire = self.wire();
            wire.up = false;
            wire.number += 1;
            wire.number
        };
        let this = self.clone();
        self.0.scheduler.at(self.0.scheduler.now() + noticed_after, move || {
            if this.wire().number == number {
                this.0.connected.send_replace(false);
            }
        });
    }

    /// A new connection is made.
    pub(super) fn heal(&self) {
        {
            let mut wire = self.wire();
            if wire.up {
                return;
            }
            wire.up = true;
            wire.number += 1;
        }
        // Also where the cut was too short to be seen.
        self.0.connected.send_replace(false);
        self.0.connected.send_replace(true);
    }

    fn travels(&self) -> u64 {
        let Shared { scheduler, latency, slow, .. } = &*self.0;
        match *slow > 0 && scheduler.one_in(*slow) {
            true => scheduler.between(*latency, 4_000_000),
            false => scheduler.between(*latency, latency + latency / 2 + 10),
        }
    }

    /// Does something at the broker, when a message has got there.
    fn send(&self, call: impl FnOnce(&Self) + Send + 'static) {
        let travels = self.travels();
        let now = self.0.scheduler.now();
        let (number, arrives) = {
            let mut wire = self.wire();
            if !wire.up {
                return;
            }
            wire.there = wire.there.max(now + travels);
            (wire.number, wire.there)
        };
        let this = self.clone();
        self.0.scheduler.at(arrives, move || {
            if this.wire().number == number {
                call(&this);
            }
        });
    }

    /// Does something at the host, when a message has got back.
    fn answer(&self, call: impl FnOnce() + Send + 'static) {
        let travels = self.travels();
        let now = self.0.scheduler.now();
        let (number, arrives) = {
            let mut wire = self.wire();
            wire.back = wire.back.max(now + travels);
            (wire.number, wire.back)
        };
        let this = self.clone();
        self.0.scheduler.at(arrives, move || {
            if this.wire().number == number {
                call();
            }
        });
    }

    async fn request<T: Send + 'static>(
        &self,
        step: &'static str,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, BucketError> {
        let (done, outcome) = oneshot::channel();
        self.send(move |this| {
            let worked = work(this);
            this.answer(move || drop(done.send(worked)));
        });
        let late = self.0.scheduler.sleep(DEADLINE);
        tokio::select! {
            biased;
            // An answer that is lost leaves nobody who could send one; the host knows no more than the time.
            Ok(answer) = outcome => Ok(answer),
            () = late => Err(BucketError::Timeout { step }),
        }
    }

    fn change(&self, bucket: Bucket, key: &str, change: Change) -> Option<u64> {
        let now = self.0.scheduler.now();
        let shown = change.clone();
        let changed = self.0.broker.change(bucket, key, change, EPOCH_MS + now / 1000);
        if changed.is_some() {
            self.0.history.applied(now, self.0.host, bucket, key, &shown);
        }
        changed
    }
}

impl Buckets for Connection {
    type Opened = Watched;

    async fn open(&self, bucket: Bucket) -> Result<Watched, BucketError> {
        let heard = Arc::<Mutex<Heard>>::default();
        let listens = heard.clone();
        let opened = self.request("opening a bucket", move |this| {
            let number = this.wire().number;
            let connection = this.clone();
            let listener = Box::new(move |update: &Update| {
                if connection.wire().number == number {
                    tell(&connection, &listens, update);
                }
            });
            let opened = this.0.broker.watch(bucket, listener);
            let at = this.0.scheduler.now();
            this.0.history.note(at, || format!("host {} opens {} with {} keys", this.0.host, opened.0, opened.1.len()));
            opened
        });
        let (incarnation, held) = opened.await?;
        Ok(Watched { connection: self.clone(), bucket, incarnation, held, heard })
    }
}

/// A change is on its way to a host, some of them twice.
fn tell(connection: &Connection, heard: &Arc<Mutex<Heard>>, update: &Update) {
    let times = if connection.0.scheduler.one_in(8) { 2 } else { 1 };
    for _ in 0..times {
        let (heard, update) = (heard.clone(), update.clone());
        connection.answer(move || {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.updates.push_back(update);
            if let Some(waker) = heard.waker.take() {
                waker.wake();
            }
        });
    }
}

#[derive(Default)]
struct Heard {
    updates: VecDeque<Update>,
    waker: Option<Waker>,
}

/// A bucket that is watched.
pub(super) struct Watched {
    connection: Connection,
    bucket: Bucket,
    incarnation: String,
    held: Vec<Update>,
    heard: Arc<Mutex<Heard>>,
}

impl Opened for Watched {
    type Writer = Written;

    fn writer(&self) -> Written {
        Written { connection: self.connection.clone(), bucket: self.bucket }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, BucketError> {
        self.connection.request("reading a bucket", |_| ()).await?;
        let mut snapshot = Snapshot::of(self.incarnation.clone());
        self.held.drain(..).for_each(|update| snapshot.add(self.bucket, update));
        Ok(snapshot)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Update, BucketError>> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match heard.updates.pop_front() {
            Some(update) => Poll::Ready(Ok(update)),
            None => {
                heard.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Where a bucket is written.
#[derive(Clone)]
pub(super) struct Written {
    connection: Connection,
    bucket: Bucket,
}

impl Written {
    async fn ask(&self, step: &'static str, key: &str, change: Change) -> Result<Option<u64>, BucketError> {
        let (bucket, key) = (self.bucket, key.to_owned());
        self.connection.request(step, move |this| this.change(bucket, &key, change)).await
    }
}

impl Writer for Written {
    async fn put(&self, key: &str, value: Bytes) -> Result<u64, BucketError> {
        Ok(self.ask("writing a key", key, Change::Put(value)).await?.unwrap_or(0))
    }

    async fn replace(&self, key: &str, value: Option<Bytes>, last: u64) -> Result<Option<u64>, BucketError> {
        self.ask("replacing a key", key, Change::Replace(value, last)).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.ask("deleting a key", key, Change::Delete).await.map(drop)
    }
}
