//! Somebody with a trusted key who speaks the format by hand, and as no host of ours would.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use claims::HostId;
use futures_util::StreamExt;
use lattice::{
    session::{
        Acquaintances, BatchKind, CallParts, Draft, Granted, Hello, PROOF_HEADER, Parties, SessionError, Unknown,
    },
    subject::RpcSubject,
};
use sessions::{Environment, Member, OutMessage};
use tokio::sync::watch;

use crate::{environment::Process, lattice::Lattice};

/// The group of its tasks.
const GROUP: u64 = 2;
/// Longest wait for a word.
const WORD: Duration = Duration::from_secs(1);

/// A peer of one host.
pub struct Peer {
    process: Process,
    own: Member,
    to: HostId,
    lattice: Lattice,
}

impl Peer {
    /// A peer of the host with this index, with the cluster key of the first.
    pub fn new(lattice: &Lattice, to: usize) -> Self {
        let process = Process {
            executor: lattice.executor.clone(),
            network: lattice.network.clone(),
            group: GROUP,
            connected: watch::channel(true).1,
            ahead: 0,
        };
        lattice.network.connect(GROUP);
        let own = Member { host: lattice.stranger(), ..lattice.member(0) };
        Self { process, own, to: lattice.member(to).host, lattice: lattice.clone() }
    }

    /// Makes a handshake.
    pub async fn session(&self) -> Granted {
        let Member { lattice, host, cluster, cluster_id, trusted } = &self.own;
        let parties = Parties { lattice: lattice.clone(), from: *host, to: self.to, cluster: *cluster_id };
        let (question, asked) = Hello::ask(parties, 600, cluster, self.process.unix_now());
        let mut headers = async_nats::HeaderMap::new();
        let proof = Acquaintances::new(cluster, *cluster_id, trusted).prove(&question).expect("few keys");
        headers.insert(PROOF_HEADER, proof);
        let subject = RpcSubject::Session(self.to).render(lattice);
        let answer = self.process.ask(subject, headers, question.into(), WORD).await.expect("it answers");
        asked.granted(&answer, trusted).expect("it grants")
    }

    /// A batch of one call, which has the number of the batch.
    pub fn batch(&self, session: &Granted, number: u32, payload: &str) -> Bytes {
        let origin = self.lattice.announce(payload);
        let (trace, payload, target) = (BTreeMap::new(), Bytes::from(payload.to_owned()), self.lattice.callee());
        let call =
            CallParts { origin: &origin, target: &target, operation: "Test.Call", trace: &trace, payload: &payload };
        let mut draft = Draft::new(BatchKind::Calls, session.session);
        draft.add(|to| call.write(number, Duration::from_secs(5), to));
        draft.finish(number.into(), &session.keys.calls)
    }

    /// Sends a batch; the word that its session is not known, if there is one.
    pub async fn send(&self, session: &Granted, number: u32, batch: Bytes) -> Option<Result<Unknown, SessionError>> {
        let (reply, subject) = (self.process.new_inbox(), RpcSubject::Calls(self.to).render(&self.own.lattice));
        let mut words = self.process.subscribe(reply.clone()).await.expect("subscribed");
        let message = OutMessage { reply: Some(reply), ..OutMessage::new(subject, batch) };
        self.process.publish(message).await.expect("published");
        let word = self.process.timeout_at(self.process.now() + WORD, words.next()).await.flatten()?;
        let parties = (&self.own.lattice, &self.to);
        Some(Unknown::accept(&word.payload, parties, (session.session, number.into()), &self.own.trusted))
    }
}

/// Runs a task to its end and returns what it comes to.
pub fn run<T: Send + 'static>(lattice: &Lattice, task: impl Future<Output = T> + Send + 'static) -> T {
    let output = Arc::new(Mutex::new(None));
    let place = output.clone();
    lattice.executor.spawn(GROUP, async move {
        let came = task.await;
        *place.lock().expect("nobody panics with it") = Some(came);
    });
    lattice.executor.run_until(lattice.executor.elapsed() + Duration::from_secs(60));
    output.lock().expect("nobody panics with it").take().expect("a minute is enough")
}
