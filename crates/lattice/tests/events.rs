//! Events against the captures, and the members other programs rely on.

#![expect(clippy::unwrap_used, reason = "tests")]

mod vectors;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use lattice::control::{Annotations, Labels};
use lattice::event::{
    ActorClaims, ActorLimitExceeded, ActorRevoked, ActorScaleFailed, ActorScaled, ActorsStartFailed, ActorsStarted,
    ActorsStopped, ConfigChanged, Event, EventData, EventHead, EventKind, HealthCheck, HostInventory, HostStarted,
    HostStopped, LinkApplied, LinkChanged, LinkFailed, ProviderClaims, ProviderRevoked, ProviderStartFailed,
    ProviderStarted, ProviderStopped, RevokedBy,
};
use lattice::{ContractId, Link, LinkName};
use proptest::prelude::*;
use serde_json::{Value, json};
use vectors::load;

const HOST: &str = "ND6ZWXTMTLBBXIOOEH3I7VQ4R6OVLAXCQDD4VE3RVWI272GHKXEDUZEM";
const ACTOR: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";
const ISSUER: &str = "ACOJJN6WUP4ODD75XEBKKTCCUJJCY5ZKQ56XVKYK4BEJWGVAOOQHZMCW";
const PROVIDER: &str = "VCIHDJH2WGDSNNZUZY6RAIR7ECZNW4GRWMYGBDZCOMXPTIRRX37CSZRH";

fn link() -> Link {
    Link {
        actor_id: ACTOR.parse().unwrap(),
        provider_id: PROVIDER.parse().unwrap(),
        link_name: LinkName::default(),
        contract_id: contract(),
        values: [("URL".to_owned(), "redis://secret@h".to_owned())].into(),
    }
}

fn contract() -> ContractId {
    "wasmcloud:keyvalue".parse().unwrap()
}

