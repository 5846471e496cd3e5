//! On a host.

use lattice_tests::{Actor, Signer, SingleHost, free_address, get};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_where_it_is_switched_on_serves_it() {
    let host = SingleHost::start_with(|config| config.runtime.wasi_p3 = true).await;
    let (operator, signer, address) = (&host.operator, Signer::default(), free_address());
    let provider = operator.start_provider(&host.id, "builtin://httpserver").await.expect("the provider starts");
    let reference = format!("file://{}", signer.actor(Actor::P3).path.display());
    let actor = operator.start_actor(&host.id, &reference).await.expect("the actor starts");
    operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    assert_eq!(get(address, "/x").await, "hello from a component of WASI 0.3: /x\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_it_does_not_start_and_the_refusal_names_the_setting() {
    let host = SingleHost::start_with(|config| config.runtime.wasi_p3 = false).await;
    let signer = Signer::default();
    let reference = format!("file://{}", signer.actor(Actor::P3).path.display());
    let error = host.operator.start_actor(&host.id, &reference).await.expect_err("refused");
    assert!(error.contains("`--wasi-p3`"), "{error}");
}
