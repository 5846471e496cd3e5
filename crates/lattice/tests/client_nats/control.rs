//! Requests to one host, and events.

use std::time::{Duration, Instant};

use claims::{KeyKind, KeyPair, PublicKey};
use lattice::{
    Link,
    client::ControlError,
    control::{ScaleActor, StartProvider, StopActor, StopProvider, UpdateActor},
    event::{ConfigChanged, Event, EventData},
    subject::{self, ConfigKey, ControlSubject, HostCommand},
};
use serde_json::{Value, json};

use crate::{
    server::{NatsServer, PATIENCE},
    world::{actor_id, answering_control, answering_in_turn, control, host_id, lattice},
};

const TIMEOUT: Duration = Duration::from_secs(60);
const ACCEPTED: &[u8] = br#"{"accepted":true,"error":""}"#;

fn link() -> Link {
    Link {
        actor_id: actor_id(),
        provider_id: KeyPair::generate(KeyKind::Service).public().try_into().unwrap(),
        link_name: "default".parse().unwrap(),
        contract_id: "wasmcloud:keyvalue".parse().unwrap(),
        values: [("URL".to_owned(), "redis://x".to_owned())].into(),
    }
}

#[tokio::test]
async fn commands_reach_their_host_with_what_they_say() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let control = control(&client, TIMEOUT);
    let (host, link) = (host_id(), link());
    let (actor, provider) = (link.actor_id, link.provider_id);
    let notes = [("a".to_owned(), "1".to_owned())];
    let asked = async |command| {
        answering_control(&client, &ControlSubject::Command(host, command), vec![ACCEPTED.to_vec()]).await
    };

    let scaled = asked(HostCommand::ScaleActor).await;
    let request =
        ScaleActor { actor_ref: "r".into(), max_instances: 5, annotations: notes.into(), ..Default::default() };
    control.scale_actor(&host, &request).await.unwrap();
    assert_eq!(scaled.json(), [json!({ "actor_ref": "r", "count": 5, "annotations": { "a": "1" }, "host_id": host })]);

    let stopped = asked(HostCommand::StopActor).await;
    let request = StopActor { actor_id: actor, annotations: [].into(), host_id: String::new() };
    control.stop_actor(&host, &request).await.unwrap();
    assert_eq!(stopped.json(), [json!({ "actor_ref": actor, "host_id": host })]);

    let updated = asked(HostCommand::UpdateActor).await;
    let request =
        UpdateActor { actor_id: actor, new_actor_ref: "r2".into(), annotations: [].into(), host_id: String::new() };
    control.update_actor(&host, &request).await.unwrap();
    assert_eq!(updated.json(), [json!({ "actor_id": actor, "new_actor_ref": "r2", "host_id": host })]);

    let started = asked(HostCommand::StartProvider).await;
    let request = StartProvider { provider_ref: "p".into(), configuration: Some("{}".into()), ..Default::default() };
    control.start_provider(&host, &request).await.unwrap();
    let wanted = json!({ "provider_ref": "p", "link_name": "default", "configuration": "{}", "host_id": host });
    assert_eq!(started.json(), [wanted]);

    let ended = asked(HostCommand::StopProvider).await;
    let request = StopProvider {
        provider_id: provider,
        contract_id: Some(link.contract_id.clone()),
        link_name: link.link_name.clone(),
        annotations: [].into(),
        host_id: String::new(),
    };
    control.stop_provider(&host, &request).await.unwrap();
    let wanted = json!({ "provider_ref": provider, "contract_id": "wasmcloud:keyvalue", "link_name": "default", "host_id": host });
    assert_eq!(ended.json(), [wanted]);

    let gone = asked(HostCommand::StopHost).await;
    control.stop_host(&host, Some(500)).await.unwrap();
    assert_eq!(gone.json(), [json!({ "host_id": host, "timeout": 500 })]);
}

#[tokio::test]
async fn links_and_labels_reach_whoever_keeps_them() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let control = control(&client, TIMEOUT);
    let (host, link) = (host_id(), link());

    let put = answering_control(&client, &ControlSubject::PutLink, vec![ACCEPTED.to_vec()]).await;
    control.put_link(&link).await.unwrap();
    assert_eq!(put.payloads(), [link.to_json()]);

    let deleted = answering_control(&client, &ControlSubject::DeleteLink, vec![ACCEPTED.to_vec()]).await;
    control.delete_link(&link.actor_id, &link.contract_id, &link.link_name).await.unwrap();
    let wanted = json!({ "actor_id": link.actor_id, "contract_id": "wasmcloud:keyvalue", "link_name": "default" });
    assert_eq!(deleted.json(), [wanted]);

    let links = json!({ "links": [serde_json::to_value(&link).unwrap(), { "actor_id": "broken" }] });
    answering_control(&client, &ControlSubject::GetLinks, vec![links.to_string().into_bytes()]).await;
    let links = control.links().await.unwrap();
    assert_eq!((links.links, links.unreadable.len()), (vec![link], 1));

    let labeled = answering_control(&client, &ControlSubject::PutLabel(host), vec![ACCEPTED.to_vec()]).await;
    control.put_label(&host, "zone", "z1").await.unwrap();
    assert_eq!(labeled.json(), [json!({ "key": "zone", "value": "z1" })]);

    let unlabeled = answering_control(&client, &ControlSubject::DeleteLabel(host), vec![ACCEPTED.to_vec()]).await;
    control.delete_label(&host, "zone").await.unwrap();
    assert_eq!(unlabeled.json(), [json!({ "key": "zone", "value": "" })]);
}

