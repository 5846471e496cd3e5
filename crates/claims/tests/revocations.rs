//! Revocation lists: the golden ones, who may revoke what, and every way a list can be wrong.
//!
//! The golden lists were made by another implementation of Ed25519 and of the text forms.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use claims::revocation::{
    Entry, Facts, MAX_ENTRIES, MAX_REASON, MAX_TOKEN, RevocationError, RevocationList, Revoked, Sha256, Signer, verify,
};
use claims::{AccountId, KeyKind, KeyPair, PublicKey, TokenError};
use common::{NOW, account, forge, key, text, vector};
use serde_json::{Value, json};

const HEADER: &str = r#"{"typ":"jwt","alg":"Ed25519"}"#;

fn cluster() -> KeyPair {
    key(KeyKind::Cluster, 4)
}

fn actor() -> PublicKey {
    key(KeyKind::Module, 2).public()
}

fn entry(revoked: Revoked) -> Entry {
    Entry { revoked, reason: None, since: NOW }
}

fn list(entries: &[Revoked]) -> RevocationList {
    RevocationList { lattice: "default".to_owned(), number: 1, entries: entries.iter().copied().map(entry).collect() }
}

fn issuer(pair: &KeyPair) -> Revoked {
    Revoked::Issuer(AccountId::try_from(pair.public()).unwrap())
}

/// The claims of a good list, to be spoiled.
fn body() -> Value {
    json!({
        "jti": "x", "iat": NOW, "iss": cluster().public(), "sub": "default", "wascap_revision": 3,
        "wascap": { "number": 1, "revocations": [{ "actor": actor(), "since": NOW }] },
    })
}

fn refusal(body: &Value) -> RevocationError {
    verify(&forge(HEADER, &body.to_string(), &cluster())).unwrap_err()
}

#[test]
fn golden_lists_read_as_they_were_meant() {
    let vectors = vector("revocations");
    for vector in vectors.as_array().unwrap() {
        let token = text(vector, "jwt");
        let signed = verify(token).unwrap();
        let claims = &vector["claims"];
        assert_eq!(signed.token, token);
        assert_eq!(signed.signer.to_string(), text(claims, "iss"));
        assert_eq!(signed.signer, text(claims, "iss").parse().unwrap());
        assert_eq!(signed.list.lattice, text(claims, "sub"));
        assert_eq!(claims["iat"], signed.issued_at);
        assert_eq!(claims["wascap"]["number"], signed.list.number);
        let entries = claims["wascap"]["revocations"].as_array().unwrap();
        assert_eq!(signed.list.entries.len(), entries.len());
        for (read, meant) in signed.list.entries.iter().zip(entries) {
            assert_eq!(text(meant, read.revoked.kind()), read.revoked.to_string());
            assert_eq!(meant["reason"].as_str(), read.reason.as_deref());
            assert_eq!(meant["since"], read.since);
        }
        // What we sign from it reads the same.
        let signer = KeyPair::from_seed(text(vector, "signer_seed")).unwrap();
        let again = verify(&signed.list.sign(&signer, signed.issued_at).unwrap()).unwrap();
        assert_eq!((again.list, again.signer), (signed.list, signed.signer));
    }
    assert_eq!(vectors.as_array().unwrap().len(), 3);
}

#[test]
fn a_cluster_key_revokes_anything_by_any_of_its_names() {
    let digest = Sha256::of(b"artifact");
    let digests = [Sha256([1; 32]), digest];
    let provider = key(KeyKind::Service, 3).public();
    let named = |revoked, subject: PublicKey| {
        let facts = Facts { issuer: account().public().try_into().unwrap(), subject: &subject, digests: &digests };
        let signed = verify(&list(&[revoked]).sign(&cluster(), NOW).unwrap()).unwrap();
        signed.names(&facts).map(|entry| entry.revoked)
    };
    for revoked in [issuer(&account()), Revoked::Actor(actor().try_into().unwrap()), Revoked::Digest(digest)] {
        assert_eq!(named(revoked, actor()), Some(revoked));
    }
    let other_provider = Revoked::Provider(provider.try_into().unwrap());
    assert_eq!(named(other_provider, provider), Some(other_provider));
    for other in [
        issuer(&key(KeyKind::Account, 9)),
        Revoked::Actor(key(KeyKind::Module, 9).public().try_into().unwrap()),
        other_provider,
        Revoked::Digest(Sha256::of(b"other")),
    ] {
        assert_eq!(named(other, actor()), None);
    }
}

