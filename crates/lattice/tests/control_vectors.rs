//! Control messages against what a real 0.82 host and a real `wash` put on the wire.
#![expect(clippy::unwrap_used, reason = "tests")]

use claims::{ActorId, HostId};
use lattice::{
    Link,
    control::{
        Ack, ActorBid, AuctionActor, AuctionProvider, ClaimsReply, ConfigValue, ConfigValues, ControlRequest,
        DeleteLabel, DeleteLink, HostInventory, HostSummary, LinksReply, ProviderBid, PutLabel, RegistryCredentials,
        ScaleActor, StartProvider, StopActor, StopProvider, UNSUPPORTED_SUBJECT, UpdateActor, decode, encode,
    },
    subject::{ControlRoot, ControlSubject, HostCommand},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const ACTOR: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";
const HOST: &str = "ND6ZWXTMTLBBXIOOEH3I7VQ4R6OVLAXCQDD4VE3RVWI272GHKXEDUZEM";

struct Exchange {
    subject: ControlSubject,
    request: Value,
    reply: Value,
}

/// The captured exchanges on subjects that we know, without the remarks behind some subjects.
fn captured() -> Vec<Exchange> {
    let file: Value = serde_json::from_str(include_str!("vectors/captured_ctl.json")).unwrap();
    let root = ControlRoot::new("spec".parse().unwrap());
    file["requests"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| {
            let subject = entry["subject"].as_str().unwrap().split(' ').next().unwrap();
            let subject = ControlSubject::parse(&root, subject).ok()?;
            Some(Exchange { subject, request: entry["request"].clone(), reply: entry["reply"].clone() })
        })
        .collect()
}

fn request_round_trips<T: ControlRequest>(wire: &Value) {
    let request: T = decode(&serde_json::to_vec(wire).unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&encode(&request)).unwrap(), *wire);
}

fn reply_round_trips<T: Serialize + DeserializeOwned>(wire: &Value) {
    let reply: T = serde_json::from_value(wire.clone()).unwrap();
    let mut written = serde_json::from_slice::<Value>(&encode(&reply)).unwrap();
    without_what_we_add(&mut written);
    assert_eq!(written, *wire);
}

/// The second name of a maximum, which hosts of 0.82 lack and wadm 0.10 needs.
fn without_what_we_add(inventory: &mut Value) {
    for actor in inventory.get_mut("actors").and_then(Value::as_array_mut).into_iter().flatten() {
        for instance in actor["instances"].as_array_mut().into_iter().flatten() {
            instance.as_object_mut().unwrap().remove("max_concurrent");
        }
    }
}

/// The captured request must fail with the captured text, to which we add the reason.
fn request_is_refused<T: ControlRequest + std::fmt::Debug>(wire: &Value, reply: &Value) {
    let body = wire.as_str().map_or_else(|| serde_json::to_vec(wire).unwrap(), |text| text.as_bytes().to_vec());
    let error = decode::<T>(&body).unwrap_err().to_string();
    let theirs = reply["error"].as_str().unwrap();
    assert!(error.starts_with(&format!("{theirs}: ")), "{error}");
}

