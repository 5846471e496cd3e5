//! One host without any NATS, commanded over its control socket: a complete small lattice.

use lattice_tests::{Actor, Signer, SingleHost, eventually, free_address, get, post, try_get};

const PROVIDER: &str = "builtin://httpserver";

#[tokio::test(flavor = "multi_thread")]
async fn sign_start_link_ask_scale_and_stop_work_without_nats() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let (operator, echo, address) = (&host.operator, signer.actor(Actor::Echo), free_address());
    let provider = operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    let actor = operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    assert!(get(address, "/alone").await.contains("/alone"));

    operator.scale(&host.id, &echo.reference(), 3).await.expect("it scales");
    let inventory = operator.inventory(&host.id).await;
    assert_eq!(inventory.actors[0].instances[0].max_instances, 3);
    assert_eq!(operator.control.links().await.expect("links").links.len(), 1);
    assert_eq!(operator.control.claims().await.expect("claims").len(), 2, "of the actor and of the provider");

    operator.stop_actor(&host.id, &actor).await.expect("it stops");
    assert!(operator.inventory(&host.id).await.actors.is_empty());
    let answer = try_get(address, "/gone").await.expect("the provider still answers");
    assert!(answer.status.is_server_error(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_host_takes_up_what_it_ran() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let (echo, address) = (signer.actor(Actor::Echo), free_address());
    let provider = host.operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    let actor = host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    host.operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/").await;

    let before = host.id;
    let host = host.restart().await;
    assert_eq!(host.id, before, "it is the same host");
    assert!(get(address, "/again").await.contains("/again"));
    eventually("the actor in the inventory", || async {
        let inventory = host.operator.inventory(&host.id).await;
        if inventory.actors.iter().any(|running| running.id == actor) { Ok(()) } else { Err(format!("{inventory:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stopped_before_a_restart_stays_stopped() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let (stopped, kept) = (signer.actor(Actor::Echo), signer.actor(Actor::Hello));
    for actor in [&stopped, &kept] {
        host.operator.start_actor(&host.id, &actor.reference()).await.expect("it starts");
    }
    host.operator.stop_actor(&host.id, &stopped.id).await.expect("it stops");

    let host = host.restart().await;
    eventually("the one that was kept", || async {
        let running: Vec<_> = host.operator.inventory(&host.id).await.actors.iter().map(|actor| actor.id).collect();
        if running == [kept.id] { Ok(()) } else { Err(format!("{running:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_to_zero_stops_the_actor() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let echo = signer.actor(Actor::Echo);
    host.operator.start_actor(&host.id, &echo.reference()).await.expect("it starts");
    host.operator.scale(&host.id, &echo.reference(), 0).await.expect("it scales to nothing");
    assert!(host.operator.inventory(&host.id).await.actors.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arena_bounds_nothing() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let (greet, address) = (signer.actor(Actor::Greet), free_address());
    let provider = host.operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    let actor = host.operator.start_actor(&host.id, &greet.reference()).await.expect("the actor starts");
    host.operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    assert_eq!(get(address, "/small").await, "hello from a module: /small\n");
    for bytes in [60 << 10, 64 << 10, 1 << 20] {
        let answer = post(address, "/large", vec![7; bytes]).await.expect("an answer");
        assert_eq!(answer.body, "hello from a module: /large\n", "{bytes} bytes");
    }
}