#[test]
fn an_account_takes_back_only_itself_and_what_it_issued() {
    let (mine, other) = (account(), key(KeyKind::Account, 9));
    let actor = actor();
    let facts =
        |by: &KeyPair| Facts { issuer: by.public().try_into().unwrap(), subject: &actor, digests: &[Sha256([7; 32])] };
    let everything =
        [issuer(&mine), issuer(&other), Revoked::Actor(actor.try_into().unwrap()), Revoked::Digest(Sha256([7; 32]))];
    for revoked in everything {
        let signed = verify(&list(&[revoked]).sign(&mine, NOW).unwrap()).unwrap();
        assert_eq!(signed.names(&facts(&mine)).is_some(), revoked != issuer(&other), "{revoked}");
        assert_eq!(signed.names(&facts(&other)), None, "{revoked}");
    }
}

#[test]
fn only_cluster_keys_and_accounts_sign_lists() {
    for kind in KeyKind::ALL {
        let signer = key(kind, 5);
        let signs = matches!(kind, KeyKind::Cluster | KeyKind::Account);
        let signed = list(&[]).sign(&signer, NOW);
        assert_eq!(signed.is_ok(), signs, "{kind}");
        assert_eq!(signer.public().as_str().parse::<Signer>().is_ok(), signs, "{kind}");
        let mut body = body();
        body["iss"] = json!(signer.public());
        let verdict = verify(&forge(HEADER, &body.to_string(), &signer));
        assert_eq!(verdict.is_ok(), signs, "{kind}");
        if let Err(error) = verdict {
            assert_eq!(error.code(), "wrong_revocation_signer");
        }
    }
}

