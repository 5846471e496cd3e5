//! What the fault tests share: a lattice with something in it, and a way to say what was seen.
#![allow(dead_code)] // each test uses a part

use std::time::Duration;

use bytes::Bytes;
use claims::{ActorId, KeyKind, KeyPair, ProviderId};
use contracts::CallError;
use lattice::{Link, client::ControlError};
use lattice_tests::{
    Actor, Caller, HTTPSERVER, Load, Operator, RELAY, Signer, TestLattice, eventually, free_address, link, relay,
};

/// As long as an operator or a caller waits on a loaded machine before it is called a hang.
pub const LONG: Duration = Duration::from_secs(20);

/// One line of the table of faults; shown with `--nocapture`.
pub fn figure(fault: &str, text: &str) {
    eprintln!("FIGURE {fault}: {text}");
}

/// A key of an actor that does not exist.
pub fn any_actor() -> ActorId {
    KeyPair::generate(KeyKind::Module).public().try_into().expect("an actor key")
}

/// A link of an actor that nobody has seen, to the HTTP server.
pub fn any_link() -> Link {
    let values = [("address", free_address().to_string())];
    let values: Vec<(&str, &str)> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
    link(&any_actor(), &ProviderId::well_known("httpserver"), HTTPSERVER, &values)
}

/// Deletes a link.
pub async fn unlink(operator: &Operator, link: &Link) -> Result<(), ControlError> {
    operator.control.delete_link(&link.actor_id, &link.contract_id, &link.link_name).await
}

/// Puts a link over NATS, again as long as nobody answers: it may have gone to a host that does not hear. How often.
pub async fn put_until_taken(operator: &Operator, link: &Link) -> usize {
    let mut tries = 0;
    eventually("a host that takes the link", || {
        tries += 1;
        operator.control.put_link(link)
    })
    .await;
    tries
}

/// The links that a host knows.
pub async fn links_at(lattice: &TestLattice, name: &str) -> Vec<Link> {
    lattice.operator_at(name).control.links().await.expect("a host tells its links").links
}

/// An actor, on `a` unless said otherwise, that relays calls to one that runs on other hosts.
#[derive(Clone)]
pub struct Calls {
    relay: ActorId,
    /// Who is called.
    pub callee: ActorId,
    caller: Caller,
}

/// [`Calls`], with what must live as long.
pub struct Called {
    /// For calls.
    pub calls: Calls,
    _signer: Signer,
}

impl Called {
    /// Starts both.
    pub async fn start(lattice: &TestLattice, callees: &[&str]) -> Self {
        Self::between(lattice, "a", callees).await
    }

    /// The same with the relay on any host.
    pub async fn between(lattice: &TestLattice, from: &str, callees: &[&str]) -> Self {
        let (operator, signer) = (lattice.operator().await, Signer::default());
        let (caller, callee) = (signer.actor(Actor::Echo), signer.actor(Actor::Echo));
        operator.scale(&lattice.id(from), &caller.reference(), 100).await.expect("it starts");
        for name in callees {
            operator.scale(&lattice.id(name), &callee.reference(), 100).await.expect("it starts");
        }
        let calls = Calls { relay: caller.id, callee: callee.id, caller: lattice.caller(from) };
        Self { calls, _signer: signer }
    }
}

impl Calls {
    /// One call from `a` to another host and back; a wrong answer is a panic.
    pub async fn call(&self, payload: &[u8], within: Duration) -> Result<(), CallError> {
        let argument = relay(&self.callee, "Test.Echo", payload);
        let answer = self.caller.within(within).call(&self.relay, RELAY, argument).await?;
        assert!(answer == payload, "a wrong answer of {} bytes", answer.len());
        Ok(())
    }

    /// Four callers, each of which waits for a second at most.
    pub fn load(&self) -> Load {
        let calls = self.clone();
        Load::start(4, move || {
            let calls = calls.clone();
            async move { calls.call(&Bytes::from_static(b"load"), Duration::from_secs(1)).await }
        })
    }
}