/// One event of every kind.
fn samples() -> Vec<EventData> {
    let (host_id, actor, provider) = (HOST.parse().unwrap(), ACTOR.parse().unwrap(), PROVIDER.parse().unwrap());
    let link_name = LinkName::default();
    let annotations: Annotations = [("a".to_owned(), "1".to_owned())].into();
    let labels: Labels = [("zone".to_owned(), "z1".to_owned())].into();
    let image_ref = "file:///Echo_s.wasm".to_owned();
    let health = HealthCheck { public_key: provider, link_name: link_name.clone(), contract_id: contract() };
    let by = RevokedBy {
        revoked: "issuer".to_owned(),
        revoked_id: ISSUER.to_owned(),
        reason: "key leaked".to_owned(),
        signer: ISSUER.to_owned(),
        number: 7,
    };
    let config = ConfigChanged { entity_id: ACTOR.to_owned(), key: "k".to_owned() };
    EventKind::ALL
        .iter()
        .map(|kind| match kind {
            EventKind::HostStarted => EventData::HostStarted(HostStarted {
                friendly_name: "calm-lake-0001".to_owned(),
                labels: labels.clone(),
                uptime_seconds: 0,
                version: "0.1.0".to_owned(),
            }),
            EventKind::HostStopped => EventData::HostStopped(HostStopped { labels: labels.clone() }),
            EventKind::HostHeartbeat => EventData::HostHeartbeat(HostInventory {
                host_id,
                issuer: String::new(),
                friendly_name: "calm-lake-0001".to_owned(),
                labels: labels.clone(),
                version: "0.1.0".to_owned(),
                uptime_human: "30s".to_owned(),
                uptime_seconds: 30,
                actors: vec![],
                providers: vec![],
                sessions: None,
                left_out: 0,
            }),
            EventKind::ActorsStarted => EventData::ActorsStarted(ActorsStarted {
                public_key: actor,
                image_ref: image_ref.clone(),
                annotations: annotations.clone(),
                host_id,
                claims: ActorClaims::default(),
                count: 5,
            }),
            EventKind::ActorsStartFailed => EventData::ActorsStartFailed(ActorsStartFailed {
                public_key: None,
                image_ref: image_ref.clone(),
                actor_ref: image_ref.clone(),
                annotations: annotations.clone(),
                host_id,
                error: "cannot fetch".to_owned(),
            }),
            EventKind::ActorsStopped => EventData::ActorsStopped(ActorsStopped {
                public_key: actor,
                image_ref: image_ref.clone(),
                annotations: annotations.clone(),
                host_id,
                count: 2,
                remaining: 3,
            }),
            EventKind::ActorScaled => EventData::ActorScaled(ActorScaled {
                public_key: actor,
                claims: ActorClaims::default(),
                annotations: annotations.clone(),
                host_id,
                image_ref: image_ref.clone(),
                max_instances: u32::MAX,
            }),
            EventKind::ActorScaleFailed => EventData::ActorScaleFailed(ActorScaleFailed {
                public_key: Some(actor),
                annotations: annotations.clone(),
                host_id,
                image_ref: image_ref.clone(),
                actor_ref: image_ref.clone(),
                max_instances: 7,
                error: "no".to_owned(),
                code: None,
            }),
            EventKind::ProviderStarted => EventData::ProviderStarted(ProviderStarted {
                host_id,
                public_key: provider,
                image_ref: image_ref.clone(),
                link_name: link_name.clone(),
                contract_id: contract(),
                instance_id: "i".to_owned(),
                annotations: annotations.clone(),
                claims: ProviderClaims::default(),
            }),
            EventKind::ProviderStartFailed => EventData::ProviderStartFailed(ProviderStartFailed {
                provider_ref: image_ref.clone(),
                link_name: link_name.clone(),
                error: "no".to_owned(),
                code: None,
            }),
            EventKind::ProviderStopped => EventData::ProviderStopped(ProviderStopped {
                host_id,
                public_key: provider,
                link_name: link_name.clone(),
                contract_id: contract(),
                instance_id: "i".to_owned(),
                annotations: annotations.clone(),
                reason: "stop".to_owned(),
            }),
            EventKind::HealthCheckPassed => EventData::HealthCheckPassed(health.clone()),
            EventKind::HealthCheckFailed => EventData::HealthCheckFailed(health.clone()),
            EventKind::HealthCheckStatus => EventData::HealthCheckStatus(health.clone()),
            EventKind::LinkdefSet => EventData::LinkdefSet(LinkChanged::from(link())),
            EventKind::LinkdefDeleted => EventData::LinkdefDeleted(LinkChanged::from(link())),
            EventKind::LinkdefApplied => EventData::LinkdefApplied(LinkApplied::new(host_id, &link())),
            EventKind::LinkdefSent => EventData::LinkdefSent(LinkApplied::new(host_id, &link())),
            EventKind::LinkdefWaiting => EventData::LinkdefWaiting(LinkApplied::new(host_id, &link())),
            EventKind::LinkdefFailed => EventData::LinkdefFailed(LinkFailed::new(host_id, &link(), "port in use")),
            EventKind::ConfigSet => EventData::ConfigSet(config.clone()),
            EventKind::ConfigDeleted => EventData::ConfigDeleted(config.clone()),
            EventKind::ActorRevoked => EventData::ActorRevoked(ActorRevoked {
                public_key: actor,
                image_ref: image_ref.clone(),
                host_id,
                by: by.clone(),
            }),
            EventKind::ProviderRevoked => EventData::ProviderRevoked(ProviderRevoked {
                public_key: provider,
                link_name: link_name.clone(),
                contract_id: contract(),
                image_ref: image_ref.clone(),
                host_id,
                by: by.clone(),
            }),
            EventKind::ActorLimitExceeded => EventData::ActorLimitExceeded(ActorLimitExceeded {
                public_key: actor,
                image_ref: image_ref.clone(),
                host_id,
                limit: "memory".to_owned(),
                value: "64MiB".to_owned(),
                count: 3,
            }),
        })
        .collect()
}

fn event(data: EventData) -> Event {
    Event::new(&HOST.parse().unwrap(), SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_210_885_742_289_173), data)
}

fn as_value(event: &Event) -> Value {
    serde_json::from_slice(&event.to_json()).unwrap()
}

#[test]
fn captured_events_are_understood_and_written_back_with_the_same_members() {
    // What we add to the failures of others, for the clients that look for it.
    let added: BTreeSet<&str> = ["actor_ref"].into();
    let capture = load("captured_events");
    let captured = capture.as_object().unwrap();
    assert_eq!(captured.len(), 17);
    for (event_type, json) in captured {
        let event = Event::from_json(json.to_string().as_bytes()).unwrap();
        assert!(event.data.kind().is_some(), "{event_type} is known and readable");
        assert_eq!(event.data.event_type(), *event_type);
        let mut written = as_value(&event);
        for member in &added {
            if json["data"].get(member).is_none() {
                written["data"].as_object_mut().unwrap().remove(*member);
            }
        }
        // The second name of a maximum, which hosts of 0.82 lack and wadm 0.10 needs.
        let actors = written["data"].get_mut("actors").and_then(Value::as_array_mut);
        for actor in actors.into_iter().flatten() {
            for instance in actor["instances"].as_array_mut().into_iter().flatten() {
                instance.as_object_mut().unwrap().remove("max_concurrent");
            }
        }
        // Trailing zeros of a second's fraction are free.
        assert_eq!(Event::from_json(written.to_string().as_bytes()).unwrap().time, event.time);
        written["time"] = json["time"].clone();
        assert_eq!(&written, json);
    }
}

