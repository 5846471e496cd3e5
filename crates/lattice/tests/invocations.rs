//! Invocations against vectors and captures: envelopes both ways, hashes, signatures, and what must be refused.

#![expect(clippy::unwrap_used, reason = "tests")]

mod vectors;

use std::collections::BTreeSet;

use bytes::Bytes;
use claims::{Claims, ClusterId, HostId, InvocationMetadata, KeyKind, KeyPair};
use lattice::invocation::{Entity, Invocation, InvocationError, InvocationResponse, LIFETIME, MAX_ERROR_BYTES};
use proptest::prelude::*;
use serde_json::Value;
use vectors::{hex, load, text};

/// A time at which vectors and captures are valid.
const NOW: u64 = 1_795_300_000;
const ACTOR: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";
const PROVIDER: &str = "VCIHDJH2WGDSNNZUZY6RAIR7ECZNW4GRWMYGBDZCOMXPTIRRX37CSZRH";
const HOST: &str = "ND6ZWXTMTLBBXIOOEH3I7VQ4R6OVLAXCQDD4VE3RVWI272GHKXEDUZEM";

fn cluster() -> KeyPair {
    KeyPair::from_seed(text(&load("invocation")["cluster_seed"])).unwrap()
}

fn trusted() -> BTreeSet<ClusterId> {
    [cluster().public().try_into().unwrap()].into()
}

fn actor() -> Entity {
    Entity::actor(&ACTOR.parse().unwrap())
}

fn provider() -> Entity {
    Entity::provider(&PROVIDER.parse().unwrap(), &"default".parse().unwrap(), &"wasmcloud:keyvalue".parse().unwrap())
}

fn issue(msg: &[u8]) -> Invocation {
    let host: HostId = HOST.parse().unwrap();
    let msg = Bytes::copy_from_slice(msg);
    Invocation::issue(actor(), provider(), "KeyValue.Get", msg, &cluster(), &host, NOW).unwrap()
}

fn refusal(invocation: &Invocation) -> &'static str {
    invocation.validate(NOW, &trusted()).unwrap_err().code()
}

/// When a call was issued, as its token says.
fn issued_at(invocation: &Invocation) -> u64 {
    Claims::<InvocationMetadata>::verify(&invocation.encoded_claims, NOW).unwrap().issued_at
}

fn large_payload() -> Vec<u8> {
    (0..900 * 1024 + 1).map(|i: usize| ((7 * i + 3) % 256) as u8).collect()
}

/// The four invocations of the vector, with their whole payload.
fn vectors_with_payload() -> Vec<(Value, Vec<u8>)> {
    let vector = load("invocation");
    ["actor_to_provider", "provider_to_actor", "actor_to_actor", "chunked"]
        .into_iter()
        .map(|name| {
            let row = vector[name].clone();
            let payload = if row["msg_hex"].is_null() { large_payload() } else { hex(&row["msg_hex"]) };
            (row, payload)
        })
        .collect()
}

#[test]
fn vectors_decode_and_encode_byte_for_byte() {
    for (row, payload) in vectors_with_payload() {
        let bytes = Bytes::from(hex(&row["msgpack_hex"]));
        let invocation = Invocation::decode(&bytes).unwrap();
        assert_eq!(invocation.encode(), bytes);
        assert_eq!(invocation.operation, text(&row["operation"]));
        assert_eq!(invocation.encoded_claims, text(&row["encoded_claims"]));
        assert_eq!(invocation.content_length, payload.len() as u64);
        assert_eq!(invocation.origin.url(), text(&row["origin_url"]));
        assert_eq!(format!("{}/{}", invocation.target.url(), invocation.operation), text(&row["target_url"]));
        assert_eq!(invocation.is_chunked(), invocation.msg.is_empty());
    }
}

#[test]
fn vectors_are_believed_and_their_payload_only_whole() {
    for (row, payload) in vectors_with_payload() {
        let invocation = Invocation::decode(&hex(&row["msgpack_hex"]).into()).unwrap();
        let verified = invocation.validate(issued_at(&invocation), &trusted()).unwrap();
        assert_eq!(verified.issuer.as_str(), text(&load("invocation")["cluster_issuers"][0]));
        verified.check_body(&payload).unwrap();
        let error = verified.check_body(&payload[1..]).unwrap_err();
        assert!(matches!(error, InvocationError::HashMismatch));
    }
}