#[tokio::test]
async fn configuration_travels_as_bytes_and_comes_back_as_numbers() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let control = control(&client, TIMEOUT);
    let entity = PublicKey::from(actor_id());
    let key = ConfigKey { entity: entity.to_string(), key: "k".into() };

    let put = answering_control(&client, &ControlSubject::PutConfig(key.clone()), vec![ACCEPTED.to_vec()]).await;
    control.put_config(&entity, "k", b"\x00hello").await.unwrap();
    assert_eq!(put.payloads(), ["\0hello"]);

    let value = br#"{"found":true,"data":[0,104]}"#.to_vec();
    answering_control(&client, &ControlSubject::GetConfig(key), vec![value]).await;
    assert_eq!(control.config(&entity, "k").await.unwrap().as_deref(), Some(&b"\0h"[..]));

    answering_control(&client, &ControlSubject::GetAllConfig(entity.to_string()), vec![Vec::new()]).await;
    assert!(control.all_config(&entity).await.unwrap().0.is_empty());

    let error = control.put_config(&entity, "a.b", b"").await.unwrap_err();
    assert_eq!(error.code(), "invalid_request");
}

#[tokio::test]
async fn revocation_lists_travel_as_tokens_and_come_back_page_by_page() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let control = control(&client, TIMEOUT);

    let put = answering_control(&client, &ControlSubject::PutRevocations, vec![ACCEPTED.to_vec()]).await;
    control.put_revocations("a.b.c").await.unwrap();
    assert_eq!(put.json(), [json!({ "token": "a.b.c" })]);

    let list = |number| json!({ "signer": "C", "number": number, "token": "t" });
    let pages = [json!({ "lists": [list(1), list(2)], "more": "2" }), json!({ "lists": [list(3)] })];
    let asked = answering_in_turn(&client, &ControlSubject::GetRevocations, pages).await;
    let lists = control.revocations().await.unwrap();
    assert_eq!(lists.iter().map(|list| list.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(asked.json(), [json!({}), json!({ "after": "2" })]);
}

#[tokio::test]
async fn the_words_of_a_host_that_refuses_are_passed_on_verbatim() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let host = host_id();
    let words = br#"{"accepted":false,"error":"`x` is not "y""}"#.to_vec();
    answering_control(&client, &ControlSubject::GetInventory(host), vec![words]).await;
    let error = control(&client, TIMEOUT).inventory(&host).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("refused", "`x` is not \"y\""));
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_that_names_the_question() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let control = control(&client, TIMEOUT);
    for answer in ["", "[]", "nonsense", "{}"] {
        let host = host_id();
        answering_control(&client, &ControlSubject::GetInventory(host), vec![answer.into()]).await;
        let error = control.inventory(&host).await.unwrap_err();
        assert_eq!(error.code(), "undecodable_reply", "{answer}");
        assert!(error.to_string().contains("`get inventory`"), "{error}");
    }
}

#[tokio::test]
async fn an_absent_host_is_told_at_once_and_a_silent_one_after_the_timeout() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let (absent, silent) = (host_id(), host_id());
    answering_control(&client, &ControlSubject::GetInventory(silent), vec![]).await;
    let started = Instant::now();
    let error = control(&client, TIMEOUT).inventory(&absent).await.unwrap_err();
    assert!(matches!(&error, ControlError::HostAbsent { host, .. } if *host == absent), "{error}");
    assert!(started.elapsed() < TIMEOUT / 2);
    let error = control(&client, Duration::from_millis(100)).inventory(&silent).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("timed_out", "no answer to `get inventory` within 100ms"));
}

#[tokio::test]
async fn without_a_server_every_request_fails_at_once() {
    let Some(mut server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let control = control(&client, TIMEOUT);
    server.kill();
    crate::server::eventually("the client to notice", async || {
        (client.connection_state() != async_nats::connection::State::Connected).then_some(())
    })
    .await;
    let started = Instant::now();
    assert_eq!(control.claims().await.unwrap_err().code(), "disconnected");
    assert_eq!(control.hosts().await.unwrap_err().code(), "disconnected");
    assert_eq!(control.events().await.err().unwrap().code(), "disconnected");
    assert!(started.elapsed() < TIMEOUT / 2);
}

#[tokio::test]
async fn events_are_typed_and_what_is_no_event_is_skipped() {
    let Some(server) = NatsServer::start().await else { return };
    let (client, other) = (server.client().await, server.client().await);
    let mut events = control(&client, TIMEOUT).events().await.unwrap();
    let data = EventData::ConfigSet(ConfigChanged { entity_id: actor_id().to_string(), key: "k".into() });
    let event = Event::new(&host_id(), std::time::SystemTime::now(), data);
    // From another connection: only a subscription that is in effect gets it.
    let subject = subject::events(&lattice());
    for payload in [b"nonsense".to_vec(), Vec::new(), event.to_json()] {
        other.publish(subject.clone(), payload.into()).await.unwrap();
    }
    let got = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&got.to_json()).unwrap(),
        serde_json::from_slice::<Value>(&event.to_json()).unwrap()
    );
}