#[test]
fn every_kind_round_trips_and_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for data in samples() {
        assert_eq!(data.kind().unwrap().as_str(), data.name());
        assert!(names.insert(data.name().to_owned()), "{} twice", data.name());
        let event = event(data);
        assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
    }
    assert_eq!(names.len(), EventKind::ALL.len());
}

#[test]
fn the_envelope_is_a_cloud_event_of_the_host() {
    let json = as_value(&event(samples().remove(0)));
    let members: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["data", "datacontenttype", "id", "source", "specversion", "time", "type"].into());
    assert_eq!(json["specversion"], "1.0");
    assert_eq!(json["datacontenttype"], "application/json");
    assert_eq!(json["source"], HOST);
    assert_eq!(json["type"], "com.wasmcloud.lattice.host_started");
    assert_eq!(json["time"], "2026-11-20T21:41:25.742289173Z");
    assert_eq!(json["id"].as_str().unwrap().len(), 36);
}

#[test]
fn data_have_exactly_the_members_of_the_protocol() {
    let link = "actor_id contract_id id link_name provider_id";
    let by = "number reason revoked revoked_id signer";
    let expected = |kind: EventKind| match kind {
        EventKind::HostStarted => "friendly_name labels uptime_seconds version".to_owned(),
        EventKind::HostStopped => "labels".to_owned(),
        EventKind::HostHeartbeat => {
            "actors friendly_name host_id issuer labels providers uptime_human uptime_seconds version".to_owned()
        }
        EventKind::ActorsStarted => "annotations claims count host_id image_ref public_key".to_owned(),
        EventKind::ActorsStartFailed => "actor_ref annotations error host_id image_ref public_key".to_owned(),
        EventKind::ActorsStopped => "annotations count host_id image_ref public_key remaining".to_owned(),
        EventKind::ActorScaled => "annotations claims host_id image_ref max_instances public_key".to_owned(),
        EventKind::ActorScaleFailed => {
            "actor_ref annotations error host_id image_ref max_instances public_key".to_owned()
        }
        EventKind::ProviderStarted => {
            "annotations claims contract_id host_id image_ref instance_id link_name public_key".to_owned()
        }
        EventKind::ProviderStartFailed => "error link_name provider_ref".to_owned(),
        EventKind::ProviderStopped => {
            "annotations contract_id host_id instance_id link_name public_key reason".to_owned()
        }
        EventKind::HealthCheckPassed | EventKind::HealthCheckFailed | EventKind::HealthCheckStatus => {
            "contract_id link_name public_key".to_owned()
        }
        EventKind::LinkdefSet | EventKind::LinkdefDeleted => format!("{link} values"),
        EventKind::LinkdefApplied | EventKind::LinkdefSent | EventKind::LinkdefWaiting => format!("{link} host_id"),
        EventKind::LinkdefFailed => format!("{link} host_id error"),
        EventKind::ConfigSet | EventKind::ConfigDeleted => "entity_id key".to_owned(),
        EventKind::ActorRevoked => format!("host_id image_ref public_key {by}"),
        EventKind::ProviderRevoked => format!("contract_id host_id image_ref link_name public_key {by}"),
        EventKind::ActorLimitExceeded => "count host_id image_ref limit public_key value".to_owned(),
    };
    for data in samples() {
        let kind = data.kind().unwrap();
        let json = as_value(&event(data));
        let members: BTreeSet<&str> = json["data"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, expected(kind).split(' ').collect(), "{kind:?}");
    }
}

#[test]
fn claims_in_events_have_lists_and_strings_where_others_cannot_read_null() {
    let actor = serde_json::to_value(ActorClaims::default()).unwrap();
    assert_eq!(
        actor,
        json!({"call_alias": null, "caps": [], "issuer": "", "tags": null, "name": "", "version": "", "revision": 0,
               "not_before_human": "", "expires_human": ""})
    );
    let provider = serde_json::to_value(ProviderClaims::default()).unwrap();
    assert_eq!(
        provider,
        json!({"issuer": "", "tags": null, "name": "", "version": "", "not_before_human": "", "expires_human": ""})
    );
}

