//! Calls without large payloads: what goes out, what comes back, and how it ends when nothing does.

use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap, Message};
use bytes::Bytes;
use contracts::CallError;
use lattice::{
    client::RpcClient,
    invocation::{Invocation, InvocationResponse},
};

use crate::{
    server::{NatsServer, eventually},
    world::{Caller, lattice, payload, serving},
};

const TIMEOUT: Duration = Duration::from_secs(60);

fn rpc(client: &Client) -> RpcClient {
    RpcClient::nats(client.clone(), lattice(), None)
}

/// Serves the caller's actor with answers made from the call and the message it came in.
async fn actor<F>(client: &Client, caller: &Caller, answer: F)
where
    F: Fn(Invocation, &Message) -> InvocationResponse + Clone + Send + Sync + 'static,
{
    serving(client, caller.subject_text(), move |client, message| {
        let answer = answer.clone();
        async move {
            let response = answer(Invocation::decode(&message.payload).unwrap(), &message);
            client.publish(message.reply.unwrap(), response.encode()).await.unwrap();
        }
    })
    .await;
}

/// The error of a call that is answered like this.
async fn answered<F>(answer: F) -> Option<CallError>
where
    F: Fn(Invocation, &Message) -> InvocationResponse + Clone + Send + Sync + 'static,
{
    let server = NatsServer::start_with(0, &[]).await?;
    let client = server.client().await;
    let caller = Caller::new();
    actor(&client, &caller, answer).await;
    Some(rpc(&client).invoke(&caller.subject(), caller.call("x"), TIMEOUT).await.unwrap_err())
}

#[tokio::test]
async fn a_small_call_needs_no_jetstream() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    actor(&client, &caller, |call, _| {
        let text = format!("{} {} {:?}", call.operation, call.content_length, call.msg);
        InvocationResponse::success(&call.id, text.into())
    })
    .await;
    for (argument, answer) in [("hello", "Test.Do 5 b\"hello\""), ("", "Test.Do 0 b\"\"")] {
        let result = rpc(&client).invoke(&caller.subject(), caller.call(argument), TIMEOUT).await.unwrap();
        assert_eq!(result, answer);
    }
}

#[tokio::test]
async fn time_left_and_trace_context_travel_in_headers() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    actor(&client, &caller, |call, message| {
        let headers = message.headers.as_ref().unwrap();
        let text = ["Lattice-Deadline-Ms", "traceparent"].map(|name| headers.get(name).unwrap().as_str()).join(" ");
        InvocationResponse::success(&call.id, text.into())
    })
    .await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut call = caller.call("");
    call.trace_context.insert("traceparent".into(), trace.into());
    let answer = rpc(&client).invoke(&caller.subject(), call, TIMEOUT).await.unwrap();
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    let (left, traceparent) = answer.split_once(' ').unwrap();
    let left = Duration::from_millis(left.parse().unwrap());
    assert!(left <= TIMEOUT && left > TIMEOUT / 2, "{left:?}");
    assert_eq!(traceparent, trace);
}

#[tokio::test]
async fn a_target_that_nobody_serves_is_told_at_once() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    let started = Instant::now();
    let error = rpc(&client).invoke(&caller.subject(), caller.call("x"), TIMEOUT).await.unwrap_err();
    assert_eq!(error, CallError::NotRunning { target: caller.actor.to_string() });
    assert!(started.elapsed() < TIMEOUT / 2);
}

#[tokio::test]
async fn a_target_that_does_not_answer_costs_the_timeout_and_is_named() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    serving(&client, caller.subject_text(), |_, _| async {}).await;
    let started = Instant::now();
    let timeout = Duration::from_millis(200);
    let error = rpc(&client).invoke(&caller.subject(), caller.call("x"), timeout).await.unwrap_err();
    assert!(started.elapsed() >= timeout && started.elapsed() < TIMEOUT / 2);
    let step = format!("waiting for the answer of `{}`", caller.actor);
    assert_eq!(error, CallError::DeadlineExceeded { step });
}

