//! NATS goes away, comes back, comes back empty; what must go on goes on, and everything is whole afterwards.

use std::net::SocketAddr;

use claims::ActorId;
use lattice_tests::{Actor, NatsServer, Signer, TestLattice, eventually, free_address, get, try_get};

const PROVIDER: &str = "builtin://httpserver";

/// A provider on `a`, an actor on `b`, a link between them.
struct Spread {
    lattice: TestLattice,
    actor: ActorId,
    address: SocketAddr,
    signer: Signer,
}

async fn spread() -> Option<Spread> {
    let lattice = TestLattice::start(["a", "b"]).await?;
    let (operator, signer, address) = (lattice.operator().await, Signer::default(), free_address());
    let provider = operator.start_provider(&lattice.id("a"), PROVIDER).await.expect("the provider starts");
    let echo = signer.actor(Actor::Echo);
    let actor = operator.start_actor(&lattice.id("b"), &echo.reference()).await.expect("the actor starts");
    let values = [("address", &*address.to_string()), ("timeout_ms", "2000")];
    operator.link(&actor, &provider, &values).await.expect("the link is taken");
    get(address, "/before").await;
    Some(Spread { lattice, actor, address, signer })
}

impl Spread {
    /// While NATS is away: a request that needs it ends with an error, and a host still obeys at its socket.
    async fn is_usable_without_nats(&self) {
        let answer = try_get(self.address, "/away").await.expect("an answer, not a hang");
        assert!(answer.status.is_server_error(), "{answer:?}");
        let inventory = self.lattice.operator_at("b").inventory(&self.lattice.id("b")).await;
        assert_eq!(inventory.actors[0].id, self.actor);
    }

    /// After NATS is back: everybody answers, links and claims are known, calls travel.
    async fn is_whole(&self) {
        self.lattice.assemble().await;
        assert!(get(self.address, "/back").await.contains("/back"));
        let operator = self.lattice.operator().await;
        eventually("the link and the claims", || async {
            let links = operator.control.links().await.map_err(|error| error.to_string())?.links;
            let claims = operator.control.claims().await.map_err(|error| error.to_string())?;
            if links.len() == 1 && links[0].actor_id == self.actor && claims.len() == 2 {
                Ok(())
            } else {
                Err(format!("{links:?}, {} claims", claims.len()))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_starts_without_nats_serves_and_joins_when_it_comes() {
    let Some(nats) = NatsServer::prepare() else { return };
    let mut lattice = TestLattice::empty(nats);
    lattice.add_host("a").await;
    let (local, a, signer, address) = (lattice.operator_at("a"), lattice.id("a"), Signer::default(), free_address());
    let provider = local.start_provider(&a, PROVIDER).await.expect("the provider starts");
    let actor = local.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("the actor starts");
    local.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/alone").await;

    lattice.nats.start_again().await;
    lattice.assemble().await;
    lattice.add_host("b").await;
    lattice.assemble().await;
    eventually("the link on a host that was not there when it was put", || async {
        let links = lattice.operator_at("b").control.links().await.map_err(|error| error.to_string())?.links;
        if links.iter().any(|link| link.actor_id == actor) { Ok(()) } else { Err(format!("{links:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_stopped_and_started_again() {
    let Some(mut spread) = spread().await else { return };
    spread.lattice.nats.stop().await;
    spread.is_usable_without_nats().await;
    spread.lattice.nats.start_again().await;
    spread.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_and_started_again() {
    let Some(mut spread) = spread().await else { return };
    spread.lattice.nats.kill().await;
    spread.is_usable_without_nats().await;
    spread.lattice.nats.start_again().await;
    spread.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_back_with_an_empty_store_gets_its_state_from_the_hosts() {
    let Some(mut spread) = spread().await else { return };
    spread.lattice.nats.kill().await;
    spread.lattice.nats.wipe();
    spread.lattice.nats.start_again().await;
    spread.is_whole().await;
    // A host that comes only now knows nothing but what JetStream tells it.
    spread.lattice.add_host("late").await;
    eventually("the link on a new host", || async {
        let links = spread.lattice.operator_at("late").control.links().await.map_err(|error| error.to_string())?.links;
        if links.len() == 1 { Ok(()) } else { Err(format!("{links:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_on_both_sides_of_a_cut_is_known_on_both_after_it_heals() {
    let Some(spread) = spread().await else { return };
    let (lattice, signer) = (&spread.lattice, &spread.signer);
    let provider = claims::ProviderId::well_known("httpserver");
    lattice.cut("b");
    let mut expected = vec![spread.actor];
    for (host, actor) in [("a", signer.actor(Actor::Echo).id), ("b", signer.actor(Actor::Hello).id)] {
        let link = lattice_tests::http_link(&actor, &provider, &[("address", &free_address().to_string())]);
        lattice.operator_at(host).control.put_link(&link).await.expect("each side takes links");
        expected.push(actor);
    }
    lattice.heal("b");
    expected.sort();
    for host in ["a", "b"] {
        eventually(&format!("all links on `{host}`"), || async {
            let links = lattice.operator_at(host).control.links().await.map_err(|error| error.to_string())?.links;
            let mut actors: Vec<_> = links.iter().map(|link| link.actor_id).collect();
            actors.sort();
            if actors == expected { Ok(()) } else { Err(format!("{actors:?}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_network_is_silent_does_not_keep_callers_waiting() {
    let Some(spread) = spread().await else { return };
    spread.lattice.silence("b");
    let started = std::time::Instant::now();
    let answer = try_get(spread.address, "/silent").await.expect("an answer, not a hang");
    assert!(answer.status.is_server_error(), "{answer:?}");
    assert!(started.elapsed().as_secs() < 8, "after {:?}", started.elapsed());
    spread.lattice.heal("b");
    spread.is_whole().await;
}
