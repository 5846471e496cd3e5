//! The main job: sign, start a provider, start an actor elsewhere by a constraint, link, ask over HTTP.

use lattice_tests::{Actor, Signer, TestLattice, free_address, get, post};

const PROVIDER: &str = "builtin://httpserver";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_host_a_is_answered_on_b_and_once_a_runs_the_actor_by_a_itself() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let (a, b) = (lattice.id("a"), lattice.id("b"));
    let echo = signer.actor(Actor::Echo);

    let provider = operator.start_provider(&a, PROVIDER).await.expect("a compiled-in provider starts");
    assert_eq!(operator.bidders(&echo.reference(), &[("host", "b")]).await.expect("hosts"), [b]);
    let actor = operator.start_actor(&b, &echo.reference()).await.expect("a signed actor starts");
    assert_eq!(actor, echo.id);
    let address = free_address();
    operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the provider takes the link");

    assert!(operator.inventory(&a).await.actors.is_empty(), "only B can answer");
    let answer = get(address, "/some/path?x=1").await;
    assert!(answer.contains(r#""path":"/some/path""#) && answer.contains(r#""query":"x=1""#), "{answer}");

    operator.start_actor(&a, &echo.reference()).await.expect("it starts on A too");
    lattice.cut("a");
    assert!(get(address, "/in-process").await.contains("/in-process"), "A answers although it reaches nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_answers_from_another_host_and_in_process_with_the_body_streamed_back() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let hello = signer.actor(Actor::Hello);
    let provider = operator.start_provider(&lattice.id("a"), PROVIDER).await.expect("the provider starts");
    let address = free_address();

    for host in ["b", "a"] {
        let actor = operator.start_actor(&lattice.id(host), &hello.reference()).await.expect("the component starts");
        if host == "b" {
            operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
        }
        assert!(get(address, "/greeting").await.contains("/greeting"), "on {host}");
        let body = "x".repeat(100_000);
        let answer = post(address, "/", body.clone()).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, body.len()), "on {host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_above_the_chunking_threshold_travel_between_hosts_both_ways() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let hello = signer.actor(Actor::Hello);
    let provider = operator.start_provider(&lattice.id("a"), PROVIDER).await.expect("the provider starts");
    let actor = operator.start_actor(&lattice.id("b"), &hello.reference()).await.expect("the component starts");
    let address = free_address();
    operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/").await;

    let body = "0123456789".repeat(300_000); // 3 MB: above what a NATS message may hold
    let answer = post(address, "/", body.clone()).await.expect("an answer");
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    assert!(answer.body == body, "the body came back changed, {} of {} bytes", answer.body.len(), body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_and_an_endless_loop_are_errors_of_one_request_and_nothing_more() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let a = lattice.id("a");
    let provider = operator.start_provider(&a, PROVIDER).await.expect("the provider starts");
    let actor = operator.start_actor(&a, &signer.actor(Actor::Hello).reference()).await.expect("the component starts");
    let address = free_address();
    let values = [("address", &*address.to_string()), ("timeout_ms", "2000")];
    operator.link(&actor, &provider, &values).await.expect("the link is taken");
    get(address, "/").await;

    for path in ["/trap", "/spin"] {
        let answer = lattice_tests::try_get(address, path).await.expect("an answer, not a hang");
        assert!(answer.status.is_server_error(), "{path}: {answer:?}");
        assert!(get(address, "/after").await.contains("/after"));
    }
}
