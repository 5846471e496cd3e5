//! A lattice in a run: hosts with their disks and connections, one broker, and what is done to them.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    broker::Broker,
    disk::MemoryDisk,
    history::{History, Write, short, shown},
    keys,
    network::Connection,
    plan::{Faults, Plan, Step},
    random::Random,
    scheduler::{Scheduler, TaskId},
    statements::{self, Statement},
    world::SimulatedWorld,
};
use crate::{
    Bucket,
    store::{self, Source, Standing, Store, StoreError},
};

/// One host, up or down.
pub(super) struct Host {
    pub(super) disk: MemoryDisk,
    connection: Connection,
    world: SimulatedWorld,
    running: Option<Running>,
}

struct Running {
    store: Store,
    task: TaskId,
}

/// The lattice.
pub(super) struct Lattice {
    pub(super) scheduler: Scheduler,
    pub(super) broker: Broker,
    pub(super) history: History,
    pub(super) hosts: Vec<Host>,
    /// Whether hosts lose power in this run.
    may_forget: bool,
}

impl Lattice {
    /// Every host up and connected.
    pub(super) fn start(plan: &Plan, history: History) -> Self {
        let (scheduler, broker) = (Scheduler::new(Random::of(plan.seed, 2)), Broker::default());
        let shape = &plan.shape;
        let host = |(host, ahead_ms): (usize, &i64)| Host {
            disk: MemoryDisk::default(),
            connection: Connection::new(&scheduler, &broker, &history, host, shape.latency, shape.slow),
            world: SimulatedWorld { scheduler: scheduler.clone(), history: history.clone(), host, ahead_ms: *ahead_ms },
            running: None,
        };
        let hosts = shape.ahead_ms.iter().enumerate().map(host).collect();
        let may_forget = shape.faults == Faults::Everything;
        let mut lattice = Self { scheduler, broker, history, hosts, may_forget };
        (0..lattice.hosts.len()).for_each(|host| lattice.power_on(host));
        lattice
    }

    fn power_on(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        if host.running.is_some() {
            return;
        }
        host.connection.heal();
        let opened = store::open(host.world.clone(), host.disk.clone(), statements::trust());
        let (store, owner, _) = opened.expect("a disk that can be read");
        let source = Source { buckets: host.connection.clone(), connected: host.connection.connected() };
        let task = self.scheduler.spawn(owner.run(Some(source), watch::channel(false).0, CancellationToken::new()));
        host.running = Some(Running { store, task });
    }

    fn power_off(&mut self, number: usize, wiped: bool) {
        let host = &mut self.hosts[number];
        let Some(Running { task, .. }) = host.running.take() else { return };
        self.scheduler.end(task);
        host.connection.cut(0);
        host.disk.lose_power();
        if wiped {
            self.losing(|lattice| lattice.hosts[number].disk.wipe());
        }
    }

    /// Does something by which values may be lost for good, and notes which accepted writes were.
    fn losing(&mut self, lose: impl FnOnce(&mut Self)) {
        let accepted = self.history.accepted();
        let held: Vec<_> = accepted.iter().filter(|(_, write)| self.holds(write)).collect();
        lose(self);
        let gone = held.into_iter().filter(|(_, write)| !self.holds(write)).map(|(number, _)| *number);
        self.history.excuse(gone);
    }

    /// Whether a write is held anywhere: on a disk, or by the broker.
    fn holds(&self, write: &Write) -> bool {
        let on_disk = |(number, host): (usize, &Host)| {
            let entries = host.disk.of(write.bucket);
            write.may_be_with(number) && entries.get(&write.key).is_some_and(|entry| entry.value == write.value)
        };
        let kept = || self.broker.values(write.bucket).get(&write.key) == write.value.as_ref();
        self.hosts.iter().enumerate().any(on_disk) || write.value.is_some() && kept()
    }

    /// Does one step of a plan.
    pub(super) fn step(&mut self, step: Step) {
        self.history.note(self.scheduler.now(), || format!("{step:?}"));
        match step {
            Step::Write { host, key, value } => self.write(host, &keys::contended()[key], value),
            Step::WriteMany { host, value } => {
                keys::many().iter().for_each(|key| self.write(host, key, Some(value)));
            }
            Step::State { host, statement } => self.state(host, &statements::all()[statement]),
            Step::Cut { host, noticed_after } => self.hosts[host].connection.cut(noticed_after * 1_000),
            Step::Heal { host } if self.hosts[host].running.is_some() => self.hosts[host].connection.heal(),
            Step::Heal { .. } => {}
            Step::WipeBuckets { bucket, back_after } => self.wipe(bucket, back_after),
            Step::ForgetDeletions { bucket } => {
                self.broker.forget_deletions(bucket);
                // Whoever takes them away takes them from those that have not seen them.
                self.history.excuse_deletions(bucket);
                if self.may_forget {
                    self.excuse_all_deletions(bucket);
                }
            }
            Step::PowerCut { host, wiped } => self.power_off(host, wiped),
            Step::Start { host } => self.power_on(host),
            Step::Disk { host, full } => self.hosts[host].disk.set_full(full),
        }
    }

    /// Where hosts lose power, they may have forgotten that something was sent, and send it again.
    fn excuse_all_deletions(&self, bucket: Bucket) {
        let accepted = self.history.accepted().into_iter();
        let deletions = accepted.filter(|(_, write)| write.bucket == bucket && write.value.is_none());
        self.history.excuse(deletions.map(|(number, _)| number));
    }

