//! A broker that loses, doubles, delays, reorders and changes messages, and an attacker beside it who sends again what went
//! by, to whomever. It says that nobody takes a message as NATS does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use sessions::OutMessage;
use tokio::sync::mpsc;

use crate::executor::{Executor, Group};

/// The group of what the network itself does.
const NETWORK: Group = 0;
/// How long a copy may lie about, and how long a message may be held up, in microseconds.
const LONGEST_COPY: u64 = 3_000_000;
const LATE: u64 = 50_000;
/// What every message takes.
const TO_BROKER: Duration = Duration::from_micros(100);
const FROM_BROKER: Duration = Duration::from_micros(100);

/// What goes wrong, each in so many of a hundred cases.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub lost: usize,
    pub doubled: usize,
    pub late: usize,
    pub changed: usize,
    /// For each message, one of earlier is sent again.
    pub replayed: usize,
    /// Whether copies are kept beyond the life of the process that they first went to, and while it is cut off.
    pub copies_outlive: bool,
}

/// A cloneable handle to one network.
#[derive(Clone)]
pub struct Network {
    executor: Executor,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    subscriptions: Vec<Subscription>,
    objects: BTreeMap<String, Bytes>,
    recorded: Vec<(OutMessage, Vec<Life>)>,
    /// How often each process was cut off and came back; those that are not there are cut off, or dead.
    here: BTreeMap<Group, u64>,
    cuts: u64,
}

/// A process between two cuts.
pub type Life = (Group, u64);

struct Subscription {
    subject: String,
    owner: Group,
    messages: mpsc::UnboundedSender<Message>,
}

impl Network {
    pub fn new(executor: &Executor, faults: Faults) -> Self {
        let state = Mutex::new(State { faults, ..State::default() });
        Self { executor: executor.clone(), state: Arc::new(state) }
    }

    /// From now on everything is well.
    pub fn heal(&self) {
        self.lock().faults = Faults::default();
    }

    pub fn connect(&self, process: Group) {
        let mut state = self.lock();
        state.cuts += 1;
        let cuts = state.cuts;
        state.here.insert(process, cuts);
    }

    pub fn cut(&self, process: Group) {
        self.lock().here.remove(&process);
    }

    /// Which stretch of a process's life this is.
    pub fn life(&self, process: Group) -> Option<Life> {
        self.lock().life(process)
    }

    pub fn subscribe(&self, owner: Group, subject: String) -> mpsc::UnboundedReceiver<Message> {
        let (messages, receiver) = mpsc::unbounded_channel();
        self.lock().subscriptions.push(Subscription { subject, owner, messages });
        receiver
    }

    /// Ends the subscriptions of a process that died, or one of them.
    pub fn unsubscribe(&self, owner: Group, subject: Option<&str>) {
        let ends = |one: &Subscription| one.owner == owner && subject.is_none_or(|subject| one.subject == subject);
        self.lock().subscriptions.retain(|one| !ends(one));
    }

    pub fn put(&self, name: String, object: Bytes) {
        self.lock().objects.insert(name, object);
    }

    pub fn take(&self, name: &str) -> Option<Bytes> {
        self.lock().objects.remove(name)
    }

    /// Takes a message of a process. As with NATS it is decided when the broker has it who gets it, and nobody else does.
    pub fn publish(&self, from: Group, message: OutMessage) {
        let network = self.clone();
        if self.life(from).is_some() {
            self.executor.spawn(NETWORK, async move {
                network.executor.sleep(TO_BROKER).await;
                network.pass_on(from, message);
            });
        }
    }

