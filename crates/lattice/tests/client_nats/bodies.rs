//! Large payloads in both directions, against an object store that the test reads and writes by itself.

use std::time::{Duration, Instant};

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        object_store::{Config, ObjectStore},
    },
};
use bytes::Bytes;
use lattice::{
    client::{RpcClient, RpcResponder},
    invocation::{Invocation, InvocationResponse},
};
use tokio::io::AsyncReadExt;

use crate::{
    server::{NatsServer, eventually},
    world::{Caller, lattice, payload, serving},
};

const TIMEOUT: Duration = Duration::from_secs(60);
const THRESHOLD: usize = 921_600;
const LARGE: usize = 5_000_000;

fn rpc(client: &Client) -> RpcClient {
    RpcClient::nats(client.clone(), lattice(), None)
}

async fn bucket(jetstream: &Context) -> ObjectStore {
    match jetstream.get_object_store("default").await {
        Ok(store) => store,
        Err(_) => {
            jetstream.create_object_store(Config { bucket: "default".into(), ..Config::default() }).await.unwrap()
        }
    }
}

async fn read(store: &ObjectStore, name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    store.get(name).await.unwrap().read_to_end(&mut body).await.unwrap();
    body
}

/// Waits until the stream of the bucket holds nothing, neither payloads nor markers.
async fn emptied(jetstream: &Context) {
    eventually("the object store to be empty", async || {
        let mut stream = jetstream.get_stream("OBJ_default").await.ok()?;
        (stream.info().await.ok()?.state.messages == 0).then_some(())
    })
    .await;
}

/// An actor that knows the rules by heart: takes its argument from where it must be, and answers with the same.
async fn echo(client: &Client, caller: &Caller) {
    serving(client, caller.subject_text(), |client, message| async move {
        let jetstream = jetstream::new(client.clone());
        let call = Invocation::decode(&message.payload).unwrap();
        let length = usize::try_from(call.content_length).unwrap();
        let body = if length > THRESHOLD {
            assert!(call.msg.is_empty(), "a large argument does not travel in the message");
            let store = bucket(&jetstream).await;
            let body = read(&store, &call.id).await;
            store.delete(&call.id).await.unwrap();
            Bytes::from(body)
        } else {
            call.msg.clone()
        };
        assert_eq!(body.len(), length);
        let mut response = InvocationResponse::success(&call.id, body);
        if length > THRESHOLD {
            let name = format!("{}-r", call.id);
            bucket(&jetstream).await.put(name.as_str(), &mut &response.msg[..]).await.unwrap();
            response.msg = Bytes::new();
        }
        client.publish(message.reply.unwrap(), response.encode()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_payload_at_the_threshold_travels_in_the_message() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    echo(&client, &caller).await;
    let body = payload(THRESHOLD);
    let answer = rpc(&client).invoke(&caller.subject(), caller.call(body.clone()), TIMEOUT).await.unwrap();
    assert!(answer == body);
}

#[tokio::test]
async fn larger_payloads_go_through_the_object_store_both_ways_and_leave_nothing_there() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    echo(&client, &caller).await;
    let jetstream = jetstream::new(client.clone());
    for length in [THRESHOLD + 1, LARGE] {
        let body = payload(length);
        let answer = rpc(&client).invoke(&caller.subject(), caller.call(body.clone()), TIMEOUT).await.unwrap();
        assert!(answer == body, "{length}");
        // What the caller has to delete is gone; the marker of the actor's own deletion is its affair.
        let left: Vec<String> = {
            use futures_util::TryStreamExt;
            bucket(&jetstream).await.list().await.unwrap().map_ok(|object| object.name).try_collect().await.unwrap()
        };
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn our_two_ends_agree_and_leave_not_even_markers() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    let responder = RpcResponder::new(client.clone(), &lattice(), None);
    let trusted = caller.trusted();
    serving(&client, caller.subject_text(), move |_, message| {
        let (responder, trusted) = (responder.clone(), trusted.clone());
        async move {
            let replays = lattice::client::ReplayGuard::default();
            let incoming = responder.accept(&message, crate::world::now(), &trusted, &replays).await.unwrap();
            responder.respond(&incoming.reply_to, Ok(incoming.invocation.msg)).await.unwrap();
        }
    })
    .await;
    for length in [0, 1, THRESHOLD, THRESHOLD + 1, LARGE] {
        let body = payload(length);
        let answer = rpc(&client).invoke(&caller.subject(), caller.call(body.clone()), TIMEOUT).await.unwrap();
        assert!(answer == body, "{length}");
    }
    emptied(&jetstream::new(client)).await;
}

#[tokio::test]
async fn the_argument_of_a_call_that_nobody_took_is_deleted() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    let call = caller.call(payload(THRESHOLD + 1));
    let started = Instant::now();
    let error = rpc(&client).invoke(&caller.subject(), call, TIMEOUT).await.unwrap_err();
    assert_eq!(error.code(), "not_running");
    assert!(started.elapsed() < TIMEOUT / 2);
    emptied(&jetstream::new(client)).await;
}

#[tokio::test]
async fn the_argument_of_a_call_that_was_abandoned_is_deleted() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    let (tell, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    serving(&client, caller.subject_text(), move |_, _| {
        tell.send(()).unwrap();
        async {}
    })
    .await;
    let calling = tokio::spawn({
        let (rpc, subject, call) = (rpc(&client), caller.subject(), caller.call(payload(THRESHOLD + 1)));
        async move { rpc.invoke(&subject, call, TIMEOUT).await }
    });
    arrived.recv().await.unwrap();
    calling.abort();
    emptied(&jetstream::new(client)).await;
}

#[tokio::test]
async fn a_large_answer_that_is_not_what_was_announced_is_refused() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    serving(&client, caller.subject_text(), |client, message| async move {
        let call = Invocation::decode(&message.payload).unwrap();
        let store = bucket(&jetstream::new(client.clone())).await;
        store.put(format!("{}-r", call.id).as_str(), &mut &payload(LARGE)[..]).await.unwrap();
        let response =
            InvocationResponse { content_length: 1_000_000, ..InvocationResponse::success(&call.id, Bytes::new()) };
        client.publish(message.reply.unwrap(), response.encode()).await.unwrap();
    })
    .await;
    let error = rpc(&client).invoke(&caller.subject(), caller.call("x"), TIMEOUT).await.unwrap_err();
    assert_eq!(error.code(), "malformed");
    assert!(error.to_string().contains("1000000 were announced"), "{error}");
}

#[tokio::test]
async fn a_large_call_without_jetstream_says_what_failed() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    echo(&client, &caller).await;
    let error = rpc(&client).invoke(&caller.subject(), caller.call(payload(LARGE)), TIMEOUT).await.unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains("storing the request payload failed"), "{error}");
}

