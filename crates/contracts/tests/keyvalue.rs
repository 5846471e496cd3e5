//! Golden vectors of `wasmcloud:keyvalue`, generated and captured from 0.82 peers, and the forms that are ours.
#![expect(clippy::unwrap_used, reason = "tests")]

use contracts::{
    codec::{decode, decode_unit, encode},
    keyvalue::{
        COMPARE_AND_SWAP, CONTAINS, CompareAndSwapRequest, CompareAndSwapResponse, DEL, GET, GetResponse, INCREMENT,
        IncrementRequest, LIST_ADD, LIST_CLEAR, LIST_DEL, LIST_KEYS, LIST_RANGE, ListKeysRequest, ListKeysResponse,
        ListRangeRequest, ListValue, SET, SET_ADD, SET_CLEAR, SET_DEL, SET_INTERSECTION, SET_QUERY, SET_UNION,
        SetRequest, SetValue, Value as Stored, is_extension,
    },
};
use data_encoding::HEXLOWER;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/keyvalue.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// Decodes, and encodes to the very same bytes.
fn check<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Value {
    let value: T = decode("vector", bytes).unwrap();
    assert_eq!(HEXLOWER.encode(&encode(&value).unwrap()), HEXLOWER.encode(bytes));
    serde_json::to_value(&value).unwrap()
}

#[test]
fn arguments_and_results_of_real_peers_survive_byte_for_byte() {
    let rows = vectors()["captured"].as_array().unwrap().clone();
    assert!(rows.len() > 15);
    for row in rows {
        let (argument, result) = (bytes(&row["argument_msgpack_hex"]), bytes(&row["result_msgpack_hex"]));
        let views = match row["operation"].as_str().unwrap() {
            GET => (check::<String>(&argument), check::<GetResponse>(&result)),
            SET => (check::<SetRequest>(&argument), decode_unit("result", &result).map(|()| json!(null)).unwrap()),
            DEL | CONTAINS | LIST_CLEAR | SET_CLEAR => (check::<String>(&argument), check::<bool>(&result)),
            INCREMENT => (check::<IncrementRequest>(&argument), check::<i64>(&result)),
            LIST_ADD => (check::<ListValue>(&argument), check::<u32>(&result)),
            LIST_DEL => (check::<ListValue>(&argument), check::<bool>(&result)),
            LIST_RANGE => (check::<ListRangeRequest>(&argument), check::<Vec<String>>(&result)),
            SET_ADD | SET_DEL => (check::<SetValue>(&argument), check::<u32>(&result)),
            SET_QUERY => (check::<String>(&argument), check::<Vec<String>>(&result)),
            SET_UNION | SET_INTERSECTION => (check::<Vec<String>>(&argument), check::<Vec<String>>(&result)),
            other => panic!("unexpected operation {other}"),
        };
        assert_eq!(views, (row["argument"].clone(), row["result"].clone()), "{}", row["operation"]);
    }
}

#[test]
fn generated_payloads_survive_byte_for_byte() {
    let vectors = &vectors()["generated"];
    let hex = |name: &str| bytes(&vectors[name]["msgpack_hex"]);
    let view = |name: &str| vectors[name]["json_view"].clone();
    assert_eq!(check::<GetResponse>(&hex("KeyValue.Get/result")), view("KeyValue.Get/result"));
    assert_eq!(check::<SetRequest>(&hex("KeyValue.Set/argument")), view("KeyValue.Set/argument"));
    assert_eq!(check::<IncrementRequest>(&hex("KeyValue.Increment/argument")), view("KeyValue.Increment/argument"));
    assert_eq!(check::<ListRangeRequest>(&hex("KeyValue.ListRange/argument")), view("KeyValue.ListRange/argument"));
    for sdk in ["legacy", "new"] {
        decode_unit("result", &bytes(&vectors[&format!("KeyValue.Set/result_{sdk}_sdk_hex")])).unwrap();
    }
}

#[test]
fn text_travels_as_text_and_other_bytes_as_bytes() {
    assert_eq!(HEXLOWER.encode(&encode(&Stored::from("é")).unwrap()), "a2c3a9");
    assert_eq!(HEXLOWER.encode(&encode(&Stored(vec![0xff, 0])).unwrap()), "c402ff00");
    for form in ["a2c3a9", "c402c3a9", "92ccc3cca9"] {
        let bytes = HEXLOWER.decode(form.as_bytes()).unwrap();
        assert_eq!(decode::<Stored>("value", &bytes).unwrap(), Stored::from("é"), "{form}");
    }
}

#[test]
fn what_is_no_value_is_malformed() {
    for form in ["c0", "07", "92cd012c00", "81a16100", "9401"] {
        let bytes = HEXLOWER.decode(form.as_bytes()).unwrap();
        assert_eq!(decode::<Stored>("value", &bytes).unwrap_err().code(), "malformed", "{form}");
    }
}

#[test]
fn a_list_that_claims_to_be_huge_reserves_nothing() {
    assert_eq!(decode::<Stored>("value", b"\xdd\xff\xff\xff\xff\x01").unwrap_err().code(), "malformed");
}

#[test]
fn operations_of_ours_have_their_form_and_are_known_as_such() {
    let request = ListKeysRequest { cursor: None, limit: 100 };
    assert_eq!(HEXLOWER.encode(&encode(&request).unwrap()), "81a56c696d697464");
    let page = ListKeysResponse { keys: vec!["a".to_owned()], cursor: Some("b".to_owned()) };
    assert_eq!(HEXLOWER.encode(&encode(&page).unwrap()), "82a46b65797391a161a6637572736f72a162");
    let swap = CompareAndSwapRequest { key: "k".to_owned(), expected: None, value: "1".into() };
    assert_eq!(HEXLOWER.encode(&encode(&swap).unwrap()), "82a36b6579a16ba576616c7565a131");
    let with_nil = HEXLOWER.decode(b"83a36b6579a16ba86578706563746564c0a576616c7565a131").unwrap();
    assert_eq!(decode::<CompareAndSwapRequest>("argument", &with_nil).unwrap(), swap);
    let answer = CompareAndSwapResponse { swapped: false, current: Some("2".into()) };
    assert_eq!(HEXLOWER.encode(&encode(&answer).unwrap()), "82a773776170706564c2a763757272656e74a132");
    assert!(is_extension(LIST_KEYS) && is_extension(COMPARE_AND_SWAP) && !is_extension(GET));
}
