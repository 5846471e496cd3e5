//! Golden vectors of `wasmcloud:messaging`, generated and captured from 0.82 peers.
#![expect(clippy::unwrap_used, reason = "tests")]

use contracts::{
    codec::{decode, decode_unit, encode},
    messaging::{PUBLISH, PubMessage, REQUEST, ReplyMessage, RequestMessage, SubMessage},
};
use data_encoding::HEXLOWER;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/messaging.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// Decodes, and encodes to something that decodes to the same.
fn check<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Value {
    let value: T = decode("vector", bytes).unwrap();
    assert_eq!(decode::<T>("vector", &encode(&value).unwrap()).unwrap(), value);
    serde_json::to_value(&value).unwrap()
}

/// What the vectors say, in the words of our types: no member for `null`, numbers for bytes.
fn plain(view: &Value) -> Value {
    let Value::Object(members) = view else { return view.clone() };
    if let Some(hex) = members.get("bytes_hex") {
        return json!(bytes(hex));
    }
    let present = members.iter().filter(|(_, value)| !value.is_null());
    present.map(|(key, value)| (key.clone(), plain(value))).collect()
}

#[test]
fn arguments_and_results_of_real_peers_decode_as_the_vectors_say() {
    let rows = vectors()["captured"].as_array().unwrap().clone();
    assert!(rows.len() >= 5);
    for row in rows {
        let (argument, result) = (bytes(&row["argument_msgpack_hex"]), bytes(&row["result_msgpack_hex"]));
        let views = match row["operation"].as_str().unwrap() {
            PUBLISH => (check::<PubMessage>(&argument), decode_unit("result", &result).map(|()| json!(null)).unwrap()),
            REQUEST => (check::<RequestMessage>(&argument), check::<ReplyMessage>(&result)),
            other => panic!("unexpected operation {other}"),
        };
        assert_eq!(views, (plain(&row["argument"]), plain(&row["result"])), "{}", row["operation"]);
    }
}

#[test]
fn generated_payloads_survive_byte_for_byte() {
    let vectors = &vectors()["generated"];
    let hex = |name: &str| bytes(&vectors[name]["msgpack_hex"]);
    let published: PubMessage = decode("message", &hex("Messaging.Publish/argument")).unwrap();
    assert_eq!(encode(&published).unwrap(), hex("Messaging.Publish/argument"));
    let request: RequestMessage = decode("message", &hex("Messaging.Request/argument")).unwrap();
    assert_eq!(encode(&request).unwrap(), hex("Messaging.Request/argument"));
    let message: SubMessage = decode("message", &hex("MessageSubscriber.HandleMessage/argument")).unwrap();
    assert_eq!(message.reply_to.as_deref(), Some("_INBOX.x"));
    assert_eq!(encode(&message).unwrap(), hex("MessageSubscriber.HandleMessage/argument"));
}

#[test]
fn no_reply_is_told_from_an_empty_one() {
    assert!(ReplyMessage::default().is_none());
    assert!(!ReplyMessage { subject: "_INBOX.x".to_owned(), ..ReplyMessage::default() }.is_none());
}
