//! Golden vectors of `HttpServer.HandleRequest`, generated and captured from 0.82 peers.
#![expect(clippy::unwrap_used, reason = "tests")]

use contracts::{
    CallError,
    codec::{decode, encode},
    httpserver::{Headers, HttpRequest, HttpResponse, HttpServerLink},
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/httpserver.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn headers(value: &Value) -> Headers {
    serde_json::from_value(value.clone()).unwrap()
}

fn expected_request(view: &Value) -> HttpRequest {
    HttpRequest {
        method: view["method"].as_str().unwrap().to_owned(),
        path: view["path"].as_str().unwrap().to_owned(),
        query_string: view["queryString"].as_str().unwrap().to_owned(),
        header: headers(&view["header"]),
        body: bytes(&view["body"]["bytes_hex"]),
    }
}

fn expected_response(view: &Value) -> HttpResponse {
    HttpResponse {
        status_code: view["statusCode"].as_u64().unwrap().try_into().unwrap(),
        header: headers(&view["header"]),
        body: bytes(&view["body"]["bytes_hex"]),
    }
}

#[test]
fn requests_and_responses_decode_as_the_vectors_say() {
    for origin in ["generated", "captured"] {
        let vectors = &vectors()[origin];
        let request = &vectors["argument"];
        assert_eq!(
            decode::<HttpRequest>("request", &bytes(&request["msgpack_hex"])).unwrap(),
            expected_request(&request["json_view"]),
            "{origin}"
        );
        let response = &vectors["result"];
        assert_eq!(
            decode::<HttpResponse>("response", &bytes(&response["msgpack_hex"])).unwrap(),
            expected_response(&response["json_view"]),
            "{origin}"
        );
    }
}

#[test]
fn requests_and_responses_encode_to_the_bytes_of_the_vectors() {
    let vectors = &vectors()["generated"];
    let (request, response) = (&vectors["argument"], &vectors["result"]);
    assert_eq!(encode(&expected_request(&request["json_view"])).unwrap(), bytes(&request["msgpack_hex"]));
    assert_eq!(encode(&expected_response(&response["json_view"])).unwrap(), bytes(&response["msgpack_hex"]));
}

#[test]
fn the_link_values_of_a_0_82_lattice_parse() {
    let values = serde_json::from_value(vectors()["captured"]["link_values"].clone()).unwrap();
    let link = HttpServerLink::parse(&values).unwrap();
    assert_eq!(link, HttpServerLink { address: "127.0.0.1:18080".parse().unwrap(), ..HttpServerLink::default() });
}

#[test]
fn a_prefix_byte_and_a_body_of_small_integers_are_accepted() {
    let mut bytes = vec![0xc1];
    bytes.extend(encode(&json!({"statusCode": 201, "header": {}, "body": [104, 105]})).unwrap());
    let response: HttpResponse = decode("response", &bytes).unwrap();
    assert_eq!(response, HttpResponse { status_code: 201, header: Headers::new(), body: b"hi".to_vec() });
}

#[test]
fn nesting_without_end_is_an_error_and_not_a_stack_overflow() {
    let mut bytes = b"\x81\xa1x".to_vec();
    bytes.extend(vec![0x91; 1_000_000]);
    let error = decode::<HttpResponse>("response", &bytes).unwrap_err();
    assert!(matches!(&error, CallError::Malformed { what, .. } if what == "response"), "{error}");
}

#[test]
fn a_length_that_the_bytes_do_not_have_is_an_error_without_allocating_it() {
    let bytes = [b"\x81\xa4body".as_slice(), &[0xc6, 0xff, 0xff, 0xff, 0xff], b"short"].concat();
    assert_eq!(decode::<HttpRequest>("request", &bytes).unwrap_err().code(), "malformed");
}
