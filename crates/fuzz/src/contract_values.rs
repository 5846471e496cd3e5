//! Arguments and results of every contract: what guests, providers and peers send as MessagePack.
//!
//! The law: what was accepted is encoded again and then decodes to the same.

use std::fmt::Debug;

use contracts::{blobstore, codec, httpclient, httpserver, keyvalue, messaging};
use serde::{Serialize, de::DeserializeOwned};

/// Any bytes as each of the types.
pub fn contract_values(data: &[u8]) {
    check::<httpserver::HttpRequest>(data);
    check::<httpserver::HttpResponse>(data);
    check::<httpclient::HttpRequest>(data);
    check::<httpclient::HttpResponse>(data);
    check::<blobstore::ContainerObject>(data);
    check::<blobstore::ContainerMetadata>(data);
    check::<Vec<blobstore::ContainerMetadata>>(data);
    check::<blobstore::ObjectMetadata>(data);
    check::<blobstore::ListObjectsRequest>(data);
    check::<blobstore::ListObjectsResponse>(data);
    check::<blobstore::RemoveObjectsRequest>(data);
    check::<Vec<blobstore::ItemResult>>(data);
    check::<blobstore::PutObjectRequest>(data);
    check::<blobstore::PutObjectResponse>(data);
    check::<blobstore::PutChunkRequest>(data);
    check::<blobstore::GetObjectRequest>(data);
    check::<blobstore::GetObjectResponse>(data);
    check::<blobstore::ChunkResponse>(data);
    check::<keyvalue::Value>(data);
    check::<keyvalue::GetResponse>(data);
    check::<keyvalue::SetRequest>(data);
    check::<keyvalue::IncrementRequest>(data);
    check::<keyvalue::ListValue>(data);
    check::<keyvalue::ListRangeRequest>(data);
    check::<keyvalue::SetValue>(data);
    check::<keyvalue::ListKeysRequest>(data);
    check::<keyvalue::ListKeysResponse>(data);
    check::<keyvalue::CompareAndSwapRequest>(data);
    check::<keyvalue::CompareAndSwapResponse>(data);
    check::<messaging::PubMessage>(data);
    check::<messaging::RequestMessage>(data);
    check::<messaging::ReplyMessage>(data);
    check::<String>(data);
    check::<Vec<String>>(data);
    check::<bool>(data);
    let _ = codec::decode_unit("nothing", data);
    store_requests(data);
    response(data);
}

fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) {
    let Ok(value) = codec::decode::<T>("value", data) else { return };
    let again = codec::encode(&value).expect("what was decoded can be encoded");
    assert_eq!(codec::decode::<T>("value", &again).expect("what we encode decodes"), value);
}

/// An argument of each operation of a key-value store. What a provider gets is bounded.
fn store_requests(data: &[u8]) {
    use keyvalue::{GET, INCREMENT, LIST_ADD, LIST_KEYS, LIST_RANGE, SET, SET_UNION};
    for operation in [GET, SET, INCREMENT, LIST_ADD, LIST_RANGE, SET_UNION, LIST_KEYS, keyvalue::COMPARE_AND_SWAP] {
        match keyvalue::Request::decode(operation, data) {
            Ok(keyvalue::Request::Get(key)) => assert!(key.len() <= keyvalue::LONGEST_KEY),
            Ok(keyvalue::Request::SetUnion(names)) => assert!(names.len() <= keyvalue::MOST_NAMES),
            Ok(keyvalue::Request::ListKeys(request)) => assert!(request.limit > 0),
            Ok(_) => {}
            Err(error) => assert!(matches!(error.code(), "malformed" | "limit_exceeded")),
        }
    }
}

/// The answer of an HTTP client, as a guest gets it.
fn response(data: &[u8]) {
    let Ok(response) = httpclient::decode_response(data) else { return };
    assert!((100..1000).contains(&response.status().as_u16()));
    assert!(!response.headers().contains_key("connection"));
    for value in response.headers().values() {
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    if let Ok(mut message) = codec::decode::<httpclient::HttpResponse>("response", data) {
        message.join_split_values();
        let once = message.clone();
        message.join_split_values();
        assert_eq!(message, once, "joining twice is joining once");
    }
}