#[tokio::test]
async fn a_lost_connection_ends_calls_at_once_before_and_while_they_wait() {
    let Some(mut server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    let (tell, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    serving(&client, caller.subject_text(), move |_, _| {
        tell.send(()).unwrap();
        async {}
    })
    .await;
    let started = Instant::now();
    let waiting = tokio::spawn({
        let (rpc, subject, call) = (rpc(&client), caller.subject(), caller.call("x"));
        async move { rpc.invoke(&subject, call, TIMEOUT).await }
    });
    arrived.recv().await.unwrap();
    server.kill();
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), "unreachable");
    eventually("the client to notice", async || {
        (client.connection_state() != async_nats::connection::State::Connected).then_some(())
    })
    .await;
    let error = rpc(&client).invoke(&caller.subject(), caller.call("x"), TIMEOUT).await.unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert!(started.elapsed() < TIMEOUT / 2);
}

#[tokio::test]
async fn an_error_with_a_code_keeps_it_and_one_without_is_passed_on_verbatim() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    serving(&client, caller.subject_text(), |client, message| async move {
        let call = Invocation::decode(&message.payload).unwrap();
        let response = InvocationResponse::failure(&call.id, "no such link").encode();
        let reply = message.reply.unwrap();
        if call.msg == "coded" {
            let mut headers = HeaderMap::new();
            headers.insert("Lattice-Error", "not_linked");
            client.publish_with_headers(reply, headers, response).await.unwrap();
        } else {
            client.publish(reply, response).await.unwrap();
        }
    })
    .await;
    let call = async |text: &'static str| rpc(&client).invoke(&caller.subject(), caller.call(text), TIMEOUT).await;
    let message = "no such link".to_owned();
    let coded = CallError::Remote { code: "not_linked".into(), message: message.clone() };
    assert_eq!(call("coded").await.unwrap_err(), coded);
    assert_eq!(call("plain").await.unwrap_err(), CallError::Reported { message });
}

#[tokio::test]
async fn an_empty_error_is_an_error() {
    let Some(error) = answered(|call, _| InvocationResponse::failure(call.id, "")).await else { return };
    assert_eq!(error, CallError::Reported { message: String::new() });
}

#[tokio::test]
async fn who_could_not_read_the_call_need_not_know_its_id() {
    let Some(error) = answered(|_, _| InvocationResponse::failure("UNKNOWN", "what?")).await else { return };
    assert_eq!(error, CallError::Reported { message: "what?".into() });
}

#[tokio::test]
async fn an_answer_to_another_call_is_refused() {
    let Some(error) = answered(|_, _| InvocationResponse::success("other", Bytes::new())).await else { return };
    assert_eq!(error.code(), "malformed");
    assert!(error.to_string().contains("invocation ID mismatch"), "{error}");
}

#[tokio::test]
async fn an_answer_of_another_length_than_it_says_is_refused() {
    let shorter = |call: Invocation, _: &Message| InvocationResponse {
        content_length: 7,
        ..InvocationResponse::success(call.id, "x".into())
    };
    let Some(error) = answered(shorter).await else { return };
    assert_eq!(error.code(), "malformed");
    assert!(error.to_string().contains("message size mismatch"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused() {
    let Some(server) = NatsServer::start_with(0, &[]).await else { return };
    let client = server.client().await;
    for garbage in ["", "x", "\u{1}\u{2}", "{\"msg\":1}"] {
        let caller = Caller::new();
        serving(&client, caller.subject_text(), move |client, message| async move {
            client.publish(message.reply.unwrap(), garbage.into()).await.unwrap();
        })
        .await;
        let error = rpc(&client).invoke(&caller.subject(), caller.call("x"), TIMEOUT).await.unwrap_err();
        assert_eq!(error.code(), "malformed", "{garbage:?}");
    }
}

#[tokio::test]
async fn a_server_that_takes_only_small_messages_is_named_as_the_limit() {
    let Some(server) = NatsServer::start_configured("max_payload: 65536").await else { return };
    let client = server.client().await;
    let caller = Caller::new();
    serving(&client, caller.subject_text(), |_, _| async {}).await;
    let error = rpc(&client).invoke(&caller.subject(), caller.call(payload(100_000)), TIMEOUT).await.unwrap_err();
    assert_eq!(error.code(), "limit_exceeded");
    assert!(error.to_string().contains("65536"), "{error}");
}
