//! What actors may use: set at start, bounded by the host, kept over a restart, and told when it is broken.

use std::net::SocketAddr;

use claims::ActorId;
use lattice::{
    control::ActorDescription,
    event::{ActorLimitExceeded, EventData},
};
use lattice_tests::{Actor, Signed, Signer, SingleHost, eventually, free_address, get, try_get};
use runtime::LimitSettings;

const PROVIDER: &str = "builtin://httpserver";

fn settings(texts: &[&str]) -> LimitSettings {
    let mut settings = LimitSettings::default();
    texts.iter().for_each(|text| settings.set(text).expect("a limit"));
    settings
}

async fn the_actor(host: &SingleHost) -> ActorDescription {
    eventually("one actor in the inventory", || async {
        let inventory = host.operator.inventory(&host.id).await;
        <[ActorDescription; 1]>::try_from(inventory.actors).map(|[actor]| actor).map_err(|all| format!("{all:?}"))
    })
    .await
}

/// An actor that answers HTTP on the host.
async fn serving(host: &SingleHost, signer: &Signer) -> (Signed<ActorId>, SocketAddr) {
    let (echo, address) = (signer.actor(Actor::Echo), free_address());
    let provider = host.operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    let actor = host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    host.operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/").await;
    (echo, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_sets_limits_within_those_of_the_host() {
    let most = settings(&["memory=64MiB", "cpu-time=1s"]);
    let (host, signer) = (SingleHost::start_with(|config| config.most = most).await, Signer::default());
    let echo = signer.actor(Actor::Echo).reference();
    let refused = host.operator.limit(&host.id, &echo, &[("memory", "65MiB")]).await.expect_err("too much");
    assert!(refused.contains("`memory` of 65MiB is more than the 64MiB this host allows"), "{refused}");
    let refused = host.operator.limit(&host.id, &echo, &[("memroy", "1MiB")]).await.expect_err("no such limit");
    assert!(refused.contains("unknown limit `memroy`"), "{refused}");
    assert!(host.operator.inventory(&host.id).await.actors.is_empty());

    host.operator.limit(&host.id, &echo, &[("memory", "16384KiB"), ("call-time", "90s")]).await.expect("it starts");
    let shown = the_actor(&host).await.limits;
    assert_eq!(shown, [("call-time", "90s"), ("memory", "16MiB")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_limits_take_effect_while_the_actor_runs_and_survive_a_restart() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let (echo, address) = serving(&host, &signer).await;

    host.operator.limit(&host.id, &echo.reference(), &[("response", "8")]).await.expect("it has other limits");
    let answer = try_get(address, "/").await.expect("the provider answers");
    assert!(answer.status.is_server_error(), "{answer:?}");
    host.operator.scale(&host.id, &echo.reference(), 3).await.expect("it scales");
    assert_eq!(the_actor(&host).await.limits.get("response").map(String::as_str), Some("8"), "a scale leaves them");

    let host = host.restart().await;
    assert_eq!(the_actor(&host).await.limits.get("response").map(String::as_str), Some("8"));
    host.operator.limit(&host.id, &echo.reference(), &[]).await.expect("it has the limits of the host again");
    get(address, "/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_limits_are_counted_and_told() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let (echo, address) = serving(&host, &signer).await;
    host.operator.limit(&host.id, &echo.reference(), &[("response", "8")]).await.expect("it has other limits");

    let mut events = host.operator.events().await;
    let calls = 3;
    for _ in 0..calls {
        try_get(address, "/").await.expect("the provider answers");
    }
    let mut told: Vec<ActorLimitExceeded> = Vec::new();
    let all = async {
        while told.iter().map(|event| event.count).sum::<u64>() < calls {
            let event = events.next().await.expect("the host tells");
            if let EventData::ActorLimitExceeded(data) = event.data {
                told.push(data);
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), all).await.expect("every breach is told");
    assert!(told.iter().all(|event| event.public_key == echo.id && event.limit == "response" && event.value == "8"));
    assert_eq!(the_actor(&host).await.limits_exceeded, [("response".to_owned(), calls)].into());
}