fn check(exchange: &Exchange) {
    use HostCommand as C;
    let Exchange { subject, request, reply } = exchange;
    let refused = reply["error"].as_str().is_some_and(|error| error.starts_with("failed to deserialize"));
    if reply.get("accepted").is_some() {
        reply_round_trips::<Ack>(reply);
    }
    let requests = |decodes: fn(&Value), fails: fn(&Value, &Value)| {
        if refused { fails(request, reply) } else { decodes(request) }
    };
    match subject {
        ControlSubject::PingHosts => reply_round_trips::<HostSummary>(reply),
        ControlSubject::GetInventory(_) => reply_round_trips::<HostInventory>(reply),
        ControlSubject::GetClaims => reply_round_trips::<ClaimsReply>(reply),
        ControlSubject::GetLinks => reply_round_trips::<LinksReply>(reply),
        ControlSubject::GetConfig(_) => reply_round_trips::<ConfigValue>(reply),
        ControlSubject::GetAllConfig(_) => reply_round_trips::<ConfigValues>(reply),
        ControlSubject::AuctionActor => {
            requests(request_round_trips::<AuctionActor>, request_is_refused::<AuctionActor>);
            if !refused {
                reply_round_trips::<ActorBid>(reply);
            }
        }
        ControlSubject::AuctionProvider => {
            request_round_trips::<AuctionProvider>(request);
            if *reply != json!("NO REPLY") {
                reply_round_trips::<ProviderBid>(reply);
            }
        }
        ControlSubject::PutLink => requests(request_round_trips::<Link>, request_is_refused::<Link>),
        ControlSubject::DeleteLink => request_round_trips::<DeleteLink>(request),
        ControlSubject::PutLabel(_) => request_round_trips::<PutLabel>(request),
        ControlSubject::DeleteLabel(_) => request_round_trips::<DeleteLabel>(request),
        ControlSubject::PutRegistries => request_round_trips::<RegistryCredentials>(request),
        ControlSubject::Command(_, C::ScaleActor) => {
            requests(request_round_trips::<ScaleActor>, request_is_refused::<ScaleActor>);
        }
        ControlSubject::Command(_, C::StopActor) => request_round_trips::<StopActor>(request),
        ControlSubject::Command(_, C::UpdateActor) => request_round_trips::<UpdateActor>(request),
        ControlSubject::Command(_, C::StartProvider) => request_round_trips::<StartProvider>(request),
        ControlSubject::Command(_, C::StopProvider) => request_round_trips::<StopProvider>(request),
        ControlSubject::Command(_, C::StopHost) => unreachable!("not captured"),
        ControlSubject::PutRevocations
        | ControlSubject::GetRevocations
        | ControlSubject::PutOwner
        | ControlSubject::AskWhy(_) => {
            unreachable!("ours, not theirs")
        }
        // The request of the first is not JSON, the others have none; their acks were read above.
        ControlSubject::PutConfig(_) | ControlSubject::DeleteConfig(_) | ControlSubject::ClearConfig(_) => {}
    }
}

#[test]
fn every_captured_exchange_decodes_and_encodes_to_the_same_json() {
    let captured = captured();
    assert_eq!(captured.len(), 26, "exchanges on subjects we know");
    captured.iter().for_each(check);
}

#[test]
fn the_text_for_unknown_subjects_is_the_captured_one() {
    let file: Value = serde_json::from_str(include_str!("vectors/captured_ctl.json")).unwrap();
    let requests = file["requests"].as_array().unwrap();
    let bogus = requests.iter().find(|entry| entry["subject"].as_str().unwrap().ends_with("bogus")).unwrap();
    assert_eq!(bogus["reply"]["error"], UNSUPPORTED_SUBJECT);
}

#[test]
fn requests_are_objects_and_nothing_that_serde_takes_for_one() {
    for body in ["", "[]", "[\"a\",3]", "null", "3", "\"x\"", " [ ]"] {
        let error = decode::<ScaleActor>(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "failed to deserialize actor scale command: expected a JSON object", "{body}");
    }
    assert_eq!(decode::<ScaleActor>(b" \n{}").unwrap(), ScaleActor::default());
}