    fn write(&self, host: usize, key: &'static keys::Key, value: Option<u64>) {
        let Some(Running { store, .. }) = &self.hosts[host].running else { return };
        let (store, history, scheduler) = (store.clone(), self.history.clone(), self.scheduler.clone());
        let value = value.map(|number| key.value(number));
        let number = history.begin(scheduler.now(), host, key.bucket, &key.text, value.clone());
        if self.broker.values(key.bucket).get(&key.text) == value.as_ref() {
            history.published(number);
        }
        let waits = |host: &Host| host.disk.get(key.bucket, &key.text).is_some_and(|entry| entry.pending);
        if !self.hosts.iter().any(waits) {
            let over = self.hosts[host].disk.get(key.bucket, &key.text);
            history.over(number, over.and_then(|entry| entry.value));
        }
        self.scheduler.spawn(async move {
            let outcome = store.write(Standing::Known, key.bucket, key.text.clone(), value).await;
            answered(&history, &scheduler, number, outcome.map(|()| true));
        });
    }

    fn state(&self, host: usize, statement: &'static Statement) {
        let Some(Running { store, .. }) = &self.hosts[host].running else { return };
        let (store, history, scheduler) = (store.clone(), self.history.clone(), self.scheduler.clone());
        let token = Some(statement.token().to_owned().into());
        let number = history.begin(scheduler.now(), host, Bucket::Revocations, &statement.key(), token);
        self.scheduler.spawn(async move {
            let taken = match statement {
                Statement::List(list) => match store.revoke(list.clone()).await {
                    Ok(()) => Ok(true),
                    Err(store::RevokeError::NotTaken(_)) => Ok(false),
                    Err(store::RevokeError::Store(error)) => Err(error),
                },
                Statement::Owner(record) => {
                    store.own(record.clone()).await.map(|in_force| in_force.token == statement.token())
                }
            };
            answered(&history, &scheduler, number, taken);
        });
    }

    /// The broker ends, loses what it kept, and comes back.
    fn wipe(&mut self, bucket: Option<Bucket>, back_after: u64) {
        for host in &self.hosts {
            host.connection.cut(0);
        }
        self.losing(|lattice| match bucket {
            Some(bucket) => lattice.broker.wipe(bucket),
            None => Bucket::ALL.into_iter().for_each(|bucket| lattice.broker.wipe(bucket)),
        });
        let back = self.scheduler.now() + back_after * 1_000;
        for host in self.hosts.iter().filter(|host| host.running.is_some()) {
            let connection = host.connection.clone();
            let apart = self.scheduler.between(0, 2_000_000);
            self.scheduler.at(back + apart, move || connection.heal());
        }
    }

    /// Everything works again.
    pub(super) fn mend(&mut self) {
        self.history.note(self.scheduler.now(), || "everything works again".to_owned());
        for host in 0..self.hosts.len() {
            self.hosts[host].disk.set_full(false);
            self.power_on(host);
            self.hosts[host].connection.heal();
        }
    }

    /// Every connection is made anew.
    pub(super) fn reconnect(&self) {
        for host in &self.hosts {
            host.connection.cut(0);
            host.connection.heal();
        }
    }

    /// In what a host differs from the broker, if it does.
    pub(super) fn difference(&self) -> Option<String> {
        Bucket::ALL.into_iter().find_map(|bucket| {
            let kept = self.broker.values(bucket);
            self.hosts.iter().enumerate().find_map(|(number, host)| {
                let known = host.disk.of(bucket);
                let there = |key: &String| known.get(key).and_then(|entry| entry.value.as_ref());
                let pending = known.iter().find(|(_, entry)| entry.pending).map(|(key, _)| key);
                let differs = kept.keys().chain(known.keys()).find(|key| there(key) != kept.get(*key));
                let key = differs.or(pending)?;
                Some(format!(
                    "host {number} and the broker differ in {bucket:?} {}: {} and {}{}",
                    short(key),
                    shown(there(key)),
                    shown(kept.get(key)),
                    if pending.is_some() { ", still pending" } else { "" }
                ))
            })
        })
    }

    /// Whether what a host shows to its readers is what it has on its disk.
    pub(super) fn hidden(&self) -> Option<String> {
        self.hosts.iter().enumerate().find_map(|(number, host)| {
            let tables = host.running.as_ref()?.store.tables();
            let count = |bucket: Bucket, prefix: &str| {
                let entries = host.disk.of(bucket);
                entries.iter().filter(|(key, entry)| entry.value.is_some() && key.starts_with(prefix)).count()
            };
            let shows =
                [tables.links.all().len(), tables.claims.all().len(), tables.config.read().expect("no panic").len()];
            let owners = tables.owners.by_key().len();
            let signed = tables.revocations().by_key().len() + owners;
            let has =
                [count(Bucket::Lattice, "LINKDEF_"), count(Bucket::Lattice, "CLAIMS_"), count(Bucket::Config, "")];
            let kept = count(Bucket::Revocations, "");
            let differs = shows != has || signed != kept;
            differs
                .then(|| format!("host {number} shows {shows:?} and {signed} statements, and has {has:?} and {kept}"))
        })
    }
}

fn answered(history: &History, scheduler: &Scheduler, number: usize, taken: Result<bool, StoreError>) {
    match taken {
        // Whether it was done before the host went down, nobody knows.
        Err(StoreError::Stopping) => {}
        taken => history.answer(scheduler.now(), number, taken.unwrap_or(false)),
    }
}
