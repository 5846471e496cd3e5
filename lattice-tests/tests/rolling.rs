//! A lattice that is renewed while it is used: every host restarted, one after the other, and the actor updated in
//! place, without a failed request.
//!
//! Half of the requests come over HTTP, through a balancer that asks the next server when one takes no connection, as
//! every balancer does; the others are signed calls of a client of the protocol, which the broker spreads.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use claims::{ActorId, ActorMetadata, ProviderId};
use lattice::{
    Link, LinkName,
    client::ControlClient,
    control::{StartProvider, UpdateActor},
    subject::ControlRoot,
};
use lattice_tests::{
    Actor, Caller, HTTPSERVER, Operator, Signed, Signer, TestLattice, binary, eventually, free_address, link, try_get,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

const HOSTS: [&str; 3] = ["a", "b", "c"];
/// Requests of each kind in a second.
const RATE: u32 = 100;

/// Three hosts as processes, each with an HTTP server as a process and the actor.
struct Rolling {
    lattice: TestLattice,
    operator: Operator,
    signer: Signer,
    actor: Signed<ActorId>,
    addresses: Vec<SocketAddr>,
}

impl Rolling {
    async fn start() -> Option<Self> {
        let lattice = TestLattice::start_processes(HOSTS).await?;
        let (operator, signer) = (lattice.operator().await, Signer::default());
        let actor = signer.actor(Actor::Echo);
        let mut addresses = Vec::new();
        for name in HOSTS {
            operator.scale(&lattice.id(name), &actor.reference(), 50).await.expect("it starts");
        }
        let program = std::fs::read(binary("wash-httpserver")).expect("a built provider");
        for name in HOSTS {
            let (provider, address) = (signer.provider(&program, HTTPSERVER), free_address());
            start_provider(&lattice, &operator, name, &provider).await;
            let values = [("address", &*address.to_string())];
            let link = Link { link_name: link_name(name), ..link(&actor.id, &provider.id, HTTPSERVER, &values) };
            operator.put(&link).await.expect("it is served");
            addresses.push(address);
        }
        Some(Self { lattice, operator, signer, actor, addresses })
    }

    /// Restarts a host and waits until it runs again what it ran, and its HTTP server answers.
    async fn restart(&mut self, position: usize) {
        let name = HOSTS[position];
        self.lattice.start_process_again(name).await;
        let (socket, id) = (self.lattice.operator_at(name), self.lattice.id(name));
        eventually(&format!("everything on host `{name}`"), || async {
            let inventory = socket.inventory(&id).await;
            if inventory.actors.len() == 1 && inventory.providers.len() == 1 {
                Ok(())
            } else {
                Err(format!("{inventory:?}"))
            }
        })
        .await;
        lattice_tests::get(self.addresses[position], "/back").await;
    }

    async fn update(&self, name: &str, new: &Signed<ActorId>) {
        let id = self.lattice.id(name);
        let command = UpdateActor {
            actor_id: self.actor.id,
            new_actor_ref: new.reference(),
            annotations: BTreeMap::new(),
            host_id: String::new(),
        };
        // Answered when the new one serves, which takes as long as compiling it.
        let root = ControlRoot::new(self.lattice.name().clone());
        let patient = ControlClient::nats(self.lattice.nats.client().await, root, Duration::from_secs(120));
        patient.update_actor(&id, &command).await.expect("updated");
        let runs = self.operator.inventory(&id).await.actors.remove(0).image_ref;
        assert_eq!(runs, Some(new.reference()), "on host `{name}`");
    }
}

fn link_name(host: &str) -> LinkName {
    host.parse().expect("a link name")
}

async fn start_provider(lattice: &TestLattice, operator: &Operator, name: &str, provider: &Signed<ProviderId>) {
    let command = StartProvider {
        provider_ref: provider.reference(),
        link_name: link_name(name),
        annotations: BTreeMap::new(),
        configuration: None,
        host_id: String::new(),
    };
    operator.control.start_provider(&lattice.id(name), &command).await.expect("accepted");
    eventually(&format!("the HTTP server of host `{name}`"), || async {
        let providers = operator.inventory(&lattice.id(name)).await.providers;
        if providers.iter().any(|running| running.id == provider.id) { Ok(()) } else { Err(format!("{providers:?}")) }
    })
    .await;
}

/// What became of the requests of one kind.
#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    failed: Vec<String>,
    slowest: Duration,
}

/// Asks at a constant rate, however long answers take, until it is told to stop.
async fn ask<F>(stop: CancellationToken, request: impl Fn(usize) -> F) -> Seen
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = JoinSet::new();
    for number in 0.. {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let (request, began) = (request(number), Instant::now());
        asked.spawn(async move { (request.await, began.elapsed()) });
    }
    let mut seen = Seen::default();
    for (outcome, took) in asked.join_all().await {
        seen.slowest = seen.slowest.max(took);
        match outcome {
            Ok(()) => seen.answered += 1,
            Err(error) => seen.failed.push(error),
        }
    }
    seen
}

/// A signed call to whoever the broker gives it.
async fn signed(caller: Caller, actor: ActorId, number: usize) -> Result<(), String> {
    let payload = number.to_string();
    let answer = caller.call(&actor, "Test.Echo", payload.clone().into()).await.map_err(|error| error.to_string())?;
    if answer == payload.as_bytes() { Ok(()) } else { Err(format!("a wrong answer: {answer:?}")) }
}

/// One request to the first server in turn that gives an answer.
async fn balanced(addresses: Arc<[SocketAddr]>, turn: usize) -> Result<(), String> {
    let mut last = String::new();
    for step in 0..addresses.len() {
        match try_get(addresses[(turn + step) % addresses.len()], "/rolling").await {
            Ok(answer) if answer.status.is_success() => return Ok(()),
            Ok(answer) => return Err(format!("{} {}", answer.status, answer.body)),
            Err(error) => last = error,
        }
    }
    Err(format!("nobody answers: {last}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_and_an_update_in_place_fail_no_request() {
    let Some(mut rolling) = Rolling::start().await else { return };
    let (stop, began) = (CancellationToken::new(), Instant::now());
    let (caller, actor) = (rolling.lattice.signed_caller().await.within(Duration::from_secs(5)), rolling.actor.id);
    let signed = tokio::spawn(ask(stop.clone(), move |number| signed(caller.clone(), actor, number)));
    let addresses: Arc<[SocketAddr]> = rolling.addresses.clone().into();
    let http = tokio::spawn(ask(stop.clone(), move |number| balanced(addresses.clone(), number)));

    for position in 0..HOSTS.len() {
        rolling.restart(position).await;
    }
    let restarted = began.elapsed();
    let new = rolling.signer.actor_with(Actor::Echo, |claims| {
        claims.subject = rolling.actor.id.to_string();
        claims.metadata = claims.metadata.take().map(|metadata| ActorMetadata { rev: Some(2), ..metadata });
    });
    for name in HOSTS {
        rolling.update(name, &new).await;
    }

    stop.cancel();
    let took = began.elapsed();
    for (kind, seen) in [("signed", signed), ("http", http)] {
        let Seen { answered, failed, slowest } = seen.await.expect("no panic");
        println!(
            "{kind}: {answered} answered in {took:?} (restarts {restarted:?}), slowest {slowest:?}, failed {failed:?}"
        );
        assert!(failed.is_empty(), "{kind}: {failed:?}");
        assert!(answered as f64 > took.as_secs_f64() * f64::from(RATE) * 0.9, "{kind}: {answered} in {took:?}");
    }
}