    fn pass_on(&self, from: Group, message: OutMessage) {
        let (faults, to) = {
            let mut state = self.lock();
            let to = state.lives(&message.subject);
            if !to.is_empty() {
                state.recorded.push((message.clone(), to.clone()));
            }
            (state.faults, to)
        };
        if to.is_empty() {
            return message.reply.into_iter().for_each(|reply| self.say_nobody(from, &reply));
        }
        let chance = |percent| self.executor.random(|random| random.chance(percent));
        if chance(faults.doubled) {
            self.deliver(message.clone(), to.clone(), self.up_to(LONGEST_COPY));
        }
        if chance(faults.replayed) {
            self.replay(faults);
        }
        if chance(faults.lost) {
            return;
        }
        let message = if chance(faults.changed) { self.changed(message) } else { message };
        let late = if chance(faults.late) { self.up_to(LATE) } else { 0 };
        self.deliver(message, to, late);
    }

    /// Sends a copy of an earlier message, as it was or changed, to its receiver or to another's.
    fn replay(&self, faults: Faults) {
        let (mut message, mut to) = self.some_recorded();
        if self.executor.random(|random| random.chance(30)) {
            let (other, its) = self.some_recorded();
            (message.subject, to) = (other.subject, its);
        }
        if self.executor.random(|random| random.chance(20)) {
            message = self.changed(message);
        }
        let (network, wait) = (self.clone(), Duration::from_micros(self.up_to(LONGEST_COPY)));
        self.executor.spawn(NETWORK, async move {
            network.executor.sleep(wait).await;
            let to = if faults.copies_outlive { network.lock().lives(&message.subject) } else { to };
            network.deliver(message, to, 0);
        });
    }

    fn some_recorded(&self) -> (OutMessage, Vec<Life>) {
        let state = self.lock();
        let chosen = self.executor.random(|random| random.below(state.recorded.len()));
        state.recorded[chosen].clone()
    }

    /// Brings a message to processes, if they are still there, so many microseconds later than it must take.
    fn deliver(&self, message: OutMessage, to: Vec<Life>, later: u64) {
        let network = self.clone();
        self.executor.spawn(NETWORK, async move {
            network.executor.sleep(FROM_BROKER + Duration::from_micros(later)).await;
            let state = network.lock();
            for taker in state.subscriptions.iter().filter(|one| matches(&one.subject, &message.subject)) {
                if state.life(taker.owner).is_some_and(|life| to.contains(&life)) {
                    taker.messages.send(arrived(message.clone())).ok();
                }
            }
        });
    }

    /// Says so to whoever sent the message, and to nobody else.
    fn say_nobody(&self, to: Group, reply: &str) {
        let state = self.lock();
        for waiting in state.subscriptions.iter().filter(|one| one.owner == to && matches(&one.subject, reply)) {
            if state.life(to).is_some() {
                let word = Message { status: Some(StatusCode::NO_RESPONDERS), ..arrived(OutMessage::new(reply, "")) };
                waiting.messages.send(word).ok();
            }
        }
    }

    fn changed(&self, message: OutMessage) -> OutMessage {
        let mut payload = message.payload.to_vec();
        if !payload.is_empty() {
            let (at, bit) = self.executor.random(|random| (random.below(payload.len()), random.below(8)));
            payload[at] ^= 1 << bit;
        }
        OutMessage { payload: payload.into(), ..message }
    }

    fn up_to(&self, micros: u64) -> u64 {
        self.executor.random(|random| random.next() % micros)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

impl State {
    fn life(&self, process: Group) -> Option<Life> {
        self.here.get(&process).map(|cuts| (process, *cuts))
    }

    /// The processes that a message on a subject reaches now.
    fn lives(&self, subject: &str) -> Vec<Life> {
        let takers = self.subscriptions.iter().filter(|one| matches(&one.subject, subject));
        takers.filter_map(|one| self.life(one.owner)).collect()
    }
}

fn matches(pattern: &str, subject: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(prefix) => subject.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')),
        None => pattern == subject,
    }
}

fn arrived(message: OutMessage) -> Message {
    let OutMessage { subject, reply, headers, payload } = message;
    let length = payload.len();
    let (subject, reply) = (subject.into(), reply.map(Into::into));
    Message { subject, reply, payload, headers, status: None, description: None, length }
}
