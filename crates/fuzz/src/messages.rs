//! Messages of a lattice: envelopes of calls, links, control requests, events, decisions of a policy service, and HTTP
//! as messages.

use bytes::Bytes;
use contracts::http_message::{decode_request, decode_response};
use lattice::config_service::{ConfigAnswer, ConfigQuestion};
use lattice::control::{self, ControlRequest};
use lattice::event::{Event, EventHead};
use lattice::invocation::{Invocation, InvocationResponse};
use lattice::policy::{PolicyDecision, PolicyRequest};
use lattice::{HealthResponse, Link};
use serde::Serialize;

/// The envelope of a call, of its answer, and of a health check, as MessagePack.
pub fn invocation(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    if let Ok(call) = Invocation::decode(&message) {
        assert!(call.msg.len() <= data.len());
        let again = Invocation::decode(&call.encode()).expect("what we encode decodes");
        assert_eq!(again, call);
        let (rest, argument) = call.clone().split_msg();
        assert_eq!((argument, rest.msg.len(), rest.content_length), (call.msg, 0, call.content_length));
    }
    if let Ok(answer) = InvocationResponse::decode(&message) {
        assert!(answer.msg.len() <= data.len());
        assert_eq!(InvocationResponse::decode(&answer.encode()).expect("what we encode decodes"), answer);
    }
    if let Ok(health) = HealthResponse::decode(data) {
        assert_eq!(HealthResponse::decode(&health.encode()).expect("what we encode decodes"), health);
    }
}

/// A link, as JSON and as MessagePack: both forms carry all of it.
pub fn link(data: &[u8]) {
    for link in [Link::from_json(data), Link::from_msgpack(data)].into_iter().flatten() {
        assert_eq!(Link::from_json(&link.to_json()).expect("our JSON reads"), link);
        assert_eq!(Link::from_msgpack(&link.to_msgpack()).expect("our MessagePack reads"), link);
        let id = link.id().to_string();
        assert_eq!(id.parse(), Ok(link.id()));
    }
}

/// Any JSON as each of the control requests.
pub fn control(data: &[u8]) {
    check::<control::ScaleActor>(data);
    check::<control::UpdateActor>(data);
    check::<control::StopActor>(data);
    check::<control::StartProvider>(data);
    check::<control::StopProvider>(data);
    check::<control::StopHost>(data);
    check::<control::AuctionActor>(data);
    check::<control::AuctionProvider>(data);
    check::<control::PutLabel>(data);
    check::<control::DeleteLabel>(data);
    check::<control::DeleteLink>(data);
    check::<control::PutRevocations>(data);
    check::<control::PutOwner>(data);
    check::<control::RegistryCredentials>(data);
    check::<ConfigQuestion>(data);
    check::<ConfigAnswer>(data);
    check::<Link>(data);
}

fn check<T: ControlRequest + Serialize + PartialEq>(data: &[u8]) {
    match control::decode::<T>(data) {
        Ok(request) => {
            let again = control::decode::<T>(&control::encode(&request));
            assert!(again.is_ok_and(|again| again == request), "{} does not survive", T::WHAT);
        }
        Err(error) => assert!(error.to_string().starts_with("failed to deserialize ")),
    }
}

/// An event, whatever its data, and its head alone.
pub fn event(data: &[u8]) {
    let head = EventHead::from_json(data);
    let Ok(event) = Event::from_json(data) else { return };
    assert_eq!(head.expect("an event has a head").source, event.source);
    assert_eq!(Event::from_json(&event.to_json()).expect("our JSON reads"), event);
}

/// A decision of a policy service, as an answer or as news; and a question, which a service of ours would read.
pub fn policy(data: &[u8]) {
    match PolicyDecision::from_json(data) {
        Ok(decision) => {
            assert!(!decision.request_id.is_empty() && decision.request_id.len() <= 128);
            let message = decision.message.as_deref().unwrap_or("-");
            assert!(message.chars().count() <= 1024 && !message.chars().any(char::is_control));
            assert_eq!(PolicyDecision::from_json(&decision.to_json()), Ok(decision));
        }
        Err(error) => assert!(error.to_string().len() < 4096, "{error}"),
    }
    if let Ok(request) = serde_json::from_slice::<PolicyRequest>(data) {
        assert_eq!(serde_json::from_slice::<PolicyRequest>(&request.to_json()).expect("our JSON reads"), request);
    }
}

/// A request and a response of the HTTP contract.
pub fn http_message(data: &[u8]) {
    if let Ok(request) = decode_request(data) {
        // What goes to a component came through the types of HTTP, so nothing in it splits a header.
        for value in request.headers().values() {
            assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }
    }
    for head_only in [false, true] {
        if let Ok(response) = decode_response(data, head_only) {
            assert!((100..1000).contains(&response.status().as_u16()));
            assert!(head_only || !response.headers().contains_key("content-length"));
            assert!(!response.headers().contains_key("transfer-encoding"));
        }
    }
}
