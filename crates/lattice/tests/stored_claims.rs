//! Stored claims against captures, and in the spelling of older hosts.

#![expect(clippy::unwrap_used, reason = "tests")]

mod vectors;

use claims::{AccountId, ActorMetadata, Claims, KeyKind, KeyPair, ProviderId, ProviderMetadata};
use lattice::stored_claims::{StoredActor, StoredClaims, StoredProvider};
use lattice::subject::LatticeKey;
use proptest::prelude::*;
use serde_json::{Value, json};
use vectors::load;

const ACTOR: &str = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT";
const PROVIDER: &str = "VCIHDJH2WGDSNNZUZY6RAIR7ECZNW4GRWMYGBDZCOMXPTIRRX37CSZRH";
const ISSUER: &str = "ABCPLXO4QX46IPIJU53EB547J6RLPEUNCBGUAJPSE4LRD52KCUN54YXC";

fn read(json: &Value) -> StoredClaims {
    StoredClaims::from_json(json.to_string().as_bytes()).unwrap()
}

fn written(claims: &StoredClaims) -> Value {
    serde_json::from_slice(&claims.to_json()).unwrap()
}

fn actor() -> StoredActor {
    StoredActor {
        id: ACTOR.parse().unwrap(),
        issuer: ISSUER.parse().unwrap(),
        name: "Echo".to_owned(),
        capabilities: vec!["wasmcloud:keyvalue".to_owned(), "wasmcloud:httpserver".to_owned()],
        tags: vec!["t1".to_owned()],
        revision: 2,
        version: "0.1.1".to_owned(),
        call_alias: None,
    }
}

#[test]
fn captured_entries_are_understood_and_written_back_the_same() {
    let capture = load("captured_claims");
    let entries = capture["kv"].as_object().unwrap();
    assert_eq!(entries.len(), 2);
    for (key, value) in entries {
        let claims = read(value);
        assert_eq!(LatticeKey::Claims(claims.subject()).render(), *key);
        assert_eq!(&written(&claims), value);
        assert_eq!(read(&written(&claims)), claims);
    }
}

#[test]
fn rows_are_those_a_real_host_answers() {
    let capture = load("captured_claims");
    let rows = capture["get_claims"]["claims"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let subject = row["subject"].as_str().unwrap();
        let stored = read(&capture["kv"][format!("CLAIMS_{subject}")]);
        assert_eq!(&serde_json::to_value(stored.to_row()).unwrap(), row);
    }
}

#[test]
fn the_spelling_of_older_hosts_is_read_but_not_written() {
    let old = json!({"call_alias": "", "caps": "wasmcloud:keyvalue, wasmcloud:httpserver", "iss": ISSUER,
        "name": "Echo", "rev": "2", "sub": ACTOR, "tags": "t1", "version": "0.1.1"});
    let claims = read(&old);
    assert_eq!(claims, StoredClaims::Actor(actor()));
    let new = written(&claims);
    for member in ["caps", "iss", "rev", "sub"] {
        assert!(new.get(member).is_none(), "{member} beside its new name is refused by others");
    }
    assert_eq!(new["call_alias"], "", "others cannot read null here");
    let provider =
        json!({"caps": "", "iss": ISSUER, "name": "KV", "rev": "3", "sub": PROVIDER, "tags": "", "version": "1"});
    assert!(matches!(read(&provider), StoredClaims::Provider(StoredProvider { revision: 3, .. })));
}

#[test]
fn absent_and_null_members_are_empty_except_who_signed_whom() {
    let claims = read(&json!({"subject": ACTOR, "issuer": ISSUER, "capabilities": null, "tags": null}));
    let StoredClaims::Actor(actor) = claims else { panic!("the subject is an actor") };
    assert_eq!((actor.capabilities.len(), actor.tags.len(), actor.revision, actor.call_alias), (0, 0, 0, None));
    for (member, json) in [
        ("subject", json!({"issuer": ISSUER})),
        ("issuer", json!({"subject": ACTOR})),
        ("subject", json!({"subject": ISSUER, "issuer": ISSUER})),
        ("issuer", json!({"subject": ACTOR, "issuer": ACTOR})),
        ("capabilities", json!({"subject": ACTOR, "issuer": ISSUER, "capabilities": [1]})),
        ("tags", json!({"subject": ACTOR, "issuer": ISSUER, "tags": {}})),
        ("revision", json!({"subject": ACTOR, "issuer": ISSUER, "revision": "two"})),
        ("name", json!({"subject": ACTOR, "issuer": ISSUER, "name": 1})),
    ] {
        let error = StoredClaims::from_json(json.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(&format!("`{member}`")), "{json}: {error}");
    }
    for bad in ["", "[]", "null", "\"x\""] {
        assert_eq!(StoredClaims::from_json(bad.as_bytes()).unwrap_err().code(), "malformed_stored_claims");
    }
}

#[test]
fn signed_claims_become_stored_claims() {
    let account = KeyPair::generate(KeyKind::Account);
    let issuer: AccountId = account.public().try_into().unwrap();
    let metadata = ActorMetadata {
        name: Some("Echo".to_owned()),
        caps: Some(vec!["wasmcloud:keyvalue".to_owned()]),
        rev: Some(2),
        call_alias: Some("echo".to_owned()),
        ..ActorMetadata::default()
    };
    let signed = Claims::new(account.public(), ACTOR, metadata, 1_700_000_000);
    let stored = StoredActor::new(ACTOR.parse().unwrap(), issuer, &signed);
    assert_eq!((stored.revision, stored.call_alias.as_deref()), (2, Some("echo")));
    assert_eq!(stored.capabilities, ["wasmcloud:keyvalue"]);

    let metadata = ProviderMetadata {
        capid: "wasmcloud:keyvalue".to_owned(),
        config_schema: Some(json!({"type": "object"})),
        ..ProviderMetadata::default()
    };
    let signed = Claims::new(account.public(), PROVIDER, metadata, 1_795_210_457);
    let stored = StoredProvider::new(PROVIDER.parse().unwrap(), issuer, &signed);
    assert_eq!(stored.revision, 1_795_210_457, "without a revision, when it was signed");
    let stored = StoredClaims::Provider(stored);
    assert_eq!(written(&stored)["config_schema"], r#"{"type":"object"}"#);
    assert_eq!(read(&written(&stored)), stored);
}

proptest! {
    #[test]
    fn stored_claims_round_trip(name in any::<String>(), caps in any::<Vec<String>>(), tags in any::<Vec<String>>(),
                                revision in any::<i64>(), alias in "[a-z_]{0,9}", schema in any::<String>()) {
        let claims = StoredClaims::Actor(StoredActor {
            name: name.clone(),
            capabilities: caps,
            tags,
            revision,
            call_alias: Some(alias).filter(|alias| !alias.is_empty()),
            ..actor()
        });
        prop_assert_eq!(StoredClaims::from_json(&claims.to_json()).unwrap(), claims);
        let claims = StoredClaims::Provider(StoredProvider {
            id: ProviderId::well_known("x"),
            issuer: ISSUER.parse().unwrap(),
            name,
            contract_id: "wasmcloud:keyvalue".to_owned(),
            revision,
            version: String::new(),
            config_schema: Some(schema).filter(|schema| !schema.is_empty()),
        });
        prop_assert_eq!(StoredClaims::from_json(&claims.to_json()).unwrap(), claims);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = StoredClaims::from_json(&bytes);
        let _ = StoredClaims::from_json(json!({"subject": text, "issuer": text}).to_string().as_bytes());
    }
}
