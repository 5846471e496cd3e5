//! Three hosts that call each other, die, come back, are cut off, and stop; and a ledger of what was carried out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ActorId, ClusterId, HostId, KeyKind, KeyPair};
use contracts::CallError;
use lattice::{
    LatticeId,
    client::Noted,
    invocation::Entity,
    session::{CallEntry, CallParts},
};
use sessions::{Failed, Member, Route, ServeCall, Sessions, Wish};
use tokio::sync::watch;

use crate::{
    environment::Process,
    executor::{Executor, Group},
    network::{Faults, Life, Network},
};

pub const HOSTS: usize = 3;

/// What became of a call, as its caller has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet, or its caller died.
    Nothing,
    /// That it was not begun.
    NotBegun,
    Answer(Result<Bytes, CallError>),
}

impl Told {
    /// Whether it says that nothing was begun.
    pub fn is_not_begun(&self) -> bool {
        match self {
            Self::NotBegun => true,
            Self::Answer(Err(error)) => error.code() == "busy",
            _ => false,
        }
    }
}

/// A call that was made.
#[derive(Debug, Clone)]
pub struct Call {
    pub origin: Entity,
    pub told: Told,
    /// Where and as whom it was carried out: the stretch of a host's life, and the origin that it was told.
    pub carried_out: Vec<(Life, Entity)>,
    /// That it was carried out, or said not to be begun, while a host lived, unbroken, that had carried it out.
    pub wrong: bool,
}

/// Everything that was called, by its payload.
#[derive(Default)]
pub struct Ledger {
    pub calls: BTreeMap<String, Call>,
    /// Payloads that nobody sent.
    pub invented: Vec<String>,
}

/// The hosts and what is between them.
#[derive(Clone)]
pub struct Lattice {
    pub executor: Executor,
    pub network: Network,
    ledger: Arc<Mutex<Ledger>>,
    members: Arc<[Identity]>,
    running: Arc<Mutex<Vec<Option<Running>>>>,
    callee: ActorId,
}

struct Identity {
    host: HostId,
    caller: ActorId,
    cluster: KeyPair,
}

/// A host that runs.
#[derive(Clone)]
struct Running {
    group: Group,
    sessions: Arc<Sessions<Process>>,
    connected: watch::Sender<bool>,
}

/// What a host does with calls.
struct Serves {
    lattice: Lattice,
    group: Group,
}