#[tokio::test]
async fn a_bucket_that_is_lost_is_made_anew() {
    let Some(server) = NatsServer::start().await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    echo(&client, &caller).await;
    let rpc = rpc(&client);
    let jetstream = jetstream::new(client.clone());
    for _ in 0..2 {
        let body = payload(THRESHOLD + 1);
        assert!(rpc.invoke(&caller.subject(), caller.call(body.clone()), TIMEOUT).await.unwrap() == body);
        jetstream.delete_object_store("default").await.unwrap();
    }
}

#[tokio::test]
async fn a_jetstream_domain_is_where_payloads_are_stored() {
    let Some(server) = NatsServer::start_configured("jetstream: { domain: hub }").await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    serving(&client, caller.subject_text(), |client, message| async move {
        let call = Invocation::decode(&message.payload).unwrap();
        let store = jetstream::with_domain(client.clone(), "hub").get_object_store("default").await.unwrap();
        let length = read(&store, &call.id).await.len().to_string();
        client
            .publish(message.reply.unwrap(), InvocationResponse::success(&call.id, length.into()).encode())
            .await
            .unwrap();
    })
    .await;
    let rpc = RpcClient::nats(client.clone(), lattice(), Some("hub"));
    let answer = rpc.invoke(&caller.subject(), caller.call(payload(LARGE)), TIMEOUT).await.unwrap();
    assert_eq!(answer, LARGE.to_string());
    let lost = RpcClient::nats(client, lattice(), Some("elsewhere"));
    let error = lost.invoke(&caller.subject(), caller.call(payload(LARGE)), TIMEOUT).await.unwrap_err();
    assert_eq!(error.code(), "unreachable");
}
