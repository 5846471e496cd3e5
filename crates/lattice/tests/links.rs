//! Link definitions against the vectors, both directions.

#![expect(clippy::unwrap_used, reason = "tests")]

mod vectors;

use lattice::subject::LatticeKey;
use lattice::{Link, LinkId};
use proptest::prelude::*;
use vectors::{hex, load, text};

fn sample() -> Link {
    Link::from_json(text(&load("linkdef")["json"]).as_bytes()).unwrap()
}

#[test]
fn json_and_messagepack_are_byte_for_byte_those_of_the_vector() {
    let vector = load("linkdef");
    let link = sample();
    assert_eq!(link.values["URL"], "redis://127.0.0.1:6379");
    assert_eq!(String::from_utf8(link.to_json()).unwrap(), text(&vector["json"]));
    let packed = hex(&vector["msgpack_named_hex"]);
    assert_eq!(Link::from_msgpack(&packed).unwrap(), link);
    assert_eq!(link.to_msgpack(), packed);
}

#[test]
fn ids_are_those_other_hosts_compute() {
    let vector = load("linkdef");
    let row = &vector["ids"][1];
    let link = sample();
    assert_eq!(text(&row["actor_id"]), link.actor_id.as_str());
    let id = LinkId::new(&link.actor_id, &row["contract_id"].as_str().unwrap().parse().unwrap(), &link.link_name);
    assert_eq!(id, link.id());
    assert_eq!(id.to_string(), text(&row["id"]));
    assert_eq!(LatticeKey::Link(id).render(), text(&vector["kv_key"]));
}

#[test]
fn the_id_does_not_depend_on_provider_or_values() {
    let mut other = sample();
    other.provider_id = claims::ProviderId::well_known("x");
    other.values.clear();
    assert_eq!(other.id(), sample().id());
    other.link_name = "second".parse().unwrap();
    assert_ne!(other.id(), sample().id());
}

#[test]
fn captured_links_decode() {
    let capture = load("captured_rpc");
    let mut seen = 0;
    for message in capture["messages"].as_array().unwrap() {
        if text(&message["kind"]).starts_with("linkdefs") {
            let link = Link::from_msgpack(&hex(&message["payload_hex"])).unwrap();
            assert_eq!(serde_json::to_value(&link).unwrap(), message["decoded"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 6, "the capture holds six link messages");
}

#[test]
fn a_link_without_one_of_its_members_is_refused_naming_it() {
    for member in ["actor_id", "provider_id", "link_name", "contract_id", "values"] {
        let mut json = serde_json::to_value(sample()).unwrap();
        json.as_object_mut().unwrap().remove(member);
        let error = Link::from_json(json.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(&format!("`{member}`")), "{error}");
    }
}

#[test]
fn a_malformed_member_is_named() {
    for (member, value) in [
        ("actor_id", r#""Mbob""#),
        ("provider_id", "7"),
        ("link_name", r#""""#),
        ("link_name", r#""a.b""#),
        ("contract_id", r#""""#),
        ("values", r#"{"a":1}"#),
        ("values", "null"),
    ] {
        let mut json = serde_json::to_value(sample()).unwrap();
        json[member] = serde_json::from_str(value).unwrap();
        let error = Link::from_json(json.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(&format!("`{member}`")), "{member} {value}: {error}");
        let error = Link::from_msgpack(&rmp_serde::to_vec_named(&json).unwrap()).unwrap_err();
        assert!(error.to_string().contains(&format!("`{member}`")), "{member} {value}: {error}");
    }
}

#[test]
fn debug_shows_the_names_of_values_only() {
    let shown = format!("{:?}", sample());
    assert!(shown.contains("URL") && !shown.contains("redis"), "{shown}");
}

#[test]
fn members_we_do_not_know_are_ignored() {
    let mut json = serde_json::to_value(sample()).unwrap();
    json["future"] = serde_json::json!({"a": [1, 2]});
    assert_eq!(Link::from_json(json.to_string().as_bytes()).unwrap(), sample());
    assert_eq!(Link::from_msgpack(&rmp_serde::to_vec_named(&json).unwrap()).unwrap(), sample());
}

#[test]
fn a_positional_array_is_a_link_in_messagepack_but_not_in_json() {
    let link = sample();
    assert_eq!(Link::from_msgpack(&rmp_serde::to_vec(&link).unwrap()).unwrap(), link);
    let row = serde_json::json!([link.actor_id, link.provider_id, link.link_name, link.contract_id, link.values]);
    let error = Link::from_json(row.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "a link definition is a JSON object");
}

proptest! {
    #[test]
    fn links_round_trip(raw in any::<[u8; 32]>(), name in "[a-z]{1,9}", values in any::<std::collections::BTreeMap<String, String>>()) {
        use claims::{KeyKind, PublicKey};
        let link = Link {
            actor_id: PublicKey::from_raw(KeyKind::Module, raw).try_into().unwrap(),
            provider_id: PublicKey::from_raw(KeyKind::Service, raw).try_into().unwrap(),
            link_name: name.parse().unwrap(),
            contract_id: "wasmcloud:keyvalue".parse().unwrap(),
            values,
        };
        prop_assert_eq!(&Link::from_json(&link.to_json()).unwrap(), &link);
        prop_assert_eq!(&Link::from_msgpack(&link.to_msgpack()).unwrap(), &link);
        prop_assert_eq!(link.id().to_string().parse::<LinkId>(), Ok(link.id()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = Link::from_msgpack(&bytes);
        let _ = Link::from_json(&bytes);
        let _ = text.parse::<LinkId>();
    }

    #[test]
    fn a_cut_or_changed_link_never_panics(at in 0usize..300, byte in any::<u8>()) {
        let mut packed = sample().to_msgpack();
        let at = at % packed.len();
        packed[at] = byte;
        let _ = Link::from_msgpack(&packed);
        let _ = Link::from_msgpack(&packed[..at]);
    }
}