impl Lattice {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let executor = Executor::new(seed);
        let network = Network::new(&executor, faults);
        let key = |kind, number: usize| KeyPair::from_raw_seed(kind, &[u8::try_from(number).expect("small"); 32]);
        let members = (0..HOSTS).map(|index| Identity {
            host: key(KeyKind::Server, index + 1).public().try_into().expect("a host key"),
            caller: key(KeyKind::Module, index + 1).public().try_into().expect("an actor key"),
            // Two of the hosts share a key.
            cluster: key(KeyKind::Cluster, index / 2 + 1),
        });
        let callee = key(KeyKind::Module, 99).public().try_into().expect("an actor key");
        let lattice = Self {
            executor,
            network,
            ledger: Arc::default(),
            members: members.collect(),
            running: Arc::new(Mutex::new(vec![None; HOSTS])),
            callee,
        };
        (0..HOSTS).for_each(|index| lattice.start(index));
        lattice
    }

    /// Starts a host that does not run.
    pub fn start(&self, index: usize) {
        let group = self.executor.random(|random| random.next() | 1);
        let (connected, watched) = watch::channel(true);
        let env = Process {
            executor: self.executor.clone(),
            network: self.network.clone(),
            group,
            connected: watched,
            ahead: index as u64 * 600,
        };
        self.network.connect(group);
        let sessions = Sessions::new(env, self.member(index));
        let host = Arc::new(Serves { lattice: self.clone(), group });
        let opened = sessions.clone();
        self.executor.spawn(group, async move { opened.open(&host).await });
        self.lock_running()[index] = Some(Running { group, sessions, connected });
    }

    /// The actor that every host runs.
    pub fn callee(&self) -> ActorId {
        self.callee
    }

    /// The id of a host that is none of ours.
    pub fn stranger(&self) -> HostId {
        KeyPair::from_raw_seed(KeyKind::Server, &[77; 32]).public().try_into().expect("a host key")
    }

    /// Takes a call into the ledger that somebody else makes; its origin.
    pub fn announce(&self, payload: &str) -> Entity {
        let origin = Entity::actor(&self.members[0].caller);
        let call = Call { origin: origin.clone(), told: Told::Nothing, carried_out: Vec::new(), wrong: false };
        self.ledger().calls.entry(payload.to_owned()).or_insert(call);
        origin
    }

    /// Who a host is.
    pub fn member(&self, index: usize) -> Member {
        let issuer = |member: &Identity| ClusterId::try_from(member.cluster.public()).expect("a cluster key");
        let own = &self.members[index];
        Member {
            lattice: "default".parse::<LatticeId>().expect("a lattice"),
            host: own.host,
            cluster: own.cluster.clone(),
            cluster_id: issuer(own),
            trusted: self.members.iter().map(issuer).collect::<BTreeSet<_>>(),
        }
    }

    /// A host dies where it stands.
    pub fn kill(&self, index: usize) {
        let Some(running) = self.lock_running()[index].take() else { return };
        self.network.cut(running.group);
        self.network.unsubscribe(running.group, None);
        self.executor.end(running.group);
    }

    /// A host stops as it should: it takes no more, answers what runs, and ends.
    pub fn stop(&self, index: usize) {
        let Some(running) = self.lock_running()[index].clone() else { return };
        running.sessions.leave();
        let (lattice, executor) = (self.clone(), self.executor.clone());
        self.executor.spawn(0, async move {
            executor.sleep(Duration::from_millis(500)).await;
            let still = lattice.lock_running()[index].as_ref().is_some_and(|now| now.group == running.group);
            if still {
                lattice.kill(index);
            }
        });
    }

    /// A host loses the broker.
    pub fn cut(&self, index: usize) {
        if let Some(running) = &self.lock_running()[index] {
            self.network.cut(running.group);
            running.connected.send_replace(false);
        }
    }

    /// A host that runs has the broker again.
    pub fn mend(&self, index: usize) {
        if let Some(running) = &self.lock_running()[index]
            && self.network.life(running.group).is_none()
        {
            self.network.connect(running.group);
            running.connected.send_replace(true);
        }
    }

    pub fn runs(&self, index: usize) -> bool {
        self.lock_running()[index].is_some()
    }

    /// A host that runs calls the actor on the others, in a task of its own.
    pub fn call(&self, from: usize, payload: String, wish: Wish, within: Duration) {
        let Some(running) = self.lock_running()[from].clone() else { return };
        let origin = Entity::actor(&self.members[from].caller);
        let call = Call { origin: origin.clone(), told: Told::Nothing, carried_out: Vec::new(), wrong: false };
        self.ledger().calls.insert(payload.clone(), call);
        let lattice = self.clone();
        let others = self.members.iter().enumerate().filter(|(index, _)| *index != from).map(|(_, other)| other.host);
        let route = Route { hosts: others.collect(), others: false };
        self.executor.spawn(running.group, async move {
            let (trace, bytes) = (BTreeMap::new(), Bytes::from(payload.clone()));
            let parts = CallParts {
                origin: &origin,
                target: &lattice.callee,
                operation: "Test.Call",
                trace: &trace,
                payload: &bytes,
            };
            let deadline = lattice.executor.now() + within;
            let told = match running.sessions.call(&parts, &route, deadline, wish, |_| ()).await {
                None => Told::NotBegun,
                Some(answer) => Told::Answer(answer),
            };
            lattice.note_told(&payload, told);
        });
    }

    fn note_told(&self, payload: &str, told: Told) {
        let mut ledger = self.ledger();
        let call = ledger.calls.get_mut(payload).expect("it was made");
        call.wrong |= told.is_not_begun() && self.is_kept(call);
        call.told = told;
    }

    /// Notes that a call is carried out.
    fn note_carried_out(&self, payload: &str, group: Group, origin: Entity) {
        let mut ledger = self.ledger();
        match ledger.calls.get_mut(payload) {
            None => ledger.invented.push(payload.to_owned()),
            Some(call) => {
                call.wrong |= self.is_kept(call);
                // A host that is cut off still does what it has begun.
                call.carried_out.push((self.network.life(group).unwrap_or((group, 0)), origin));
            }
        }
    }

    /// Whether a host that has carried out a call has lived on since, with the broker.
    fn is_kept(&self, call: &Call) -> bool {
        call.carried_out.iter().any(|(life, _)| self.network.life(life.0) == Some(*life))
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panics with it")
    }

    fn lock_running(&self) -> MutexGuard<'_, Vec<Option<Running>>> {
        self.running.lock().expect("nobody panics with it")
    }
}

/// The answer to a call.
pub fn answer_to(payload: &str) -> Bytes {
    format!("the answer to {payload}").into()
}

impl ServeCall for Serves {
    async fn serve(&self, call: CallEntry, _: Instant) -> Result<Bytes, Failed> {
        let executor = &self.lattice.executor;
        let payload = String::from_utf8_lossy(&call.payload).into_owned();
        if executor.random(|random| random.chance(5)) {
            return Err(Failed { begun: false, error: CallError::Busy { target: call.target.to_string(), limit: 1 } });
        }
        self.lattice.note_carried_out(&payload, self.group, call.origin);
        let longest = if executor.random(|random| random.chance(10)) { 2_000_000 } else { 5_000 };
        let time = executor.random(|random| random.next() % longest);
        executor.sleep(Duration::from_micros(time)).await;
        Ok(answer_to(&payload))
    }

    fn takes_sessions(&self) -> bool {
        true
    }

    fn is_member(&self, _: &HostId) -> bool {
        true
    }

    fn heard(&self, _: Noted) {}
}
