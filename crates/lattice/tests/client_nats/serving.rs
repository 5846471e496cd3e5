//! The serving side: what it refuses, and how it says so.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_nats::{Client, jetstream};
use bytes::Bytes;
use contracts::CallError;
use lattice::{
    client::{ReplayGuard, RpcClient, RpcResponder},
    invocation::{Invocation, InvocationResponse},
};

use crate::{
    server::NatsServer,
    world::{Caller, lattice, now, payload, serving},
};

const TIMEOUT: Duration = Duration::from_secs(60);
const LARGE: usize = 1_000_000;

/// A guarded actor that answers with its argument.
async fn guarded(client: &Client, caller: &Caller, max_body: u64) {
    let responder = RpcResponder::new(client.clone(), &lattice(), None).with_max_body(max_body);
    let (trusted, replays) = (caller.trusted(), Arc::new(ReplayGuard::default()));
    serving(client, caller.subject_text(), move |_, message| {
        let (responder, trusted, replays) = (responder.clone(), trusted.clone(), Arc::clone(&replays));
        async move {
            match responder.accept(&message, now(), &trusted, &replays).await {
                Ok(incoming) => responder.respond(&incoming.reply_to, Ok(incoming.invocation.msg)).await.unwrap(),
                Err(rejected) => responder.respond(&rejected.reply_to, Err(rejected.error)).await.unwrap(),
            }
        }
    })
    .await;
}

/// The code and text of the error that a call is answered with.
async fn refused(client: &Client, caller: &Caller, call: Invocation) -> (String, String) {
    let rpc = RpcClient::nats(client.clone(), lattice(), None);
    match rpc.invoke(&caller.subject(), call, TIMEOUT).await.unwrap_err() {
        CallError::Remote { code, message } => (code, message),
        other => panic!("not an answer of the other side: {other:?}"),
    }
}

#[tokio::test]
async fn a_call_by_a_stranger_is_refused() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let (caller, stranger) = (Caller::new(), Caller::new());
    guarded(&client, &caller, u64::MAX).await;
    let call = Invocation { target: caller.call("").target, ..stranger.call("x") };
    assert_eq!(refused(&client, &caller, call).await.0, "unauthorized");
}

#[tokio::test]
async fn a_call_that_is_sent_again_is_refused_also_under_another_id() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    guarded(&client, &caller, u64::MAX).await;
    let call = caller.call("x");
    let rpc = RpcClient::nats(client.clone(), lattice(), None);
    assert_eq!(rpc.invoke(&caller.subject(), call.clone(), TIMEOUT).await.unwrap(), "x");
    let renamed = Invocation { id: "another".into(), ..call.clone() };
    for call in [call, renamed] {
        let answer = refused(&client, &caller, call).await;
        assert_eq!(answer, ("unauthorized".into(), "this invocation was seen before".into()));
    }
}

#[tokio::test]
async fn a_payload_that_was_taken_away_is_missed() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    guarded(&client, &caller, u64::MAX).await;
    let call = Invocation { msg: Bytes::new(), content_length: 0, ..caller.call("transfer 1") };
    assert_eq!(refused(&client, &caller, call).await.0, "unauthorized");
}

#[tokio::test]
async fn a_stored_payload_that_is_not_the_signed_one_is_refused() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    guarded(&client, &caller, u64::MAX).await;
    let store = jetstream::new(client.clone())
        .create_object_store(jetstream::object_store::Config { bucket: "default".into(), ..Default::default() })
        .await
        .unwrap();
    let call = Invocation { msg: Bytes::new(), ..caller.call(payload(LARGE)) };
    store.put(call.id.as_str(), &mut &vec![7; LARGE][..]).await.unwrap();
    let (code, text) = refused(&client, &caller, call).await;
    assert_eq!(code, "unauthorized");
    assert!(text.contains("hash"), "{text}");
}

#[tokio::test]
async fn a_stored_payload_that_is_not_there_or_too_large_is_refused() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let (caller, modest) = (Caller::new(), Caller::new());
    guarded(&client, &caller, u64::MAX).await;
    guarded(&client, &modest, 1000).await;
    let missing = |caller: &Caller| Invocation { msg: Bytes::new(), ..caller.call(payload(LARGE)) };
    assert_eq!(refused(&client, &caller, missing(&caller)).await.0, "malformed");
    let huge = Invocation { content_length: u64::MAX, ..missing(&caller) };
    assert_eq!(refused(&client, &caller, huge).await.0, "malformed");
    assert_eq!(refused(&client, &modest, missing(&modest)).await.0, "limit_exceeded");
}

#[tokio::test]
async fn what_is_no_invocation_is_answered_too() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    guarded(&client, &caller, u64::MAX).await;
    let answer = client.request(caller.subject_text(), "nonsense".into()).await.unwrap();
    assert_eq!(answer.headers.unwrap().get("Lattice-Error").unwrap().as_str(), "malformed");
    let response = InvocationResponse::decode(&answer.payload).unwrap();
    assert_eq!((response.invocation_id.as_str(), response.content_length), ("UNKNOWN", 0));
    assert!(response.error.is_some());
}

#[tokio::test]
async fn an_invocation_without_reply_subject_is_carried_out_and_not_answered() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    let responder = RpcResponder::new(client.clone(), &lattice(), None);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    serving(&client, caller.subject_text(), move |_, message| {
        let (responder, tell) = (responder.clone(), tell.clone());
        async move {
            let incoming = responder.decode_request(&message).unwrap();
            responder.respond(&incoming.reply_to, Ok(Bytes::new())).await.unwrap();
            tell.send((incoming.reply_to.is_expected(), incoming.deadline)).unwrap();
        }
    })
    .await;
    client.publish(caller.subject_text(), caller.call("x").encode()).await.unwrap();
    assert_eq!(told.recv().await, Some((false, None)));
}

#[tokio::test]
async fn a_failure_of_any_length_is_heard() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    let responder = RpcResponder::new(client.clone(), &lattice(), None);
    serving(&client, caller.subject_text(), move |_, message| {
        let responder = responder.clone();
        async move {
            let incoming = responder.decode_request(&message).unwrap();
            let error = CallError::Reported { message: "\u{7f}x".repeat(30 << 20) };
            responder.respond(&incoming.reply_to, Err(error)).await.unwrap();
        }
    })
    .await;
    let rpc = RpcClient::nats(client.clone(), lattice(), None);
    match rpc.invoke(&caller.subject(), caller.call("x"), TIMEOUT).await.unwrap_err() {
        CallError::Reported { message } => {
            assert!(message.starts_with("\u{fffd}x") && message.contains("…"), "cleaned, and said to be cut");
            assert!(message.len() <= lattice::invocation::MAX_ERROR_BYTES, "{}", message.len());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_untrusted_key_is_refused_by_an_empty_list_too() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    let responder = RpcResponder::new(client.clone(), &lattice(), None);
    serving(&client, caller.subject_text(), move |_, message| {
        let responder = responder.clone();
        async move {
            let replays = ReplayGuard::default();
            let rejected = responder.accept(&message, now(), &BTreeSet::new(), &replays).await.unwrap_err();
            responder.respond(&rejected.reply_to, Err(rejected.error)).await.unwrap();
        }
    })
    .await;
    let (_, text) = refused(&client, &caller, caller.call("x")).await;
    assert_eq!(text, "issuer of this invocation is not among the list of valid issuers");
}
