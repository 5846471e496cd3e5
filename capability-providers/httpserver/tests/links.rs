//! What links do: who is served where, what is refused, and what is released.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::TcpListener;

use http::{Method, header};
use provider_sdk::{LinkRefused, ProviderCall, contracts::TraceContext};
use support::*;

/// Who answers, by number.
async fn served_by(address: std::net::SocketAddr, host: &str, path: &str) -> Result<u8, u16> {
    let mut request = request(Method::GET, address, path);
    request.headers_mut().insert(header::HOST, host.parse().unwrap());
    let answer = send(address, request).await;
    match answer.status {
        200 => Ok((1..9).find(|number| answer.body.starts_with(&format!("actor {}\n", actor(*number)))).unwrap()),
        status => Err(status),
    }
}

fn reason(refused: Result<(), LinkRefused>) -> String {
    match refused {
        Err(LinkRefused::Unavailable { reason }) => reason,
        other => panic!("{other:?} is not the refusal of a link that may be served later"),
    }
}

#[tokio::test]
async fn the_same_link_put_twice_changes_nothing() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let mut client = Client::connect(address).await;
    client.send(request(Method::GET, address, "/")).await;
    world.put(1, address, &[]).await.unwrap();
    assert_eq!(client.send(request(Method::GET, address, "/")).await.status, 200, "the connection lives on");
}

#[tokio::test]
async fn changed_values_take_effect_on_open_connections() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.send(request(Method::POST, address, "/")).await.status, 200);
    world.put(1, address, &[("readonly_mode", "true")]).await.unwrap();
    assert_eq!(client.send(request(Method::POST, address, "/")).await.status, 405);
}

#[tokio::test]
async fn a_link_that_moves_releases_its_old_address() {
    let world = World::new();
    let old = world.linked(1, &[]).await;
    let new = free_address();
    world.put(1, new, &[]).await.unwrap();
    assert_eq!(get(new, "/").await.status, 200);
    TcpListener::bind(old).expect("the old port is free");
}

#[tokio::test]
async fn a_port_in_use_is_refused_with_address_and_reason_and_can_be_tried_again() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let reason = reason(world.put(1, address, &[]).await);
    assert!(reason.starts_with(&format!("cannot listen on `{address}`: Address already in use")), "{reason}");
    drop(taken);
    world.put(1, address, &[]).await.unwrap();
    assert_eq!(get(address, "/").await.status, 200);
}

#[tokio::test]
async fn a_refused_change_leaves_the_old_link_serving() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    reason(world.put(1, taken.local_addr().unwrap(), &[]).await);
    let other = world.linked(2, &[]).await;
    reason(world.put(1, other, &[]).await);
    let malformed = world.put(1, address, &[("timeout_ms", "soon")]).await;
    assert!(matches!(malformed, Err(LinkRefused::Values(error)) if error.key == "timeout_ms"));
    assert_eq!(served_by(address, "a", "/").await, Ok(1));
    assert_eq!(served_by(other, "a", "/").await, Ok(2));
}

#[tokio::test]
async fn two_actors_on_one_address_must_differ_in_host_or_path() {
    let world = World::new();
    let address = world.linked(1, &[("path", "/api")]).await;
    let reason = reason(world.put(2, address, &[("path", "/api/")]).await);
    assert_eq!(
        reason,
        format!(
            "`{address}` serves actor `{}` already; give one of them a `host` or `path` of its own, or another address",
            actor(1)
        )
    );
    world.put(2, address, &[("path", "/api"), ("host", "example.org")]).await.unwrap();
    world.put(3, address, &[]).await.unwrap();
}

#[tokio::test]
async fn host_goes_before_any_host_and_the_longest_path_wins() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    world.put(2, address, &[("path", "/api")]).await.unwrap();
    world.put(3, address, &[("path", "/api/v2")]).await.unwrap();
    world.put(4, address, &[("host", "example.org")]).await.unwrap();
    world.put(5, address, &[("host", "other.org"), ("path", "/only")]).await.unwrap();
    for (host, path, number) in [
        ("a", "/", 1),
        ("a", "/apis", 1),
        ("a", "/api", 2),
        ("a", "/api/v1?x=/api/v2", 2),
        ("a", "/api/v2/", 3),
        ("EXAMPLE.org:8080", "/api/v2", 4),
        ("other.org", "/only/this", 5),
        ("other.org", "/api", 2),
        ("[::1]:80", "/", 1),
    ] {
        assert_eq!(served_by(address, host, path).await, Ok(number), "{host} {path}");
    }
}