#[test]
fn our_signature_is_that_of_the_vectors() {
    let vector = load("invocation");
    for (row, payload) in vectors_with_payload() {
        let theirs = Invocation::decode(&hex(&row["msgpack_hex"]).into()).unwrap();
        let token = Claims::<InvocationMetadata>::verify(&theirs.encoded_claims, NOW).unwrap();
        let host = KeyPair::from_seed(text(&vector["host_seed"])).unwrap().public().try_into().unwrap();
        let ours = Invocation::issue(
            theirs.origin.clone(),
            theirs.target.clone(),
            theirs.operation.clone(),
            payload.into(),
            &cluster(),
            &host,
            token.issued_at,
        )
        .unwrap();
        assert_eq!((&ours.host_id, ours.content_length), (&theirs.host_id, theirs.content_length));
        let mut claims = Claims::<InvocationMetadata>::verify(&ours.encoded_claims, token.issued_at).unwrap();
        assert_eq!(claims.expires_at, Some(token.issued_at + LIFETIME), "hosts of others set none");
        assert_eq!(claims.subject, ours.id);
        assert_eq!(claims.metadata.as_ref().unwrap().hash, text(&row["hash"]));
        assert_eq!(claims.id.len(), 22);
        // All that differs are the end and the two ids; with those of the vector the token is the same text.
        (claims.id, claims.subject, claims.expires_at) = (token.id, token.subject, None);
        assert_eq!(claims.sign(&cluster()).unwrap(), theirs.encoded_claims);
    }
}

#[test]
fn response_vectors_decode_and_encode_byte_for_byte() {
    let vector = load("invocation");
    let bytes = Bytes::from(hex(&vector["response_ok"]["msgpack_hex"]));
    let response = InvocationResponse::decode(&bytes).unwrap();
    let fields = &vector["response_ok"]["fields"];
    assert_eq!(response, InvocationResponse::success(text(&fields["invocation_id"]), hex(&fields["msg_hex"]).into()));
    assert_eq!(response.encode(), bytes);

    let bytes = Bytes::from(hex(&vector["response_error"]["msgpack_hex"]));
    let response = InvocationResponse::decode(&bytes).unwrap();
    assert_eq!(response, InvocationResponse::failure("018bd4fe-5c80-7000-8000-000000000001", "no such key"));
    assert_eq!(response.encode(), bytes);
}

#[test]
fn captured_calls_and_answers_are_understood_and_believed() {
    let capture = load("captured_rpc");
    let (mut calls, mut answers) = (0, 0);
    for message in capture["messages"].as_array().unwrap() {
        let bytes = Bytes::from(hex(&message["payload_hex"]));
        let kind = text(&message["kind"]);
        let decoded = &message["decoded"];
        if kind == "invocation reply" {
            let response = InvocationResponse::decode(&bytes).unwrap();
            assert_eq!(response.encode(), bytes);
            assert_eq!(response.msg, hex(&decoded["msg"]["bytes_hex"]));
            assert_eq!(response.error.as_deref(), decoded["error"].as_str());
            assert_eq!(response.invocation_id, text(&decoded["invocation_id"]));
            answers += 1;
        } else if kind.starts_with("invocation ") {
            let invocation = Invocation::decode(&bytes).unwrap();
            assert_eq!(invocation.encode(), bytes);
            assert_eq!(invocation.msg, hex(&decoded["msg"]["bytes_hex"]));
            assert_eq!(serde_json::to_value(&invocation.origin).unwrap(), decoded["origin"]);
            assert_eq!(serde_json::to_value(&invocation.target).unwrap(), decoded["target"]);
            let verified = invocation.validate(issued_at(&invocation), &trusted()).unwrap();
            verified.check_body(&invocation.msg).unwrap();
            calls += 1;
        }
    }
    assert_eq!((calls, answers), (5, 5));
}

#[test]
fn msg_shares_the_memory_of_the_message() {
    let message = issue(&[7; 4096]).encode();
    let invocation = Invocation::decode(&message).unwrap();
    let (start, end) = (message.as_ptr() as usize, message.as_ptr() as usize + message.len());
    assert!((start..end).contains(&(invocation.msg.as_ptr() as usize)));
    let message = InvocationResponse::success("i", vec![7; 4096].into()).encode();
    let response = InvocationResponse::decode(&message).unwrap();
    let (start, end) = (message.as_ptr() as usize, message.as_ptr() as usize + message.len());
    assert!((start..end).contains(&(response.msg.as_ptr() as usize)));
}

