//! The suite of the contract, on the trait as a host that embeds the provider uses it.

mod support;

use std::sync::Arc;

use provider_sdk::conformance::keyvalue;

use crate::support::Embedded;

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_conforms() {
    let Some(world) = Embedded::start() else { return };
    keyvalue::run(Arc::new(world)).await;
}
