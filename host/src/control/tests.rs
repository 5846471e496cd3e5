//! What is asked over the control interface, and what is answered, without any transport.

use std::sync::Arc;

use bytes::Bytes;
use claims::{HostId, KeyKind};
use lattice::subject::{ConfigKey, ControlSubject, HostCommand};
use serde_json::{Value, json};

use super::{
    Control,
    dispatch::{dispatch, is_for_us},
};
use crate::testing::{CONTRACT, FAKE, World, account, actor, key, link, provider};

async fn ask(control: &Arc<Control>, subject: &ControlSubject, body: Value) -> Option<Value> {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let reply = dispatch(control, &subject.render(&control.root), &body).await?;
    Some(serde_json::from_slice(&reply).expect("replies are JSON"))
}

async fn accepted(control: &Arc<Control>, subject: &ControlSubject, body: Value) -> bool {
    let reply = ask(control, subject, body).await.expect("a reply");
    reply["accepted"].as_bool().expect("an ack")
}

fn other_host() -> HostId {
    key(KeyKind::Server, 77).try_into().expect("a server key")
}

#[tokio::test]
async fn a_subject_without_a_handler_is_refused() {
    let control = World::new().upper().control;
    let reply = dispatch(&control, "wasmbus.ctl.default.no.such", &Bytes::new()).await.expect("a reply");
    let reply: Value = serde_json::from_slice(&reply).expect("JSON");
    assert_eq!(reply["accepted"].as_bool(), Some(false));
}

#[tokio::test]
async fn what_names_another_host_is_not_for_this_one_and_everything_else_is() {
    let world = World::new();
    let control = world.upper().control;
    for host in [other_host(), world.identity.host_id] {
        let own = host == world.identity.host_id;
        for subject in [
            ControlSubject::GetInventory(host),
            ControlSubject::AskWhy(host),
            ControlSubject::PutLabel(host),
            ControlSubject::DeleteLabel(host),
            ControlSubject::Command(host, HostCommand::StopHost),
        ] {
            assert_eq!(is_for_us(&control, &subject), own, "{subject:?}");
        }
    }
    for subject in [ControlSubject::PingHosts, ControlSubject::PutLink, ControlSubject::GetClaims] {
        assert!(is_for_us(&control, &subject), "{subject:?}");
    }
}

#[tokio::test]
async fn a_ping_and_an_inventory_say_who_answers() {
    let world = World::new();
    let control = world.upper().control;
    let ping = ask(&control, &ControlSubject::PingHosts, Value::Null).await.expect("a reply");
    assert_eq!(ping["id"].as_str(), Some(world.identity.host_id.as_str()));
    let inventory = ControlSubject::GetInventory(world.identity.host_id);
    let inventory = ask(&control, &inventory, Value::Null).await.expect("a reply");
    assert_eq!(inventory["host_id"].as_str(), Some(world.identity.host_id.as_str()));
}

