//! Host data, health and shutdown messages against the vectors.

#![expect(clippy::unwrap_used, reason = "tests")]

mod vectors;

use lattice::{HealthResponse, HostData, SHUTDOWN_REPLY, ShutdownRequest};
use proptest::prelude::*;
use serde_json::Value;
use vectors::{hex, load, text};

fn host_data() -> HostData {
    HostData::from_stdin_line(text(&load("hostdata")["stdin_line"]).as_bytes()).unwrap()
}

#[test]
fn host_data_is_byte_for_byte_that_of_the_vector() {
    let vector = load("hostdata");
    let data = host_data();
    assert_eq!(serde_json::to_value(&data).unwrap(), vector["host_data"]);
    assert_eq!(String::from_utf8(data.to_json()).unwrap(), text(&vector["json"]));
    assert_eq!(data.to_stdin_line(), text(&vector["stdin_line"]));
}

#[test]
fn the_line_ends_at_the_first_newline_or_at_the_end() {
    let line = host_data().to_stdin_line();
    for input in [line.clone(), line.trim_end().to_owned(), line.replace('\r', ""), format!("{line}more\n")] {
        assert_eq!(HostData::from_stdin_line(input.as_bytes()).unwrap(), host_data());
    }
}

#[test]
fn every_member_that_a_provider_requires_is_written_when_empty() {
    let mut data = host_data();
    data.link_definitions.clear();
    data.cluster_issuers.clear();
    data.config_json = None;
    data.default_rpc_timeout_ms = None;
    let json: Value = serde_json::from_slice(&data.to_json()).unwrap();
    let members: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "cluster_issuers",
            "env_values",
            "host_id",
            "instance_id",
            "invocation_seed",
            "lattice_rpc_prefix",
            "lattice_rpc_url",
            "lattice_rpc_user_jwt",
            "lattice_rpc_user_seed",
            "link_definitions",
            "link_name",
            "otel_config",
            "provider_key",
            "structured_logging",
        ]
    );
    assert_eq!(json["otel_config"], serde_json::json!({"traces_exporter": null, "exporter_otlp_endpoint": null}));
}

#[test]
fn only_the_members_that_cannot_be_guessed_are_required() {
    let vector = load("hostdata");
    let full = vector["host_data"].as_object().unwrap();
    for member in full.keys() {
        let mut less = full.clone();
        less.remove(member);
        let read = HostData::from_json(Value::Object(less).to_string().as_bytes());
        let required = ["host_id", "provider_key", "env_values", "link_definitions", "cluster_issuers"];
        if required.contains(&member.as_str()) {
            assert!(read.unwrap_err().to_string().contains(&format!("`{member}`")));
        } else {
            assert!(read.is_ok(), "{member}");
        }
    }
}

#[test]
fn without_a_server_the_local_one_is_meant() {
    let mut data = host_data();
    assert_eq!(data.rpc_url(), "nats://127.0.0.1:4222");
    data.lattice_rpc_url.clear();
    assert_eq!(data.rpc_url(), "nats://127.0.0.1:4222");
    data.lattice_rpc_url = "tls://broker:4223".to_owned();
    assert_eq!(data.rpc_url(), "tls://broker:4223");
}

#[test]
fn debug_shows_no_secret() {
    let mut data = host_data();
    data.lattice_rpc_user_seed = lattice::Secret::new("SUSECRET");
    let shown = format!("{data:?} {:?} {:?}", data.invocation_seed, data.lattice_rpc_user_seed);
    for secret in [data.invocation_seed.expose(), "SUSECRET", "redis://"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn what_is_not_host_data_says_what_is_wrong() {
    let code = |input: &[u8]| HostData::from_stdin_line(input).unwrap_err().code();
    assert_eq!(code(b"hello\n"), "host_data_not_base64");
    assert_eq!(code(b""), "malformed_host_data");
    assert_eq!(code(b"e30=\r\n"), "malformed_host_data");
    assert_eq!(code(&vec![b'A'; 17 * 1024 * 1024]), "host_data_too_long");
}

#[test]
fn health_answers_are_byte_for_byte_those_of_the_vector() {
    let vector = load("messages");
    for (name, response) in [
        ("HealthCheckResponse", HealthResponse { healthy: true, message: None }),
        ("HealthCheckResponse_with_message", HealthResponse { healthy: false, message: Some("redis down".to_owned()) }),
    ] {
        let bytes = hex(&vector[name]["msgpack_hex"]);
        assert_eq!(response.encode(), bytes);
        assert_eq!(HealthResponse::decode(&bytes).unwrap(), response);
    }
}

#[test]
fn health_answers_of_both_generations_of_providers_are_read() {
    let healthy = HealthResponse { healthy: true, message: None };
    for hex in ["82a76865616c746879c3a76d657373616765c0", "92c3c0", "91c3"] {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        assert_eq!(HealthResponse::decode(&bytes).unwrap(), healthy, "{hex}");
    }
    assert!(!HealthResponse::decode(&[0x80]).unwrap().healthy, "silence about health is not health");
    assert!(HealthResponse::decode(b"").is_err());
}

#[test]
fn captured_health_and_shutdown_messages_are_understood() {
    let capture = load("captured_rpc");
    let (mut health, mut requests, mut replies) = (0, 0, 0);
    for message in capture["messages"].as_array().unwrap() {
        let payload = hex(&message["payload_hex"]);
        match text(&message["kind"]) {
            "health reply" => {
                let response = HealthResponse::decode(&payload).unwrap();
                assert_eq!(response.encode(), payload);
                health += 1;
            }
            "shutdown request (json)" => {
                let request = ShutdownRequest::from_json(&payload).unwrap();
                assert!(request.is_from(&"ND6ZWXTMTLBBXIOOEH3I7VQ4R6OVLAXCQDD4VE3RVWI272GHKXEDUZEM".parse().unwrap()));
                assert_eq!(request.to_json(), payload);
                requests += 1;
            }
            "shutdown reply (text)" => {
                assert_eq!(payload, SHUTDOWN_REPLY.as_bytes());
                replies += 1;
            }
            _ => {}
        }
    }
    assert_eq!((health, requests, replies), (3, 1, 1));
}

#[test]
fn a_provider_obeys_only_its_host() {
    let host = host_data().host_id;
    let request = ShutdownRequest::new(&host);
    assert_eq!(String::from_utf8(request.to_json()).unwrap(), text(&load("messages")["shutdown_request_json"]));
    assert!(request.is_from(&host));
    for other in [r#"{"host_id":""}"#, "{}", r#"{"host_id":"NOTHER"}"#] {
        assert!(!ShutdownRequest::from_json(other.as_bytes()).unwrap().is_from(&host), "{other}");
    }
    for bad in ["", "[]", "[\"N\"]", "stop"] {
        assert_eq!(ShutdownRequest::from_json(bad.as_bytes()), None, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        let _ = HostData::from_stdin_line(&bytes);
        let _ = HostData::from_json(&bytes);
        let _ = HealthResponse::decode(&bytes);
        let _ = ShutdownRequest::from_json(&bytes);
    }
}