#[test]
fn a_failure_before_the_actor_is_known_has_an_empty_public_key() {
    let data = samples().into_iter().find(|data| data.kind() == Some(EventKind::ActorsStartFailed)).unwrap();
    let json = as_value(&event(data));
    assert_eq!(json["data"]["public_key"], "");
    assert_eq!(json["data"]["image_ref"], json["data"]["actor_ref"]);
}

#[test]
fn values_of_links_do_not_travel_with_applied_and_failed() {
    for data in samples() {
        if matches!(data.kind(), Some(EventKind::LinkdefApplied | EventKind::LinkdefFailed)) {
            let text = String::from_utf8(event(data).to_json()).unwrap();
            assert!(!text.contains("secret"), "{text}");
        }
    }
}

#[test]
fn unknown_events_are_kept_as_they_are() {
    for (event_type, name) in [
        ("com.wasmcloud.lattice.refmap_set", "refmap_set"),
        ("com.wadm.manifest_published", "com.wadm.manifest_published"),
    ] {
        let json = json!({"specversion": "1.0", "id": "1", "type": event_type, "source": "x",
            "datacontenttype": "application/json", "time": "2026-11-20T21:41:25Z", "data": [1, {"a": null}]});
        let event = Event::from_json(json.to_string().as_bytes()).unwrap();
        assert_eq!((event.name(), event.data.kind()), (name, None));
        assert_eq!(as_value(&event), json);
    }
}

#[test]
fn a_known_name_with_other_data_is_kept_as_it_is() {
    // The heartbeat of older hosts: a map of instance counts.
    let json = json!({"specversion": "1.0", "id": "1", "type": "com.wasmcloud.lattice.host_heartbeat", "source": HOST,
        "datacontenttype": "application/json", "time": "2026-11-20T21:41:25Z", "data": {"actors": {ACTOR: 1}}});
    let event = Event::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!((event.name(), event.data.kind()), ("host_heartbeat", None));
    assert_eq!(as_value(&event), json);
    let json = json!({"id": "1", "type": "com.wasmcloud.lattice.host_stopped", "source": HOST,
        "time": "2026-11-20T21:41:25Z", "data": [{}]});
    let event = Event::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(event.data.kind(), None, "positional data are not read");
}

#[test]
fn what_is_not_a_cloud_event_is_refused() {
    for bad in ["", "{}", "[]", r#"{"id":"1","type":"t","source":"s"}"#, "\u{0}"] {
        assert_eq!(Event::from_json(bad.as_bytes()).unwrap_err().code(), "malformed_event", "{bad:?}");
    }
    let error = Event::from_json(br#"{"id":"1","type":"t","source":"s","time":"yesterday"}"#).unwrap_err();
    assert!(error.to_string().contains("`yesterday`"), "{error}");
}

#[test]
fn the_head_of_an_event_is_read_whatever_it_says() {
    for data in samples() {
        let event = event(data);
        let head = EventHead::from_json(&event.to_json()).unwrap();
        assert_eq!((head.kind, head.source), (event.data.kind(), event.source));
    }
    let head = EventHead::from_json(br#"{"data":[{"type":"x"}],"type":"com.\u0061","source":"s"}"#).unwrap();
    assert_eq!(head, EventHead { kind: None, source: "s".to_owned() });
    assert_eq!(EventHead::from_json(br#"{"type":"t"}"#).unwrap_err().code(), "malformed_event");
}

#[test]
fn times_at_the_edge_of_the_calendar_can_be_shown() {
    let mut shown = 0;
    for time in ["0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z"] {
        let json = json!({"id": "1", "type": "t", "source": "s", "time": time, "data": {}});
        if let Ok(event) = Event::from_json(json.to_string().as_bytes()) {
            assert!(event.time_text().ends_with('Z'));
            assert!(Event::from_json(&event.to_json()).is_ok(), "{time}");
            shown += 1;
        }
    }
    assert!(shown > 0, "the last second of the calendar is a time");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), name in "[a-z_]{1,20}", data in any::<String>()) {
        let _ = Event::from_json(&bytes);
        let json = json!({"id": "1", "type": format!("com.wasmcloud.lattice.{name}"), "source": "s",
            "time": "2026-11-20T21:41:25Z", "data": {"public_key": data}});
        let event = Event::from_json(json.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&as_value(&event)["data"], &json["data"]);
    }
}