#[tokio::test]
async fn nobody_linked_for_a_path_is_not_found() {
    let world = World::new();
    let address = world.linked(1, &[("path", "/api")]).await;
    assert_eq!(served_by(address, "a", "/").await, Err(404));
    let answer = get(address, "/other").await;
    assert_eq!(answer.body, "not_linked: no actor is linked for `/other`\n");
}

#[tokio::test]
async fn a_deleted_link_releases_its_port_and_its_idle_connections() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let mut idle = Client::connect(address).await;
    idle.send(request(Method::GET, address, "/")).await;
    soon(world.provider.delete_link(&actor(1))).await;
    TcpListener::bind(address).expect("the port is free");
    assert!(idle.try_send(request(Method::GET, address, "/")).await.is_err());
}

#[tokio::test]
async fn a_deleted_link_leaves_the_others_on_its_address() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    world.put(2, address, &[("path", "/two")]).await.unwrap();
    soon(world.provider.delete_link(&actor(1))).await;
    soon(world.provider.delete_link(&actor(7))).await;
    assert_eq!(served_by(address, "a", "/").await, Err(404));
    assert_eq!(served_by(address, "a", "/two").await, Ok(2));
}

#[tokio::test]
async fn a_running_request_ends_before_its_link_is_gone() {
    let world = World::with_config(Some(r#"{"drain_ms":60000,"timeout_ms":60000}"#));
    let address = world.linked(1, &[]).await;
    let client = tokio::spawn(async move { get(address, "/gate").await });
    world.actors.running(1).await;
    let provider = world.provider.clone();
    let deleting = tokio::spawn(async move { provider.delete_link(&actor(1)).await });
    // While it runs, the port is free already and may be served anew.
    soon(async {
        while world.put(2, address, &[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(served_by(address, "a", "/").await, Ok(2));
    assert!(!deleting.is_finished());
    world.actors.gate.add_permits(1);
    assert_eq!(soon(client).await.unwrap().body, "through");
    soon(deleting).await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_a_deleted_link() {
    let world = World::with_config(Some(r#"{"drain_ms":20,"timeout_ms":60000}"#));
    let address = world.linked(1, &[]).await;
    let client = tokio::spawn(async move {
        Client::connect(address).await.try_send(request(Method::GET, address, "/hang")).await.map(|_| ())
    });
    world.actors.running(1).await;
    soon(world.provider.delete_link(&actor(1))).await;
    world.actors.running(0).await;
    assert!(soon(client).await.unwrap().is_err());
}

#[tokio::test]
async fn shutdown_releases_everything_also_connections_that_sent_nothing() {
    let world = World::new();
    let (one, two) = (world.linked(1, &[]).await, world.linked(2, &[]).await);
    let silent = tokio::spawn(async move { raw(one, b"").await });
    assert_eq!(get(one, "/").await.status, 200);
    soon(world.provider.shutdown()).await;
    for address in [one, two] {
        TcpListener::bind(address).expect("the port is free");
    }
    assert_eq!(soon(silent).await.unwrap(), "");
}

#[tokio::test]
async fn a_listener_is_healthy_and_takes_no_calls() {
    let world = World::new();
    world.linked(1, &[]).await;
    assert!(world.provider.health().await.healthy);
    let call = ProviderCall {
        actor: actor(1),
        operation: "HttpServer.Other".to_owned(),
        payload: bytes::Bytes::new(),
        deadline: std::time::Instant::now() + PATIENCE,
        trace: TraceContext::default(),
    };
    assert_eq!(world.provider.call(call).await.unwrap_err().code(), "unsupported");
}

#[tokio::test]
async fn a_wrong_configuration_stops_the_start() {
    let start = provider_sdk::Start {
        actors: std::sync::Arc::new(FakeActors::default()),
        link_name: "default".parse().unwrap(),
        config: Some(r#"{"max_connections":0}"#.to_owned()),
        data_dir: None,
    };
    let error = (provider_httpserver::BUILTIN.start)(start).err().unwrap();
    assert!(error.to_string().contains("`config_json.max_connections`: `0` is not between 1 and"), "{error}");
}
