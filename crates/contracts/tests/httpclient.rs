//! Golden vectors of `HttpClient.Request`, generated and captured from 0.82 peers.
#![expect(clippy::unwrap_used, reason = "tests")]

use contracts::{
    codec::{decode, encode},
    httpclient::{HttpRequest, HttpResponse},
};
use data_encoding::HEXLOWER;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/httpclient.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

#[test]
fn requests_encode_to_the_bytes_of_the_vectors() {
    let request = HttpRequest { method: "GET".into(), url: "https://example.com/".into(), ..HttpRequest::default() };
    let expected = bytes(&vectors()["generated"]["HttpClient.Request/argument"]["msgpack_hex"]);
    assert_eq!(encode(&request).unwrap(), expected);
    assert_eq!(decode::<HttpRequest>("request", &expected).unwrap(), request);
}

#[test]
fn exchanges_of_real_peers_decode_as_the_vectors_say() {
    let mut exchanges = 0;
    for row in vectors()["captured"].as_array().unwrap() {
        let Value::Object(result) = &row["result"] else { continue };
        let request: HttpRequest = decode("request", &bytes(&row["argument_msgpack_hex"])).unwrap();
        assert_eq!(request.method, row["argument"]["method"].as_str().unwrap());
        assert_eq!(request.url, row["argument"]["url"].as_str().unwrap());
        assert_eq!(serde_json::to_value(&request.headers).unwrap(), row["argument"]["headers"]);
        assert!(request.body.is_empty());
        let response: HttpResponse = decode("response", &bytes(&row["result_msgpack_hex"])).unwrap();
        assert_eq!(u64::from(response.status_code), result["statusCode"].as_u64().unwrap());
        assert_eq!(serde_json::to_value(&response.header).unwrap(), result["header"]);
        assert_eq!(response.body, bytes(&result["body"]["bytes_hex"]));
        assert_eq!(decode::<HttpResponse>("response", &encode(&response).unwrap()).unwrap(), response);
        exchanges += 1;
    }
    assert_eq!(exchanges, 3);
}

#[test]
fn a_request_by_hand_may_leave_out_headers_and_body() {
    let by_hand =
        &vectors()["captured"].as_array().unwrap().iter().find(|row| row["result"] == "<empty>").unwrap().clone();
    let request: HttpRequest = decode("request", &bytes(&by_hand["argument_msgpack_hex"])).unwrap();
    assert_eq!(request.url, "http://127.0.0.1:18099/");
}
