//! The task of the store: writes from here, changes from the buckets, comparison after every outage.
//!
//! What takes a round trip to the broker for many keys (reading the buckets, sending what was written during an outage)
//! goes on beside everything else; commands are served meanwhile.

use std::{future::Future, time::Duration};

use lattice::subject::{is_owner_key, revocation_bucket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    command::Command,
    compare::{self, Carried},
    error::SyncError,
    open_buckets::{OpenBuckets, SELDOM, openable},
    owner::{FIRST_RETRY, Owner},
    revocations::Reading,
};
use crate::{
    Bucket,
    buckets::{BucketError, Buckets, StoreState, Update},
    merge::Local,
    world::World,
};

const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// Where the buckets are reached.
pub struct Source<B> {
    /// The buckets of this lattice.
    pub buckets: B,
    /// Whether the broker that keeps them can be reached.
    pub connected: watch::Receiver<bool>,
}

/// What the task hears while it waits.
enum Heard {
    /// A change is ordered here; none: nobody is left who could order one.
    Ordered(Option<Command>),
    /// A bucket changed, or the watch failed.
    Changed(Result<(Bucket, Update), BucketError>),
}

impl<W: World> Owner<W> {
    /// Serves writes and follows the buckets until `stop`. `ready` turns true after the first merge, or at once when
    /// there is no broker.
    pub async fn run(self, source: Option<Source<W::Buckets>>, ready: watch::Sender<bool>, stop: CancellationToken) {
        match source {
            None => {
                ready.send_replace(true);
                self.run_alone(stop).await;
            }
            Some(source) => self.run_synced(source, ready, stop).await,
        }
    }

