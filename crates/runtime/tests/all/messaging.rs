//! `wasmcloud:messaging`: out over the link, and in through the exported handler.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use contracts::{
    CallError, codec,
    messaging::{CONTRACT, HANDLE_MESSAGE, PUBLISH, PubMessage, REQUEST, ReplyMessage, RequestMessage, SubMessage},
};
use runtime::OutboundCall;

use crate::script::{Arg, Script, Slot, call_once, link, text};
use crate::support::limits;

const OLD: &str = "wasmcloud:messaging/consumer";
const NEW: &str = "wasmcloud:messaging/consumer@0.2.0";
const HANDLER: &str = "wasmcloud:messaging/handler@0.2.0";

/// Echoes requests in capital letters and keeps what was published.
#[derive(Clone, Default)]
struct Broker(Arc<Mutex<Vec<PubMessage>>>);

impl Broker {
    fn serve(&self, call: &OutboundCall) -> Result<Bytes, CallError> {
        assert_eq!(call.target, link(CONTRACT, "default"));
        match call.operation.as_str() {
            PUBLISH => {
                self.0.lock().unwrap().push(codec::decode("message", &call.payload)?);
                Ok(Bytes::new())
            }
            REQUEST => {
                let request: RequestMessage = codec::decode("request", &call.payload)?;
                assert_eq!(request.timeout_ms, 500);
                let reply = match request.subject.as_str() {
                    "silence" => ReplyMessage::default(),
                    _ => ReplyMessage {
                        subject: "_INBOX.1".to_owned(),
                        reply_to: Some("more".to_owned()),
                        body: request.body.to_ascii_uppercase(),
                    },
                };
                codec::encode(&reply).map(Bytes::from)
            }
            other => panic!("unexpected {other}"),
        }
    }
}

async fn run(script: Script, broker: &Broker) -> Vec<Bytes> {
    let broker = broker.clone();
    script.run(move |call| broker.serve(&call)).await.unwrap()
}

fn some(value: &str) -> [Arg; 2] {
    [Arg::I32(1), text(value)]
}

fn none() -> [Arg; 3] {
    [Arg::I32(0), Arg::I32(0), Arg::I32(0)]
}

/// Tells a message of 0.2.0 that begins at an offset.
fn tell_new(script: &mut Script, slot: Slot, at: u32) {
    script.tell_list(slot, at);
    script.tell_list(slot, at + 8);
    script.tell(slot, at + 16, 1);
    script.tell_list(slot, at + 20);
}

#[tokio::test]
async fn a_request_has_one_reply() {
    let mut script = Script::new();
    let reply = script.call(NEW, "request", &[text("svc"), text("body"), Arg::I32(500)]);
    script.tell(reply, 0, 1);
    tell_new(&mut script, reply, 4);
    let old = [&[text("svc")], &some("body")[..], &[Arg::I32(500)]].concat();
    let reply = script.call(OLD, "request", &old);
    script.tell(reply, 0, 1);
    // the body is optional here
    script.tell_list(reply, 4);
    script.tell(reply, 12, 1);
    script.tell_list(reply, 16);
    let told = run(script, &Broker::default()).await;
    assert_eq!(told, [&b"\0"[..], b"_INBOX.1", b"BODY", b"\x01", b"more", b"\0", b"_INBOX.1", b"\x01", b"BODY"]);
}

#[tokio::test]
async fn a_request_for_several_replies_gets_one_at_most() {
    let mut script = Script::new();
    for max in [0, 5] {
        let several = [&[text("svc")], &none()[..], &[Arg::I32(500), Arg::I32(max)]].concat();
        let replies = script.call(OLD, "request-multi", &several);
        script.tell(replies, 0, 1);
        script.tell(replies, 8, 4);
    }
    let told = run(script, &Broker::default()).await;
    assert_eq!(told, [&b"\0"[..], &0u32.to_le_bytes(), b"\0", &1u32.to_le_bytes()]);
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_an_error() {
    let mut script = Script::new();
    let reply = script.call(NEW, "request", &[text("silence"), text(""), Arg::I32(500)]);
    script.tell(reply, 0, 1);
    script.tell_list(reply, 4);
    let told = run(script, &Broker::default()).await;
    assert_eq!(told, [&b"\x01"[..], b"nobody answered the request to `silence` within 500 ms"]);
}

#[tokio::test]
async fn messages_are_published_with_and_without_a_body_and_an_address_for_replies() {
    let mut script = Script::new();
    let new = [&[text("a.b"), text("1")], &some("re")[..]].concat();
    let published = script.call(NEW, "publish", &new);
    script.tell(published, 0, 1);
    let old = [&[text("c")], &none()[..], &none()[..]].concat();
    let published = script.call(OLD, "publish", &old);
    script.tell(published, 0, 1);
    let broker = Broker::default();
    assert_eq!(run(script, &broker).await, [&b"\0"[..], b"\0"]);
    let first = PubMessage { subject: "a.b".into(), reply_to: Some("re".into()), body: b"1".to_vec() };
    let second = PubMessage { subject: "c".into(), reply_to: None, body: Vec::new() };
    assert_eq!(*broker.0.lock().unwrap(), [first, second]);
}

#[tokio::test]
async fn a_failure_is_a_sentence_for_the_guest() {
    let mut script = Script::new();
    let published = script.call(NEW, "publish", &[&[text("a"), text("1")], &none()[..]].concat());
    script.tell(published, 0, 1);
    script.tell_list(published, 4);
    let boom = CallError::Reported { message: "boom".to_owned() };
    let told = script.run(move |_| Err(boom.clone())).await.unwrap();
    assert_eq!(told, [&b"\x01"[..], b"boom"]);
}

/// A component that publishes the body of every message it gets to `copy`.
fn subscriber() -> Script {
    let mut script = Script::entered_by(HANDLER, "handle-message");
    let body = [Arg::Parameter(2), Arg::Parameter(3)];
    let reply_to = [Arg::Parameter(4), Arg::Parameter(5), Arg::Parameter(6)];
    script.call(NEW, "publish", &[&[text("copy")], &body[..], &reply_to[..]].concat());
    script
}

#[tokio::test]
async fn a_component_that_exports_the_handler_gets_the_messages_of_subscriptions() {
    let guest = subscriber().try_load(&[CONTRACT], limits()).await.unwrap();
    let broker = Broker::default();
    for reply_to in [Some("inbox".to_owned()), None] {
        let message = SubMessage { subject: "s".into(), reply_to, body: b"payload".to_vec() };
        let broker = broker.clone();
        let payload = codec::encode(&message).unwrap().into();
        call_once(&guest, HANDLE_MESSAGE, payload, move |call| broker.serve(&call)).await.unwrap();
    }
    let copy = |reply_to: Option<&str>| PubMessage {
        subject: "copy".into(),
        reply_to: reply_to.map(str::to_owned),
        body: b"payload".to_vec(),
    };
    assert_eq!(*broker.0.lock().unwrap(), [copy(Some("inbox")), copy(None)]);
}

#[tokio::test]
async fn what_is_no_message_reaches_no_handler() {
    let guest = subscriber().try_load(&[CONTRACT], limits()).await.unwrap();
    let call = |operation, payload: &'static [u8]| {
        call_once(&guest, operation, Bytes::from_static(payload), |_| panic!("nothing is called"))
    };
    assert_eq!(call(HANDLE_MESSAGE, b"\xc3").await.unwrap_err().code(), "malformed");
    assert_eq!(call("Other.Operation", b"").await.unwrap_err().code(), "unsupported");
}