#[test]
fn the_instance_bound_has_three_names_on_the_way_in_and_one_on_the_way_out() {
    for name in ["count", "max_instances", "max_concurrent"] {
        let body = format!(r#"{{"actor_ref":"reg.test/a:1","{name}":7,"annotations":null,"extra":[]}}"#);
        let request: ScaleActor = decode(body.as_bytes()).unwrap();
        assert_eq!(request.max_instances, 7, "{name}");
        assert_eq!(serde_json::from_slice::<Value>(&encode(&request)).unwrap()["count"], 7);
    }
    assert!(decode::<ScaleActor>(br#"{"count":-1}"#).is_err());
    assert!(decode::<ScaleActor>(br#"{"count":4294967296}"#).is_err());
}

#[test]
fn a_link_name_that_is_missing_or_empty_is_the_default_one() {
    for body in [r#"{"provider_ref":"x"}"#, r#"{"link_name":""}"#, r#"{"link_name":null}"#] {
        assert_eq!(decode::<StartProvider>(body.as_bytes()).unwrap().link_name.as_str(), "default", "{body}");
    }
    let error = decode::<StartProvider>(br#"{"link_name":"a.b"}"#).unwrap_err().to_string();
    assert!(error.contains("`a.b` is not a link name"), "{error}");
}

#[test]
fn a_request_names_the_member_it_lacks() {
    for (error, what) in [
        (decode::<AuctionActor>(br#"{"actor_ref":"a"}"#).unwrap_err(), "missing field `constraints`"),
        (decode::<PutLabel>(br#"{"key":"a"}"#).unwrap_err(), "missing field `value`"),
        (decode::<StopActor>(b"{}").unwrap_err(), "missing field `actor_ref`"),
    ] {
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn deleting_a_label_sends_a_value_and_needs_none() {
    assert_eq!(encode(&DeleteLabel::new("zone")), br#"{"key":"zone","value":""}"#);
    assert_eq!(decode::<DeleteLabel>(br#"{"key":"zone"}"#).unwrap(), DeleteLabel::new("zone"));
}

#[test]
fn a_host_summary_needs_nothing_but_its_id() {
    let host: HostId = HOST.parse().unwrap();
    let summary: HostSummary = serde_json::from_value(json!({ "id": HOST, "prov_rpc_host": "x" })).unwrap();
    assert_eq!(summary, HostSummary::new(host));
    let older: HostSummary = serde_json::from_value(json!({ "id": HOST, "lattice_prefix": "l" })).unwrap();
    assert_eq!(older.lattice, "l");
}

#[test]
fn peers_travel_only_when_a_host_sends_them() {
    let host: HostId = HOST.parse().unwrap();
    let alone = HostSummary { peers: Some(Vec::new()), ..HostSummary::new(host) };
    let wire: Value = serde_json::from_slice(&encode(&alone)).unwrap();
    assert_eq!(wire["peers"], json!([]));
    assert_eq!(serde_json::from_value::<HostSummary>(wire).unwrap(), alone);
    let silent: Value = serde_json::from_slice(&encode(&HostSummary::new(host))).unwrap();
    assert!(silent.get("peers").is_none());
    let odd: HostSummary = serde_json::from_value(json!({ "id": HOST, "peers": ["nonsense", HOST] })).unwrap();
    assert_eq!(odd.peers, Some(vec![host]));
}

#[test]
fn inventories_of_older_hosts_name_keys_differently() {
    let actor: ActorId = ACTOR.parse().unwrap();
    let inventory: HostInventory = serde_json::from_value(json!({
        "host_id": HOST,
        "actors": [{ "public_key": ACTOR, "instances": [{ "instance_id": "i", "annotations": null }] }],
        "providers": null,
    }))
    .unwrap();
    assert_eq!(inventory.actors[0].id, actor);
    assert!(inventory.actors[0].instances[0].annotations.is_empty());
}

#[test]
fn one_broken_link_does_not_hide_the_others() {
    let link = json!({ "actor_id": ACTOR, "provider_id": "VCIHDJH2WGDSNNZUZY6RAIR7ECZNW4GRWMYGBDZCOMXPTIRRX37CSZRH",
        "link_name": "default", "contract_id": "wasmcloud:keyvalue", "values": {} });
    let reply: LinksReply = serde_json::from_value(json!({ "links": [{ "actor_id": "x" }, link] })).unwrap();
    assert_eq!((reply.links.len(), reply.unreadable.len()), (1, 1));
}

#[test]
fn an_entity_that_never_had_configuration_may_be_answered_with_nothing() {
    assert_eq!(ConfigValues::from_reply(b"").unwrap(), ConfigValues::default());
    assert_eq!(ConfigValues::from_reply(b"{}").unwrap(), ConfigValues::default());
    assert!(ConfigValues::from_reply(b"{\"a\":[256]}").is_err());
}

#[test]
fn an_ack_of_what_one_host_alone_keeps_is_taken_for_done_by_older_clients() {
    let body = encode(&Ack::kept_here("no bucket"));
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({"accepted": true, "error": "", "kept_here": "no bucket"})
    );
    assert_eq!(
        (Ack::refusal_in(&body), Ack::from_reply(&body).unwrap().kept_here.as_deref()),
        (None, Some("no bucket"))
    );
    assert_eq!(
        serde_json::from_slice::<Value>(&encode(&Ack::accepted())).unwrap(),
        json!({"accepted": true, "error": ""})
    );
}