    async fn run_alone(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                command = self.queue.next() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
            }
        }
    }

    async fn run_synced(mut self, mut source: Source<W::Buckets>, ready: watch::Sender<bool>, stop: CancellationToken) {
        let (world, from) = (self.world.clone(), source.buckets.clone());
        let mut next_try = Box::pin(world.sleep(Duration::ZERO));
        let openable = |wait| Box::pin(openable(&world, &from, Bucket::Revocations, wait));
        let mut reopens = openable(SELDOM);
        // Beside everything else: a broker that says nothing, or is far away, must not keep those waiting who write here
        // meanwhile.
        let (mut opening, mut carrying) = (None, None);
        let mut changes_first = false;
        loop {
            // Only looked at, not marked as seen: an outage that began and ended during a write must still show below.
            let connected = *source.connected.borrow();
            if !connected {
                (self.buckets, opening, carrying) = (None, None, None);
                self.state.send_if_modified(|state| std::mem::take(state) != StoreState::Unknown);
            }
            let idle = self.buckets.is_none();
            let is_time = idle && connected && opening.is_none() && carrying.is_none();
            let mut failed = None;
            // What happens seldom comes first; the two that may never cease take turns.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = source.connected.changed() => {
                    if changed.is_err() { return }
                    // A reconnect may bring an empty broker: look again, also if the change was too quick to see.
                    (self.buckets, opening, carrying) = (None, None, None);
                    reopens = openable(Duration::ZERO);
                    next_try = Box::pin(world.sleep(Duration::ZERO));
                }
                () = &mut reopens, if self.closed && connected => {
                    reopens = openable(SELDOM);
                    self.closed = false;
                    self.buckets = None;
                    next_try = Box::pin(world.sleep(Duration::ZERO));
                }
                () = next_try.as_mut(), if is_time => {
                    opening = Some(Box::pin(compare::open(&from)));
                }
                opened = next_of(&mut opening) => {
                    opening = None;
                    match opened.map_err(SyncError::from).and_then(|opened| self.plan(opened)) {
                        Ok(plan) => carrying = Some(Box::pin(plan.carry_out(self.reading(&from)))),
                        Err(error) => failed = Some(error),
                    }
                }
                carried = next_of(&mut carrying) => {
                    carrying = None;
                    // A merge that a stop cuts short is made again at the next start; a broker that went away in its
                    // midst must not hold the host until every request has timed out.
                    let settled = tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        settled = self.end_comparison(carried) => settled,
                    };
                    match settled {
                        Ok(()) => {
                            self.state.send_replace(StoreState::Open);
                            ready.send_replace(true);
                        }
                        Err(error) => failed = Some(error),
                    }
                }
                heard = self.hear(changes_first) => {
                    changes_first = !changes_first;
                    match heard {
                        Heard::Ordered(Some(command)) => self.obey(command).await,
                        Heard::Ordered(None) => return,
                        Heard::Changed(update) => self.follow(update).await,
                    }
                }
            }
            if let Some(error) = failed {
                self.complain(&error);
                if let Some(reason) = error.refusal() {
                    self.state.send_replace(StoreState::Refused { reason });
                }
                next_try = Box::pin(world.sleep(self.retry));
                self.retry = (self.retry * 2).min(LONGEST_RETRY);
            }
        }
    }

    /// What is ordered here, or was changed by others. Cancel safe.
    async fn hear(&mut self, changes_first: bool) -> Heard {
        let (ordered, changed) = (self.queue.next(), next_update(&mut self.buckets));
        if changes_first {
            tokio::select! {
                biased;
                update = changed => Heard::Changed(update),
                command = ordered => Heard::Ordered(command),
            }
        } else {
            tokio::select! {
                biased;
                command = ordered => Heard::Ordered(command),
                update = changed => Heard::Changed(update),
            }
        }
    }

    /// Says once per outage that lattice state cannot be had; the retries go on quietly.
    fn complain(&self, error: &SyncError) {
        let is_overtaken = matches!(error, SyncError::Overtaken);
        let error = error as &dyn std::error::Error;
        if self.retry == FIRST_RETRY && !is_overtaken {
            let hint = "if it stays so: is JetStream enabled on the NATS server, and may this host use it?";
            tracing::warn!(error, hint, "cannot compare lattice state yet; links and claims of this host are used");
        } else {
            tracing::debug!(error, "cannot compare lattice state yet");
        }
    }

    /// What reads the revocation lists, if their bucket can be had.
    fn reading(&self, from: &W::Buckets) -> Option<Reading<W>> {
        (!self.closed).then(|| Reading {
            world: self.world.clone(),
            from: from.clone(),
            trust: self.trust.clone(),
            known: self.tables.revocations(),
        })
    }

    async fn end_comparison(&mut self, carried: Result<Carried<W::Buckets>, BucketError>) -> Result<(), SyncError> {
        let mut carried = carried?;
        let revocations = carried.revocations.take();
        let mut buckets = self.settle(carried).await?;
        match revocations {
            Some(Ok(read)) => self.join_revocations(&mut buckets, read).await?,
            Some(Err(error)) => self.close_revocations(&error),
            None => {}
        }
        self.buckets = Some(buckets);
        self.retry = FIRST_RETRY;
        self.send_pending().await;
        Ok(())
    }

    /// A broker that was set up for hosts of others may not let us have this bucket. Links and claims must not suffer.
    fn close_revocations(&mut self, error: &BucketError) {
        self.closed = true;
        let (error, bucket) = (error as &dyn std::error::Error, revocation_bucket(&self.trust.lattice));
        let hint = "may this host use the bucket on the NATS server? lists that are put here count here meanwhile";
        tracing::warn!(error, bucket, hint, "revocation lists cannot be exchanged with the lattice");
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Write(write) => self.write_all(write).await,
            Command::Revoke(revoke) => self.revoke(revoke).await,
            Command::Own(own) => Box::pin(self.own(own)).await,
        }
    }

    pub(super) async fn follow(&mut self, update: Result<(Bucket, Update), BucketError>) {
        let (bucket, update) = match update {
            Ok(update) => update,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "lost sight of lattice state; comparing again"
                );
                self.buckets = None;
                return;
            }
        };
        if bucket == Bucket::Revocations && is_owner_key(&update.key) {
            return self.follow_owner(update).await;
        }
        if bucket == Bucket::Revocations {
            return self.follow_revocations(update).await;
        }
        let known = self.known.get(bucket, &update.key);
        if known.is_some_and(|entry| entry.revision >= update.remote.revision) {
            return;
        }
        let revision = update.remote.revision;
        let entry = match update.remote.value.clone() {
            Some(value) => {
                if let Err(error) = self.known.admit(bucket, &update.key, &value) {
                    self.tables.refuse(1);
                    tracing::warn!(%error, key = %update.key, "not taking what somebody wrote into the lattice");
                    return;
                }
                Some(Local::confirmed(known, value, revision, self.world.now_ms()))
            }
            None => known.map(|entry| entry.deleted(revision, self.world.now_ms())),
        };
        if let Err(error) = self.keep(bucket, vec![(update.key.clone(), entry)]).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, key = %update.key, "cannot keep lattice state on disk; comparing again");
            self.buckets = None; // until the disk has it
            self.unkept.insert((bucket, update.key.clone()));
        }
        self.apply(bucket, &update.key, update.remote.value.as_ref(), false);
        self.tables.counted(&self.known);
    }
}

async fn next_of<T>(future: &mut Option<impl Future<Output = T> + Unpin>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn next_update<B: Buckets>(buckets: &mut Option<OpenBuckets<B>>) -> Result<(Bucket, Update), BucketError> {
    match buckets {
        Some(buckets) => buckets.next().await,
        None => std::future::pending().await,
    }
}
