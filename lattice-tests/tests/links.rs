//! Links: values that cannot be used, ports that are taken, and what a deletion releases.

use std::net::{SocketAddr, TcpListener};

use claims::{ActorId, ProviderId};
use lattice_tests::{Actor, Signer, SingleHost, eventually, free_address, get, http_link};

struct Linked {
    host: SingleHost,
    actor: ActorId,
    provider: ProviderId,
    _signer: Signer,
}

async fn provider_and_actor() -> Linked {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let provider = host.operator.start_provider(&host.id, "builtin://httpserver").await.expect("the provider starts");
    let actor = host.operator.start_actor(&host.id, &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    Linked { host, actor, provider, _signer: signer }
}

impl Linked {
    async fn link(&self, values: &[(&str, &str)]) -> Result<(), String> {
        self.host.operator.link(&self.actor, &self.provider, values).await
    }
}

async fn becomes_free(address: SocketAddr) {
    eventually(&format!("{address} is free"), || {
        std::future::ready(TcpListener::bind(address).map(drop).map_err(|error| error.to_string()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_used_is_refused_by_its_key() {
    let linked = provider_and_actor().await;
    for (key, value) in [("address", "nowhere"), ("port", "99999"), ("port", "http"), ("config_json", "{")] {
        let reason = linked.link(&[(key, value)]).await.expect_err("it cannot be used");
        assert!(reason.contains(key), "`{reason}` should name `{key}` for `{value}`");
        let stored = linked.host.operator.control.links().await.expect("links").links;
        assert_eq!(stored.len(), 1, "values are the provider's business: the link is stored all the same");
        linked.host.operator.unlink(&linked.actor).await.expect("the refused link can be removed");
    }
    let address = free_address();
    linked.link(&[("address", &address.to_string())]).await.expect("a right value works afterwards");
    get(address, "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_reaches_the_operator_and_is_served_once_it_is_free() {
    let linked = provider_and_actor().await;
    let address = free_address();
    let taken = TcpListener::bind(address).expect("it is free");
    let reason = linked.link(&[("address", &address.to_string())]).await.expect_err("somebody else listens there");
    assert!(reason.contains(&address.to_string()), "`{reason}` should name the address");

    drop(taken);
    assert!(get(address, "/late").await.contains("/late"), "tried again without being asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_link_releases_its_port() {
    let linked = provider_and_actor().await;
    let address = free_address();
    linked.link(&[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/").await;
    linked.host.operator.unlink(&linked.actor).await.expect("the link is deleted");
    becomes_free(address).await;
    assert!(linked.host.operator.control.links().await.expect("links").links.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_the_provider_releases_its_ports() {
    let linked = provider_and_actor().await;
    let address = free_address();
    linked.link(&[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/").await;
    linked.host.operator.stop_provider(&linked.host.id, &linked.provider).await.expect("it stops");
    becomes_free(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_put_before_its_provider_and_actor_is_served_when_they_come() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let (echo, address) = (signer.actor(Actor::Echo), free_address());
    let provider = ProviderId::well_known("httpserver");
    let link = http_link(&echo.id, &provider, &[("address", &address.to_string())]);
    host.operator.control.put_link(&link).await.expect("a link may come first");

    let started = host.operator.start_provider(&host.id, "builtin://httpserver").await.expect("the provider starts");
    assert_eq!(started, provider, "compiled-in providers have one id everywhere");
    host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    assert!(get(address, "/").await.contains("GET"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_actors_share_the_provider_with_an_address_each() {
    let linked = provider_and_actor().await;
    let signer = Signer::default();
    let hello = signer.actor(Actor::Hello);
    let operator = &linked.host.operator;
    let second = operator.start_actor(&linked.host.id, &hello.reference()).await.expect("the component starts");
    let (first_address, second_address) = (free_address(), free_address());
    linked.link(&[("address", &first_address.to_string())]).await.expect("the first link");
    operator.link(&second, &linked.provider, &[("address", &second_address.to_string())]).await.expect("the second");
    assert!(get(first_address, "/one").await.contains(r#""path":"/one""#));
    assert!(get(second_address, "/two").await.contains("/two"));
}