#[test]
fn forged_and_damaged_tokens_are_refused_for_their_reason() {
    let good = body().to_string();
    assert!(verify(&forge(HEADER, &good, &cluster())).is_ok());
    let forged = verify(&forge(HEADER, &good, &key(KeyKind::Cluster, 9))).unwrap_err();
    assert_eq!(forged.code(), "signature_invalid");
    let wrong = |header: &str| verify(&forge(header, &good, &cluster())).unwrap_err().code();
    assert_eq!(wrong(r#"{"typ":"jwt","alg":"none"}"#), "wrong_algorithm");
    assert_eq!(wrong(r#"{"typ":"x","alg":"Ed25519"}"#), "wrong_type");
    let actor = common::actor_claims().sign(&account()).unwrap();
    assert_eq!(verify(&actor).unwrap_err().code(), "malformed_token");
    assert!(matches!(verify("a.b").unwrap_err(), RevocationError::Token(TokenError::Segments { found: 2 })));
    assert!(matches!(verify(&"x".repeat(MAX_TOKEN + 1)), Err(RevocationError::TooLarge { limit: MAX_TOKEN, .. })));
    assert!(matches!(verify(&"x".repeat(MAX_TOKEN)), Err(RevocationError::Token(TokenError::Segments { found: 1 }))));
}

/// Refuses a body after setting one member.
fn with(pointer: &str, value: Value) -> RevocationError {
    let mut body = body();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[member] = value;
    refusal(&body)
}

#[test]
fn a_list_has_a_lattice_a_number_and_no_end() {
    assert!(matches!(with("/wascap/number", json!(0)), RevocationError::NumberZero));
    for member in ["/exp", "/nbf"] {
        assert!(matches!(with(member, json!(NOW)), RevocationError::Timed), "{member}");
    }
    for lattice in ["l".repeat(257), "a\nb".to_owned()] {
        assert!(matches!(with("/sub", json!(lattice)), RevocationError::NotALattice { .. }));
        let list = RevocationList { lattice, ..list(&[]) };
        assert!(matches!(list.sign(&cluster(), NOW), Err(RevocationError::NotALattice { .. })));
    }
    assert!(matches!(with("/sub", json!("")), RevocationError::Token(TokenError::Missing { member: "sub" })));
    let nameless = RevocationList { lattice: String::new(), ..list(&[]) };
    assert!(matches!(nameless.sign(&cluster(), NOW), Err(RevocationError::NotALattice { .. })));
    let unnumbered = RevocationList { number: 0, ..list(&[]) };
    assert!(matches!(unnumbered.sign(&cluster(), NOW), Err(RevocationError::NumberZero)));
    for member in ["/wascap/number", "/wascap/revocations", "/jti", "/iat"] {
        assert_eq!(with(member, json!({})).code(), "malformed_token", "{member}");
    }
    let mut bare = body();
    bare.as_object_mut().unwrap().remove("wascap");
    assert!(matches!(refusal(&bare), RevocationError::Token(TokenError::NoMetadata)));
}

#[test]
fn an_entry_names_one_thing_of_its_kind() {
    let entry = |entry: Value| with("/wascap/revocations", json!([entry]));
    let (actor, account) = (actor(), account().public());
    for none_or_two in [json!({ "since": 1 }), json!({ "actor": actor, "issuer": account, "since": 1 })] {
        assert!(matches!(entry(none_or_two), RevocationError::NotOneThing { index: 0 }));
    }
    assert_eq!(entry(json!({ "issuer": actor, "since": 1 })).code(), "wrong_key_kind");
    assert_eq!(entry(json!({ "actor": "M", "since": 1 })).code(), "key_length");
    assert_eq!(entry(json!({ "actor": actor })).code(), "malformed_token");
    let upper = Sha256::of(b"x").to_string().to_uppercase();
    for digest in ["", "sha256:", "sha256:00", &upper, &upper.replace("SHA", "sha"), "sha512:00", &"0".repeat(64)] {
        assert_eq!(entry(json!({ "digest": digest, "since": 1 })).code(), "not_a_digest", "{digest}");
    }
    assert!(matches!(Revoked::parse("host", ""), Err(RevocationError::UnknownKind { found }) if found == "host"));
}

#[test]
fn nothing_is_named_twice() {
    let twice = json!([{ "actor": actor(), "since": 1 }, { "actor": actor(), "since": 2, "reason": "again" }]);
    let error = with("/wascap/revocations", twice);
    assert_eq!(error.to_string(), format!("the revocation list names `{}` twice", actor()));
    let error = list(&[issuer(&account()), issuer(&account())]).sign(&cluster(), NOW).unwrap_err();
    assert_eq!(error.code(), "duplicate_revocation");
}

#[test]
fn entries_and_reasons_are_bounded_for_writers_and_readers() {
    let digests =
        |count: usize| -> Vec<Revoked> { (0..count).map(|n| Revoked::Digest(Sha256::of(&n.to_le_bytes()))).collect() };
    let token = list(&digests(MAX_ENTRIES)).sign(&cluster(), NOW).unwrap();
    assert_eq!(verify(&token).unwrap().list.entries.len(), MAX_ENTRIES);
    let too_many = digests(MAX_ENTRIES + 1);
    let error = list(&too_many).sign(&cluster(), NOW).unwrap_err();
    assert!(matches!(error, RevocationError::TooManyEntries { found, limit: MAX_ENTRIES } if found == too_many.len()));
    let entries: Vec<_> = too_many.iter().map(|digest| json!({ "digest": digest.to_string(), "since": 1 })).collect();
    let error = with("/wascap/revocations", json!(entries));
    assert!(matches!(error, RevocationError::TooManyEntries { found, .. } if found == too_many.len()));

    let reason = |reason: String| with("/wascap/revocations/0/reason", json!(reason));
    assert!(matches!(reason("r".repeat(MAX_REASON + 1)), RevocationError::ReasonTooLong { found: 257, .. }));
    assert!(matches!(reason("\u{1b}[2J".to_owned()), RevocationError::ReasonNotPlain { .. }));
    let with_reason = |reason: String| {
        let entry = Entry { reason: Some(reason), ..entry(issuer(&account())) };
        RevocationList { entries: vec![entry], ..list(&[]) }.sign(&cluster(), NOW)
    };
    assert!(with_reason("ü".repeat(MAX_REASON / 2)).is_ok());
    assert_eq!(with_reason("r".repeat(MAX_REASON + 1)).unwrap_err().code(), "revocation_reason");
    assert_eq!(with_reason("a\nb".to_owned()).unwrap_err().code(), "revocation_reason");
}

#[test]
fn kinds_and_texts_round_trip() {
    let everything = [
        issuer(&account()),
        Revoked::Actor(actor().try_into().unwrap()),
        Revoked::Provider(key(KeyKind::Service, 3).public().try_into().unwrap()),
        Revoked::Digest(Sha256::of(b"abc")),
    ];
    for revoked in everything {
        assert_eq!(Revoked::parse(revoked.kind(), &revoked.to_string()).unwrap(), revoked);
    }
    assert_eq!(everything.map(|revoked| revoked.kind()), Revoked::KINDS);
    let abc = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    assert_eq!(Sha256::from_hex(abc), Some(Sha256::of(b"abc")));
    assert_eq!(Sha256::of(b"abc").to_string(), format!("sha256:{}", abc.to_lowercase()));
    assert_eq!(Sha256::from_hex(&abc[1..]), None);
}