#[tokio::test]
async fn a_link_is_put_listed_and_deleted() {
    let world = World::new();
    let control = world.upper().control;
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    let body = serde_json::to_value(link(actor(1), provider(1))).expect("JSON");
    assert!(accepted(&control, &ControlSubject::PutLink, body.clone()).await);
    let listed = ask(&control, &ControlSubject::GetLinks, Value::Null).await.expect("a reply");
    assert_eq!(listed["links"].as_array().map(Vec::len), Some(1));
    assert!(accepted(&control, &ControlSubject::DeleteLink, body.clone()).await);
    assert!(accepted(&control, &ControlSubject::DeleteLink, body).await, "an unknown one is fine");
    let listed = ask(&control, &ControlSubject::GetLinks, Value::Null).await.expect("a reply");
    assert_eq!(listed["links"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn a_link_that_can_have_no_effect_is_kept_told_and_remembered() {
    let world = World::new();
    let control = world.upper().control;
    world.know_actor(actor(1), account(1), &[]).await;
    let body = serde_json::to_value(link(actor(1), provider(1))).expect("JSON");
    assert!(accepted(&control, &ControlSubject::PutLink, body).await);
    assert_eq!(world.names_told(), ["linkdef_failed"]);
    let records = world.failures.about(Some(&actor(1)), |_| false);
    assert!(records.iter().any(|record| record.message.starts_with("not_granted")), "{records:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_every_operation_that_reads() {
    let world = World::new();
    let control = world.upper().control;
    let host = world.identity.host_id;
    let commands = HostCommand::ALL.map(|command| ControlSubject::Command(host, command));
    let others = [
        ControlSubject::PutLink,
        ControlSubject::DeleteLink,
        ControlSubject::PutRegistries,
        ControlSubject::PutRevocations,
        ControlSubject::PutOwner,
        ControlSubject::PutLabel(host),
        ControlSubject::DeleteLabel(host),
        ControlSubject::AuctionActor,
        ControlSubject::AuctionProvider,
        ControlSubject::AskWhy(host),
    ];
    for subject in commands.into_iter().chain(others) {
        let reply = dispatch(&control, &subject.render(&control.root), &Bytes::from_static(b"{junk")).await;
        let reply: Value = serde_json::from_slice(&reply.expect("a reply")).expect("JSON");
        assert_eq!(reply["accepted"].as_bool(), Some(false), "{subject:?}: {reply}");
    }
    assert!(!world.life.is_stopping());
}

#[tokio::test]
async fn configuration_is_put_read_and_cleared() {
    let control = World::new().upper().control;
    let entity = actor(1).to_string();
    let entry = |name: &str| ConfigKey { entity: entity.clone(), key: name.to_owned() };
    for name in ["a", "b"] {
        assert!(accepted(&control, &ControlSubject::PutConfig(entry(name)), json!("value")).await);
    }
    let read = ask(&control, &ControlSubject::GetConfig(entry("a")), Value::Null).await.expect("a reply");
    assert_eq!(read["found"].as_bool(), Some(true));
    let all = ask(&control, &ControlSubject::GetAllConfig(entity.clone()), Value::Null).await.expect("a reply");
    assert_eq!(all.as_object().map(serde_json::Map::len), Some(2));
    assert!(accepted(&control, &ControlSubject::DeleteConfig(entry("a")), Value::Null).await);
    assert!(accepted(&control, &ControlSubject::ClearConfig(entity.clone()), Value::Null).await);
    let all = ask(&control, &ControlSubject::GetAllConfig(entity), Value::Null).await.expect("a reply");
    assert_eq!(all.as_object().map(serde_json::Map::len), Some(0));
}

#[tokio::test]
async fn configuration_of_nothing_is_refused() {
    let control = World::new().upper().control;
    let entry = ConfigKey { entity: "nobody".to_owned(), key: "a".to_owned() };
    assert!(!accepted(&control, &ControlSubject::PutConfig(entry), json!("value")).await);
    assert!(!accepted(&control, &ControlSubject::ClearConfig("nobody".to_owned()), Value::Null).await);
}

#[tokio::test]
async fn a_label_is_put_and_deleted_and_needs_a_key() {
    let world = World::new();
    let control = world.upper().control;
    let host = world.identity.host_id;
    assert!(accepted(&control, &ControlSubject::PutLabel(host), json!({"key": "zone", "value": "a"})).await);
    assert_eq!(world.identity.labels.all().get("zone").map(String::as_str), Some("a"));
    assert!(!accepted(&control, &ControlSubject::PutLabel(host), json!({"key": "", "value": "a"})).await);
    assert!(accepted(&control, &ControlSubject::DeleteLabel(host), json!({"key": "zone"})).await);
    assert!(!world.identity.labels.all().contains_key("zone"));
}

#[tokio::test]
async fn claims_are_listed_by_subject() {
    let world = World::new();
    let control = world.upper().control;
    world.know_actor(actor(1), account(1), &[CONTRACT]).await;
    world.know_provider(provider(1), account(1)).await;
    let listed = ask(&control, &ControlSubject::GetClaims, Value::Null).await.expect("a reply");
    assert_eq!(listed["claims"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_provider_is_offered_where_it_is_compiled_in_and_the_labels_fit() {
    let world = World::with(|settings| {
        settings.labels.insert("zone".to_owned(), "a".to_owned());
    });
    let control = world.upper().control;
    let auction =
        |zone: &str| json!({"provider_ref": "builtin://fake", "link_name": "default", "constraints": {"zone": zone}});
    let offer = ask(&control, &ControlSubject::AuctionProvider, auction("a")).await.expect("an offer");
    assert_eq!(offer["host_id"].as_str(), Some(world.identity.host_id.as_str()));
    assert_eq!(ask(&control, &ControlSubject::AuctionProvider, auction("b")).await, None, "silence");
    let unknown = json!({"provider_ref": "builtin://other", "link_name": "default", "constraints": {}});
    assert_eq!(ask(&control, &ControlSubject::AuctionProvider, unknown).await, None);
}

#[tokio::test]
async fn nobody_offers_what_runs_already_or_is_no_actor() {
    let world = World::new();
    let control = world.upper().control;
    world.embed(provider(1), &Arc::default());
    let auction = json!({"provider_ref": "builtin://fake", "link_name": "default", "constraints": {}});
    assert_eq!(ask(&control, &ControlSubject::AuctionProvider, auction).await, None);
    let actor = json!({"actor_ref": "builtin://fake", "constraints": {}});
    assert_eq!(ask(&control, &ControlSubject::AuctionActor, actor).await, None);
}

#[tokio::test]
async fn a_client_of_ours_hears_why_a_host_declines() {
    let world = World::new();
    let control = world.upper().control;
    let question = json!({"offer": {"reference": "builtin://other", "provider": "default", "constraints": {}}});
    let why = ask(&control, &ControlSubject::AskWhy(world.identity.host_id), question).await.expect("a reply");
    assert_eq!(why["offer"]["accepts"].as_bool(), Some(false), "{why}");
    assert_eq!(why["nats"]["used"].as_bool(), Some(false));
}

#[tokio::test]
async fn a_command_to_start_is_accepted_before_it_has_happened() {
    let world = World::new();
    let control = world.upper().control;
    let start = ControlSubject::Command(world.identity.host_id, HostCommand::StartProvider);
    let reference = format!("builtin://{}", FAKE.descriptor.name);
    assert!(accepted(&control, &start, json!({"provider_ref": reference, "link_name": "default"})).await);
    while world.providers.all().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!accepted(&control, &start, json!({"provider_ref": " ", "link_name": "default"})).await);
}

#[tokio::test]
async fn a_stop_of_the_host_is_accepted_and_happens() {
    let world = World::new();
    let control = world.upper().control;
    let stop = ControlSubject::Command(world.identity.host_id, HostCommand::StopHost);
    assert!(accepted(&control, &stop, json!({"host_id": world.identity.host_id.to_string()})).await);
    assert!(world.life.is_stopping());
}

#[tokio::test]
async fn lists_and_owners_that_nobody_signed_are_refused() {
    let control = World::new().upper().control;
    assert!(!accepted(&control, &ControlSubject::PutRevocations, json!({"token": "junk"})).await);
    assert!(!accepted(&control, &ControlSubject::PutOwner, json!({"token": "junk"})).await);
    let lists = ask(&control, &ControlSubject::GetRevocations, Value::Null).await.expect("a reply");
    assert_eq!(lists["lists"].as_array().map(Vec::len), Some(0));
}
