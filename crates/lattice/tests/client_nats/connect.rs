//! Connecting, failing to connect, and coming back.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use claims::{KeyKind, KeyPair};
use lattice::client::{ConnectionEvent, NatsOptions, connect, connect_observed};
use tokio::sync::mpsc;

use crate::{
    server::{NatsServer, PATIENCE, free_port},
    world::in_effect,
};

fn options(url: String) -> NatsOptions {
    NatsOptions { urls: vec![url], ..NatsOptions::default() }
}

#[tokio::test]
async fn without_retry_a_closed_port_is_an_error_that_names_it() {
    let url = format!("nats://127.0.0.1:{}", free_port());
    let error = connect(&options(url.clone())).await.unwrap_err();
    assert_eq!(error.code(), "nats_unreachable");
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn without_retry_a_silent_server_costs_no_more_than_the_timeout() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = silent.local_addr().unwrap().to_string();
    let timeout = Duration::from_millis(200);
    let started = Instant::now();
    let error = connect(&NatsOptions { connect_timeout: timeout, ..options(url.clone()) }).await.unwrap_err();
    assert_eq!(error.code(), "nats_timed_out");
    assert!(error.to_string().contains(&url), "{error}");
    assert!(started.elapsed() >= timeout && started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn settings_that_cannot_work_are_errors_also_with_retry() {
    let options = NatsOptions { retry: true, ..NatsOptions::default() };
    let actor_seed = KeyPair::generate(KeyKind::Module).seed().expose().to_owned();
    let creds_file = Some(PathBuf::from("/nowhere/user.creds"));
    for (options, code) in [
        (NatsOptions { urls: vec![], ..options.clone() }, "nats_address_invalid"),
        (NatsOptions { urls: vec!["nats://a b".into()], ..options.clone() }, "nats_address_invalid"),
        (NatsOptions { jwt: Some("x".into()), ..options.clone() }, "nats_seed_missing"),
        (NatsOptions { seed: Some("SU123".into()), ..options.clone() }, "nats_seed_invalid"),
        (NatsOptions { seed: Some(actor_seed), ..options.clone() }, "nats_seed_invalid"),
        (NatsOptions { creds_file, ..options.clone() }, "nats_credentials_unreadable"),
    ] {
        assert_eq!(connect(&options).await.unwrap_err().code(), code, "{options:?}");
    }
}

#[tokio::test]
async fn credentials_that_the_server_refuses_are_told_apart_from_an_absent_server() {
    let Some(server) = NatsServer::start_with(0, &["--user", "a", "--pass", "b@c"]).await else { return };
    let error = connect(&server.options()).await.unwrap_err();
    assert_eq!(error.code(), "nats_denied");
    let url = format!("nats://a:b%40c@127.0.0.1:{}", server.port());
    connect(&options(url)).await.unwrap();
}

#[tokio::test]
async fn a_user_seed_answers_the_challenge_of_the_server() {
    let user = KeyPair::generate(KeyKind::User);
    let config = format!("authorization: {{ users: [ {{ nkey: {} }} ] }}", user.public());
    let Some(server) = NatsServer::start_configured(&config).await else { return };
    let seed = Some(user.seed().expose().to_owned());
    connect(&NatsOptions { seed, ..server.options() }).await.unwrap();
    let other = Some(KeyPair::generate(KeyKind::User).seed().expose().to_owned());
    assert_eq!(connect(&NatsOptions { seed: other, ..server.options() }).await.unwrap_err().code(), "nats_denied");
}

#[tokio::test]
async fn with_retry_a_server_that_comes_later_is_found_and_one_that_restarts_is_found_again() {
    let port = free_port();
    let (tell, mut told) = mpsc::unbounded_channel();
    let settings = NatsOptions { retry: true, ..options(format!("127.0.0.1:{port}")) };
    let client = connect_observed(&settings, move |event| {
        if !matches!(event, ConnectionEvent::Trouble(_)) {
            tell.send(event).ok();
        }
    })
    .await
    .unwrap();
    let Some(mut server) = NatsServer::start_with(port, &[]).await else { return };
    let mut next = async || tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    assert_eq!(next().await, ConnectionEvent::Connected);
    in_effect(&client).await;
    server.kill();
    assert_eq!(next().await, ConnectionEvent::Disconnected);
    server.restart().await;
    assert_eq!(next().await, ConnectionEvent::Connected);
    in_effect(&client).await;
}