#[test]
fn a_call_may_be_sent_without_its_argument() {
    let (envelope, msg) = issue(&large_payload()).split_msg();
    assert_eq!(msg, large_payload());
    let received = Invocation::decode(&envelope.encode()).unwrap();
    assert!(received.msg.is_empty() && received.is_chunked());
    let verified = received.validate(NOW, &trusted()).unwrap();
    verified.check_body(&msg).unwrap();
    assert!(verified.check_body(b"").is_err(), "the body is not optional, only late");
}

/// What a peer may send, as a map with members of the test's choosing.
fn foreign(change: impl FnOnce(&mut Value)) -> Bytes {
    let mut json = serde_json::json!({
        "origin": {"public_key": ACTOR, "link_name": "", "contract_id": ""},
        "target": {"public_key": PROVIDER, "link_name": "default", "contract_id": "wasmcloud:keyvalue"},
        "operation": "KeyValue.Get", "msg": [167, 99, 255, 0], "id": "1", "encoded_claims": "e", "host_id": HOST,
        "content_length": 4, "traceContext": {"traceparent": "00-1-2-01"},
    });
    change(&mut json);
    rmp_serde::to_vec_named(&json).unwrap().into()
}

#[test]
fn bytes_may_be_an_array_of_numbers() {
    let invocation = Invocation::decode(&foreign(|_| {})).unwrap();
    assert_eq!(&invocation.msg[..], [167, 99, 255, 0]);
    assert_eq!(invocation.trace_context["traceparent"], "00-1-2-01");
    for bad in [serde_json::json!([256]), serde_json::json!([-1]), serde_json::json!(["a"]), serde_json::json!({})] {
        assert!(Invocation::decode(&foreign(|json| json["msg"] = bad)).is_err());
    }
}

#[test]
fn only_origin_target_and_content_length_are_required() {
    for member in ["operation", "msg", "id", "encoded_claims", "host_id", "traceContext"] {
        let remove = |json: &mut Value| {
            json.as_object_mut().unwrap().remove(member);
        };
        assert!(Invocation::decode(&foreign(remove)).is_ok(), "{member}");
        assert!(Invocation::decode(&foreign(|json| json[member] = Value::Null)).is_ok(), "{member} nil");
    }
    for member in ["origin", "target", "content_length"] {
        let remove = |json: &mut Value| {
            json.as_object_mut().unwrap().remove(member);
        };
        let error = Invocation::decode(&foreign(remove)).unwrap_err();
        assert!(error.to_string().contains(member), "{error}");
    }
    let without: Bytes = rmp_serde::to_vec_named(&serde_json::json!({"invocation_id": "1"})).unwrap().into();
    assert!(InvocationResponse::decode(&without).unwrap_err().to_string().contains("content_length"));
}

#[test]
fn members_we_do_not_know_are_ignored_up_to_the_depth_that_is_bounded() {
    let nested = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    assert!(Invocation::decode(&foreign(|json| json["future"] = nested(20))).is_ok());
    assert!(Invocation::decode(&foreign(|json| json["future"] = nested(100))).is_err());
}

#[test]
fn positional_arrays_are_read_as_structs() {
    let ours = issue(b"\xa1a");
    let entity = |e: &Entity| serde_json::json!([e.public_key, e.link_name, e.contract_id]);
    let row = serde_json::json!([
        entity(&ours.origin),
        entity(&ours.target),
        ours.operation,
        ours.msg.to_vec(),
        ours.id,
        ours.encoded_claims,
        ours.host_id,
        ours.content_length,
        {},
    ]);
    assert_eq!(Invocation::decode(&rmp_serde::to_vec(&row).unwrap().into()).unwrap(), ours);
    let row = serde_json::json!([[1, 2], "id", null, 2, {}]);
    let response = InvocationResponse::decode(&rmp_serde::to_vec(&row).unwrap().into()).unwrap();
    assert_eq!(response, InvocationResponse::success("id", vec![1, 2].into()));
}

#[test]
fn an_empty_error_is_still_an_error() {
    let response = InvocationResponse::failure("1", "");
    let decoded = InvocationResponse::decode(&response.encode()).unwrap();
    assert_eq!(decoded.error.as_deref(), Some(""));
}

