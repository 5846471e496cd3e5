//! Connections to a server that is not there.

use std::time::Duration;

use bytes::Bytes;
use lattice::{client::NatsOptions, subject::RpcSubject};
use tokio_util::sync::CancellationToken;

use super::Broker;
use crate::testing::{World, actor};

/// A world whose server is away: the port is bound and never listened to.
fn away() -> (World, std::net::TcpListener) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address");
    let options = NatsOptions { urls: vec![format!("nats://{address}")], ..NatsOptions::default() };
    let world = World::with(|settings| settings.ctl = Some(options));
    (world, port)
}

async fn connected(world: &World) -> Option<Broker> {
    Broker::connect(&world.settings, "test", world.identity.host_id).await.expect("settings that may work")
}

#[tokio::test]
async fn a_host_that_uses_no_nats_has_no_connection() {
    assert!(connected(&World::new()).await.is_none());
}

#[tokio::test]
async fn nothing_waits_for_a_server_that_is_away() {
    let (world, port) = away();
    drop(port);
    let broker = connected(&world).await.expect("it goes on without the server");
    let subject = RpcSubject::Actor(actor(1));
    let asked =
        tokio::time::timeout(Duration::from_secs(1), broker.ask(&subject, Bytes::new(), Duration::from_secs(3600)));
    assert_eq!(asked.await.expect("at once"), None);
    let published = tokio::time::timeout(Duration::from_secs(1), broker.publish(&subject, Bytes::new()));
    published.await.expect("at once");
    assert_eq!(broker.ctl.reconnects(), 0);
    let leave = tokio::time::timeout(Duration::from_secs(1), broker.take_leave(Duration::from_secs(3600)));
    leave.await.expect("at once");
}

#[tokio::test]
async fn why_there_is_no_connection_is_found_out() {
    let (world, port) = away();
    drop(port);
    let broker = std::sync::Arc::new(connected(&world).await.expect("it goes on without the server"));
    let (stop, finding) = (CancellationToken::new(), broker.clone());
    let until = stop.clone();
    let task = tokio::spawn(async move { finding.find_troubles(until).await });
    let found = async {
        while broker.problem().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.expect("an attempt fails");
    let problem = broker.problem().expect("it was found");
    assert!(!problem.code.is_empty() && !problem.message.is_empty(), "{problem:?}");
    stop.cancel();
    task.await.expect("it ends when told to");
}
