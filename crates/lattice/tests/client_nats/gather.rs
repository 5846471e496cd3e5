//! Questions to everybody: when they end, and what they make of bad answers.

use std::time::{Duration, Instant};

use lattice::{
    control::{ActorBid, AuctionActor, RegistryCredential, RegistryCredentials, encode},
    subject::ControlSubject,
};
use serde_json::json;

use crate::{
    server::NatsServer,
    world::{answering_control, control, host_id, pingable},
};

/// A window that no test may use up.
const LONG: Duration = Duration::from_secs(60);
/// A window that a test uses up.
const SHORT: Duration = Duration::from_millis(300);

fn auction() -> AuctionActor {
    AuctionActor { actor_ref: "reg.test/echo:1".into(), constraints: [("zone".into(), "z1".into())].into() }
}

fn bid() -> ActorBid {
    auction().bid(host_id())
}

#[tokio::test]
async fn a_roll_call_ends_when_everybody_known_has_answered() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let [a, b, c] = [host_id(), host_id(), host_id()];
    pingable(&client, a, Some(vec![b])).await;
    pingable(&client, b, Some(vec![a, c])).await;
    pingable(&client, c, None).await;
    let started = Instant::now();
    let hosts = control(&client, LONG).hosts().await.unwrap();
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    assert!(hosts.complete);
    let mut ids: Vec<_> = hosts.replies.iter().map(|host| host.id).collect();
    let mut all = vec![a, b, c];
    ids.sort();
    all.sort();
    assert_eq!(ids, all);
}

#[tokio::test]
async fn a_roll_call_waits_for_a_host_that_was_named() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    pingable(&client, host_id(), Some(vec![host_id()])).await;
    let started = Instant::now();
    let hosts = control(&client, SHORT).hosts().await.unwrap();
    assert!(started.elapsed() >= SHORT);
    assert_eq!((hosts.replies.len(), hosts.complete), (1, false));
}

#[tokio::test]
async fn hosts_that_name_nobody_are_collected_for_the_whole_window() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    pingable(&client, host_id(), None).await;
    pingable(&client, host_id(), None).await;
    let hosts = control(&client, SHORT).hosts().await.unwrap();
    assert_eq!((hosts.replies.len(), hosts.complete), (2, false));
}

#[tokio::test]
async fn an_empty_lattice_is_told_at_once() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let started = Instant::now();
    let error = control(&client, LONG).hosts().await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("no_host", "no host in lattice `default` answered"));
    assert!(error.hint().is_some());
    assert!(started.elapsed() < LONG / 2);
}

#[tokio::test]
async fn hosts_that_listen_and_say_nothing_are_told_after_the_window() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    answering_control(&client, &ControlSubject::PingHosts, vec![]).await;
    let error = control(&client, SHORT).hosts().await.unwrap_err();
    assert_eq!(error.to_string(), "no host in lattice `default` answered within 300ms");
}

#[tokio::test]
async fn bad_answers_do_not_hide_a_good_one() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let bid = bid();
    let answers = [
        b"{not json".to_vec(),
        Vec::new(),
        b"[]".to_vec(),
        br#"{"accepted":false,"error":"no "quotes" escaped"}"#.to_vec(),
        json!({ "actor_ref": "reg.test/echo:1", "host_id": "", "constraints": {} }).to_string().into_bytes(),
        encode(&bid),
        encode(&bid),
    ];
    let asked = answering_control(&client, &ControlSubject::AuctionActor, answers.to_vec()).await;
    let bids = control(&client, SHORT).auction_actor(&auction()).await.unwrap();
    assert_eq!(bids.replies, [bid]);
    assert_eq!(bids.problems.len(), 5, "{:?}", bids.problems);
    assert!(bids.problems.contains(&r#"no "quotes" escaped"#.to_owned()), "{:?}", bids.problems);
    assert_eq!(asked.json(), [json!({ "actor_ref": "reg.test/echo:1", "constraints": { "zone": "z1" } })]);
}

#[tokio::test]
async fn the_first_bid_is_there_as_soon_as_it_is_made() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let bid = bid();
    answering_control(&client, &ControlSubject::AuctionActor, vec![b"x".to_vec(), encode(&bid)]).await;
    let started = Instant::now();
    assert_eq!(control(&client, LONG).first_actor_bid(&auction()).await.unwrap(), Some(bid));
    assert!(started.elapsed() < LONG / 2);
}

#[tokio::test]
async fn that_nobody_bids_is_an_answer() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    answering_control(&client, &ControlSubject::AuctionActor, vec![]).await;
    assert_eq!(control(&client, SHORT).first_actor_bid(&auction()).await.unwrap(), None);
}

#[tokio::test]
async fn registry_credentials_are_waited_for_until_each_host_has_taken_them() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let [a, b] = [host_id(), host_id()];
    pingable(&client, a, Some(vec![b])).await;
    pingable(&client, b, Some(vec![a])).await;
    let accepted = br#"{"accepted":true,"error":""}"#.to_vec();
    let credential = RegistryCredential { username: Some("u".into()), ..RegistryCredential::default() };
    let credentials = RegistryCredentials([("reg.test".to_owned(), credential)].into());
    let one = answering_control(&client, &ControlSubject::PutRegistries, vec![accepted.clone()]).await;
    let two = answering_control(&client, &ControlSubject::PutRegistries, vec![accepted]).await;
    let control = control(&client, LONG);
    control.put_registries(&credentials).await.unwrap();
    assert_eq!((one.json().len(), two.json().len()), (1, 1));
    assert_eq!(one.json(), [json!({ "reg.test": { "username": "u", "registryType": "oci" } })]);
}

#[tokio::test]
async fn a_host_that_refuses_registry_credentials_is_heard() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    pingable(&client, host_id(), Some(vec![])).await;
    let refused = br#"{"accepted":false,"error":"the file is full"}"#.to_vec();
    answering_control(&client, &ControlSubject::PutRegistries, vec![refused]).await;
    let error = control(&client, LONG).put_registries(&RegistryCredentials::default()).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("refused", "the file is full"));
}
