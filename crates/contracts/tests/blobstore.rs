//! Golden vectors of `wasmcloud:blobstore`, generated and captured from 0.82 peers.
#![expect(clippy::unwrap_used, reason = "tests")]

use contracts::{
    blobstore::{
        CONTAINER_EXISTS, CREATE_CONTAINER, Chunk, ContainerMetadata, ContainerObject, GET_CONTAINER_INFO, GET_OBJECT,
        GET_OBJECT_INFO, GetObjectRequest, GetObjectResponse, ItemResult, LIST_CONTAINERS, LIST_OBJECTS,
        ListObjectsRequest, ListObjectsResponse, OBJECT_EXISTS, ObjectMetadata, PUT_OBJECT, PutChunkRequest,
        PutObjectRequest, PutObjectResponse, REMOVE_CONTAINERS, Timestamp,
    },
    codec::{decode, decode_unit, encode},
};
use data_encoding::HEXLOWER;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/blobstore.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// Decodes, and encodes to something that decodes to the same.
fn check<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Value {
    let value: T = decode("vector", bytes).unwrap();
    let view = serde_json::to_value(&value).unwrap();
    let again: T = decode("vector", &encode(&value).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), view);
    view
}

/// What the vectors say, in the words of our types: no member for `null`, numbers for bytes.
fn plain(view: &Value) -> Value {
    match view {
        Value::Object(members) => {
            if let Some(hex) = members.get("bytes_hex") {
                return json!(bytes(hex));
            }
            members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

#[test]
fn arguments_and_results_of_real_peers_decode_as_the_vectors_say() {
    for row in vectors()["captured"].as_array().unwrap() {
        let (argument, result) = (bytes(&row["argument_msgpack_hex"]), bytes(&row["result_msgpack_hex"]));
        let operation = row["operation"].as_str().unwrap();
        let (argument, result) = match operation {
            CREATE_CONTAINER => {
                (check::<String>(&argument), decode_unit("result", &result).map(|()| json!(null)).unwrap())
            }
            CONTAINER_EXISTS => (check::<String>(&argument), check::<bool>(&result)),
            GET_CONTAINER_INFO => (check::<String>(&argument), check::<ContainerMetadata>(&result)),
            LIST_CONTAINERS => (row["argument"].clone(), check::<Vec<ContainerMetadata>>(&result)),
            PUT_OBJECT => (check::<PutObjectRequest>(&argument), check::<PutObjectResponse>(&result)),
            OBJECT_EXISTS => (check::<ContainerObject>(&argument), check::<bool>(&result)),
            GET_OBJECT_INFO => (check::<ContainerObject>(&argument), check::<ObjectMetadata>(&result)),
            GET_OBJECT => (check::<GetObjectRequest>(&argument), check::<GetObjectResponse>(&result)),
            LIST_OBJECTS => (check::<ListObjectsRequest>(&argument), check::<ListObjectsResponse>(&result)),
            REMOVE_CONTAINERS => (check::<Vec<String>>(&argument), check::<Vec<ItemResult>>(&result)),
            "Blobstore.DeleteContainer" => continue,
            other => panic!("`{other}` is not known"),
        };
        assert_eq!(argument, plain(&row["argument"]), "{operation}");
        assert_eq!(result, plain(&row["result"]), "{operation}");
    }
}

#[test]
fn what_we_send_is_what_the_vectors_say_byte_by_byte() {
    let vectors = &vectors()["generated"];
    let (object_id, container_id) = ("o".to_owned(), "c".to_owned());
    let chunk = Chunk {
        object_id: object_id.clone(),
        container_id: container_id.clone(),
        bytes: b"data".to_vec(),
        offset: 0,
        is_last: true,
    };
    let put = PutObjectRequest { chunk, ..PutObjectRequest::default() };
    assert_eq!(encode(&put).unwrap(), bytes(&vectors["Blobstore.PutObject/argument"]["msgpack_hex"]));
    let get = GetObjectRequest { object_id, container_id, range_start: Some(0), range_end: Some(3) };
    assert_eq!(encode(&get).unwrap(), bytes(&vectors["Blobstore.GetObject/argument"]["msgpack_hex"]));
}

#[test]
fn a_missing_object_is_a_successful_answer_that_says_so() {
    let vectors = vectors();
    let missing =
        vectors["captured"].as_array().unwrap().iter().find(|row| row["argument"]["objectId"] == "zz").unwrap();
    let answer: GetObjectResponse = decode("answer", &bytes(&missing["result_msgpack_hex"])).unwrap();
    assert!(!answer.success);
    assert_eq!(answer.error.as_deref(), Some("failed to read file"));
    assert_eq!(answer.initial_chunk, None);
}

#[test]
fn a_chunk_made_by_hand_may_have_small_integers_for_bytes_and_leave_out_what_is_optional() {
    let hand = json!({"chunk": {"objectId": "o", "containerId": "c", "bytes": [1, 255], "offset": 2, "isLast": false}});
    let chunk: PutChunkRequest = decode("chunk", &encode(&hand).unwrap()).unwrap();
    assert_eq!(chunk.chunk.bytes, [1, 255]);
    assert_eq!((chunk.stream_id, chunk.cancel_and_remove), (None, false));
}

#[test]
fn times_before_1970_are_times() {
    let time = json!({"sec": -1});
    assert_eq!(decode::<Timestamp>("time", &encode(&time).unwrap()).unwrap(), Timestamp { sec: -1, nsec: 0 });
}