#[test]
fn what_we_issue_is_believed() {
    for msg in [&b""[..], b"\xa1a"] {
        let invocation = issue(msg);
        let verified = invocation.validate(NOW, &trusted()).unwrap();
        verified.check_body(msg).unwrap();
        assert!(verified.check_body(b"other").is_err());
        assert_eq!((verified.issued_at, verified.expires_at), (NOW, Some(NOW + LIFETIME)));
        assert_eq!(invocation.id.len(), 36);
    }
    assert_ne!(issue(b"").id, issue(b"").id);
}

#[test]
fn only_a_cluster_key_issues() {
    let host: HostId = HOST.parse().unwrap();
    let account = KeyPair::generate(KeyKind::Account);
    let error = Invocation::issue(actor(), provider(), "X.Y", Bytes::new(), &account, &host, NOW).unwrap_err();
    assert_eq!(error.code(), "wrong_issuer_kind");
}

#[test]
fn a_changed_call_is_not_believed() {
    type Change = fn(&mut Invocation);
    let cases: [(&str, Change); 13] = [
        ("invalid_host_id", |i| i.host_id.clear()),
        ("invalid_host_id", |i| i.host_id = ACTOR.to_owned()),
        ("malformed_token", |i| i.encoded_claims.clear()),
        ("malformed_token", |i| i.encoded_claims = i.encoded_claims.replace('.', "")),
        ("signature_invalid", |i| {
            let cut = i.encoded_claims.rfind('.').unwrap() + 1;
            i.encoded_claims.truncate(cut);
        }),
        ("signature_invalid", |i| i.encoded_claims.push_str("AAAA")),
        ("target_mismatch", |i| i.operation = "KeyValue.Del".to_owned()),
        ("target_mismatch", |i| i.target.public_key = ACTOR.to_owned()),
        ("target_mismatch", |i| i.target.link_name = "other".to_owned()),
        ("target_mismatch", |i| i.target.contract_id = "wasmcloud:sqldb".to_owned()),
        ("origin_mismatch", |i| i.origin.public_key = PROVIDER.to_owned()),
        ("hash_mismatch", |i| i.msg = Bytes::from_static(b"\xa1b")),
        ("hash_mismatch", |i| i.msg = Bytes::from_static(b"\xa1a\xc0")),
    ];
    for (code, change) in cases {
        let mut invocation = issue(b"\xa1a");
        change(&mut invocation);
        assert_eq!(refusal(&invocation), code);
    }
}

#[test]
fn a_call_of_an_untrusted_cluster_is_not_believed() {
    let error = issue(b"").validate(NOW, &BTreeSet::new()).unwrap_err();
    assert_eq!(error.code(), "untrusted_issuer");
    assert_eq!(error.to_string(), "issuer of this invocation is not among the list of valid issuers");
}

/// A call whose token is ours to write.
fn with_claims(change: impl FnOnce(&mut Claims<InvocationMetadata>)) -> Invocation {
    let mut invocation = issue(b"\xa1a");
    let mut claims = Claims::<InvocationMetadata>::verify(&invocation.encoded_claims, NOW).unwrap();
    change(&mut claims);
    invocation.encoded_claims = claims.sign(&cluster()).unwrap();
    invocation
}

#[test]
fn times_are_honored() {
    let expired = with_claims(|claims| claims.expires_at = Some(NOW - 1));
    assert_eq!(refusal(&expired), "expired");
    let early = with_claims(|claims| claims.not_before = Some(NOW + 1));
    assert_eq!(refusal(&early), "not_yet_valid");
    let good = with_claims(|claims| claims.expires_at = Some(NOW));
    assert_eq!(good.validate(NOW, &trusted()).unwrap().expires_at, Some(NOW));
}

#[test]
fn a_call_is_believed_for_as_long_as_clocks_may_be_apart_and_no_longer() {
    for issued_at in [NOW - LIFETIME, NOW, NOW + LIFETIME] {
        let in_time = with_claims(|claims| (claims.issued_at, claims.expires_at) = (issued_at, None));
        assert_eq!(in_time.validate(NOW, &trusted()).unwrap().issued_at, issued_at, "hosts of others set no end");
    }
    for issued_at in [0, NOW - 365 * 86_400, NOW - LIFETIME - 1, NOW + LIFETIME + 1, u64::MAX] {
        let apart = with_claims(|claims| (claims.issued_at, claims.expires_at) = (issued_at, None));
        assert_eq!(refusal(&apart), "issued_apart");
    }
    let old = issue(b"").validate(NOW + LIFETIME + 1, &trusted()).unwrap_err();
    assert_eq!(old.code(), "expired");
}

#[test]
fn the_text_of_a_failure_is_bounded_where_it_is_sent_and_where_it_is_read() {
    let long = "\u{1F980}".repeat(15 << 20);
    let sent = InvocationResponse::failure("1", long.clone());
    let read = InvocationResponse { error: Some(long), ..sent.clone() };
    for text in [sent.error.clone(), InvocationResponse::decode(&sent.encode()).unwrap().error, {
        // A peer that cuts nothing, and a message as long as it may be.
        let text = "x".repeat(1 << 20);
        InvocationResponse::decode(&InvocationResponse { error: Some(text), ..read }.encode()).unwrap().error
    }] {
        let text = text.unwrap();
        assert!(text.len() <= MAX_ERROR_BYTES && text.len() > MAX_ERROR_BYTES - 8, "{}", text.len());
        assert!(text.ends_with(" bytes in all)"), "{}", &text[text.len() - 40..]);
    }
    let short = "x".repeat(MAX_ERROR_BYTES);
    assert_eq!(InvocationResponse::failure("1", short.clone()).error, Some(short));
}

#[test]
fn a_token_without_metadata_is_not_believed() {
    assert_eq!(refusal(&with_claims(|claims| claims.metadata = None)), "no_metadata");
}

#[test]
fn a_token_signed_by_another_key_in_the_name_of_ours_is_not_believed() {
    let mut invocation = issue(b"\xa1a");
    let forger = KeyPair::generate(KeyKind::Cluster);
    let (signed, _) = invocation.encoded_claims.rsplit_once('.').unwrap();
    let signature = data_encoding::BASE64URL_NOPAD.encode(&forger.sign(signed.as_bytes()));
    invocation.encoded_claims = format!("{signed}.{signature}");
    assert_eq!(refusal(&invocation), "signature_invalid");
    let error = invocation.validate(NOW, &trusted()).unwrap_err();
    assert_eq!(error.to_string(), "invocation claims signature invalid");
}

#[test]
fn the_host_id_in_an_error_is_bounded_and_printable() {
    let mut invocation = issue(b"");
    invocation.host_id = format!("\u{1b}[31m{}", "x".repeat(100_000));
    let error = invocation.validate(NOW, &trusted()).unwrap_err().to_string();
    assert!(error.starts_with("invalid host ID on invocation: '"), "{error}");
    assert!(error.len() < 200 && !error.contains('\u{1b}'), "{error}");
}

proptest! {
    #[test]
    fn envelopes_round_trip(key in "[MVmv][A-Z2-7]{0,55}", link in any::<String>(), contract in any::<String>(),
                            operation in any::<String>(), msg in any::<Vec<u8>>(), id in any::<String>(),
                            length in any::<u64>(), trace in any::<std::collections::BTreeMap<String, String>>(),
                            error in any::<Option<String>>()) {
        let entity = Entity { public_key: key, link_name: link, contract_id: contract };
        let invocation = Invocation {
            origin: entity.clone(), target: entity, operation, msg: msg.clone().into(), id: id.clone(),
            encoded_claims: "e".to_owned(), host_id: HOST.to_owned(), content_length: length,
            trace_context: trace.clone(),
        };
        prop_assert_eq!(Invocation::decode(&invocation.encode()).unwrap(), invocation);
        let response = InvocationResponse {
            msg: msg.into(), invocation_id: id, error, content_length: length, trace_context: trace,
        };
        prop_assert_eq!(InvocationResponse::decode(&response.encode()).unwrap(), response);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        let bytes = Bytes::from(bytes);
        let _ = Invocation::decode(&bytes);
        let _ = InvocationResponse::decode(&bytes);
    }

    #[test]
    fn a_cut_or_changed_call_never_panics_and_is_not_believed_with_another_meaning(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = issue(b"\xa1a");
        let mut bytes = good.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Invocation::decode(&Bytes::copy_from_slice(&bytes[..at]));
        if let Ok(changed) = Invocation::decode(&bytes.into())
            && changed.validate(NOW, &trusted()).is_ok_and(|verified| verified.check_body(&changed.msg).is_ok())
        {
            prop_assert_eq!((changed.origin.url(), changed.target.url()), (good.origin.url(), good.target.url()));
            prop_assert_eq!((changed.operation, changed.msg), (good.operation, good.msg));
        }
    }
}
