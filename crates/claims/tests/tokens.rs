//! Tokens against the golden vectors, and every way a token can be wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use claims::{
    AccountMetadata, ActorMetadata, Claims, ClusterMetadata, InvocationMetadata, KeyKind, KeyPair, Metadata,
    OperatorMetadata, ProviderMetadata, PublicKey, TokenError,
};
use common::{NOW, account, actor_claims, forge, key, text, vector};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const HEADER: &str = r#"{"typ":"jwt","alg":"Ed25519"}"#;

/// Reads the vector, checks the verdicts, and signs it again.
fn check_vector<M>(vector: &Value) -> String
where
    M: Metadata + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let inspection = Claims::<M>::inspect(text(vector, "jwt"), NOW).unwrap();
    assert_eq!(inspection.signature_valid, vector["signature_valid"], "{vector}");
    assert_eq!(inspection.expired, vector["expired"], "{vector}");
    assert_eq!(inspection.not_yet_valid, vector["not_yet_valid"], "{vector}");
    let expected: Value = serde_json::from_str(text(vector, "claims_json")).unwrap();
    assert_eq!(serde_json::to_value(&inspection.claims).unwrap(), expected);

    let issuer = KeyPair::from_seed(text(vector, "issuer_seed")).unwrap();
    let again = inspection.claims.sign(&issuer).unwrap();
    assert_eq!(Claims::<M>::verify_signature(&again).unwrap(), inspection.claims);
    again
}

#[test]
fn golden_tokens_read_and_are_signed_byte_for_byte() {
    let tokens = vector("jwt");
    for name in ["actor", "actor_minimal", "actor_expired", "actor_not_yet"] {
        assert_eq!(check_vector::<ActorMetadata>(&tokens[name]), text(&tokens[name], "jwt"), "{name}");
    }
    assert_eq!(check_vector::<AccountMetadata>(&tokens["account"]), text(&tokens["account"], "jwt"));
    assert_eq!(check_vector::<OperatorMetadata>(&tokens["operator"]), text(&tokens["operator"], "jwt"));
    assert_eq!(check_vector::<ClusterMetadata>(&tokens["cluster"]), text(&tokens["cluster"], "jwt"));
    // The order of the hashes is not part of the format, so only the content can be compared.
    check_vector::<ProviderMetadata>(&tokens["provider"]);
}

#[test]
fn golden_tokens_with_faults_are_refused_for_the_right_reason() {
    let tokens = vector("jwt");
    let token = |name: &str| text(&tokens[name], "jwt").to_owned();
    let verify = |name: &str| Claims::<ActorMetadata>::verify(&token(name), NOW).unwrap_err();
    assert!(matches!(verify("actor_expired"), TokenError::Expired { .. }));
    assert!(matches!(verify("actor_not_yet"), TokenError::NotYetValid { .. }));
    assert!(matches!(verify("tampered_claims"), TokenError::SignatureInvalid { .. }));
    // Its header says `EdDSA`, which peers do not take and we do; but it was put there after signing.
    assert!(matches!(verify("wrong_alg"), TokenError::SignatureInvalid { .. }));
    assert!(matches!(verify("two_segments"), TokenError::Segments { found: 2 }));
    assert_eq!(tokens["tampered_claims"]["signature_valid"], false);
    // The words of the vectors for what peers check first.
    assert_eq!(tokens["wrong_alg"]["rejected"], "algorithm");
    assert_eq!(tokens["two_segments"]["rejected"], "segment count");
    assert_eq!(tokens.as_object().unwrap().len(), 11, "every vector is used");
    let tampered = Claims::<ActorMetadata>::inspect(&token("tampered_claims"), NOW).unwrap();
    assert!(!tampered.signature_valid);
}

#[test]
fn real_tokens_of_old_signers_verify() {
    let mut seen = 0;
    for fixture in vector("wascap_fixtures").as_array().unwrap() {
        for section in fixture["jwt_sections"].as_array().unwrap() {
            let token = text(section, "jwt");
            assert_eq!(section["signature_valid"], true);
            let claims = Claims::<ActorMetadata>::verify(token, NOW).unwrap();
            let written: Value = serde_json::from_str(text(section, "claims_json")).unwrap();
            let read = serde_json::to_value(&claims).unwrap();
            for (member, value) in written.as_object().unwrap() {
                assert_eq!(&read[member], value, "{member}");
            }
            let header = data_encoding::BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
            assert_eq!(header, text(section, "header_json").as_bytes());
            let revision = claims.wascap_revision.unwrap_or(0);
            assert_eq!(u64::from(revision), section["wascap_revision"].as_u64().unwrap());
            assert_eq!(revision >= claims::REVISION, section["hash_enforced_at_0_82"]);
            let hash = claims.metadata.unwrap().hash;
            assert_eq!(hash, text(section, "claimed_hash"));
            // The files are not part of this repository; what was found out about them is.
            assert_eq!(hash == text(fixture, "canonical_hash"), section["claimed_equals_canonical"]);
            assert_eq!(hash == text(fixture, "raw_cut_hash"), section["claimed_equals_raw_cut"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 3);
}

#[test]
fn times_count_in_whole_seconds_and_at_the_edge_the_token_holds() {
    let mut claims = actor_claims();
    claims.issued_at = NOW - 10;
    claims.expires_at = Some(NOW);
    claims.not_before = Some(NOW);
    let token = claims.sign(&account()).unwrap();
    assert_eq!(Claims::verify(&token, NOW).unwrap(), claims);
    let early = Claims::<ActorMetadata>::verify(&token, NOW - 1).unwrap_err();
    assert_eq!((early.code(), early.to_string()), ("not_yet_valid", "the claims become valid in 1s".to_owned()));
    let late = Claims::<ActorMetadata>::verify(&token, NOW + 1).unwrap_err();
    assert_eq!(late.code(), "expired");
    assert_eq!(late.to_string(), "the claims expired 1s ago: sign again with a later expiry");
    let shown = Claims::<ActorMetadata>::inspect(&token, NOW + 3600).unwrap();
    assert_eq!((shown.expires_human.as_str(), shown.not_before_human.as_str()), ("1h ago", "1h ago"));
    let shown = Claims::<ActorMetadata>::inspect(&actor_claims().sign(&account()).unwrap(), NOW).unwrap();
    assert_eq!((shown.expires_human.as_str(), shown.not_before_human.as_str()), ("never", "immediately"));
}

#[test]
fn a_token_from_the_future_says_that_a_clock_is_wrong() {
    let mut claims = actor_claims();
    (claims.issued_at, claims.not_before) = (NOW, Some(NOW + 60));
    let token = claims.sign(&account()).unwrap();
    let verify = |now| Claims::<ActorMetadata>::verify(&token, now).unwrap_err();
    assert_eq!(verify(NOW).code(), "not_yet_valid");
    let skewed = verify(NOW - 120);
    assert_eq!(skewed.code(), "clock_skew");
    let text = "the claims become valid in 3m, but were signed 2m from now: one of the two clocks is wrong";
    assert_eq!(skewed.to_string(), text);
    // Without a beginning it holds at once, also where the clock is behind: peers do not look at the time of signing.
    let timeless = actor_claims().sign(&account()).unwrap();
    assert!(Claims::<ActorMetadata>::verify(&timeless, 0).is_ok());
}

#[test]
fn headers_may_differ_in_spelling_but_not_in_meaning() {
    let body = serde_json::to_string(&actor_claims()).unwrap();
    let verify = |header: &str| Claims::<ActorMetadata>::verify(&forge(header, &body, &account()), NOW);
    for accepted in [
        HEADER,
        r#"{"typ":"jwt","alg":"EdDSA"}"#,
        r#"{ "alg": "Ed25519", "typ": "jwt" }"#,
        r#"{"typ":"jwt","alg":"Ed25519","kid":"x"}"#,
    ] {
        assert_eq!(verify(accepted).unwrap(), actor_claims_with_id_of(&body), "{accepted}");
    }
    for (refused, code) in [
        (r#"{"typ":"jwt","alg":"none"}"#, "wrong_algorithm"),
        (r#"{"typ":"jwt","alg":"ed25519-nkey"}"#, "wrong_algorithm"),
        (r#"{"typ":"jwt","alg":"HS256"}"#, "wrong_algorithm"),
        (r#"{"typ":"jwt"}"#, "wrong_algorithm"),
        (r#"{"typ":"x","alg":"none"}"#, "wrong_algorithm"),
        (r#"{"typ":"JWT","alg":"Ed25519"}"#, "wrong_type"),
        (r#"{"alg":"Ed25519"}"#, "wrong_type"),
        (r#"{"typ":1,"alg":"Ed25519"}"#, "malformed_token"),
        ("jwt", "malformed_token"),
    ] {
        assert_eq!(verify(refused).unwrap_err().code(), code, "{refused}");
    }
}

fn actor_claims_with_id_of(body: &str) -> Claims<ActorMetadata> {
    let body: Value = serde_json::from_str(body).unwrap();
    Claims { id: text(&body, "jti").to_owned(), ..actor_claims() }
}

#[test]
fn only_three_strictly_encoded_segments_are_a_token() {
    let token = actor_claims().sign(&account()).unwrap();
    let verify = |token: &str| Claims::<ActorMetadata>::verify(token, NOW).unwrap_err();
    assert!(matches!(verify(""), TokenError::Segments { found: 1 }));
    assert!(matches!(verify(&format!("{token}.")), TokenError::Segments { found: 4 }));
    assert!(matches!(verify(&format!("{token}=")), TokenError::Padding { part: "signature" }));
    assert!(matches!(verify(&token.replacen('.', "==.", 1)), TokenError::Padding { part: "header" }));
    assert!(matches!(verify(&format!("{token}\n")), TokenError::Encoding { part: "signature" }));
    assert!(matches!(verify(&format!(" {token}")), TokenError::Encoding { part: "header" }));
    assert!(matches!(verify(&token.replacen('.', ".+", 1)), TokenError::Encoding { part: "claims" }));

    // 64 bytes leave four loose bits in the last character; only zero is right.
    let (rest, last) = token.split_at(token.len() - 1);
    assert!("AQgw".contains(last));
    let loose = char::from(last.as_bytes()[0] + 1);
    assert!(matches!(verify(&format!("{rest}{loose}")), TokenError::Encoding { part: "signature" }));
}

#[test]
fn a_signature_of_any_other_size_or_place_is_invalid() {
    let token = actor_claims().sign(&account()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for wrong in [String::new(), signature[..80].to_owned(), signature.repeat(2).replace('=', ""), "A".repeat(86)] {
        let error = Claims::<ActorMetadata>::verify(&format!("{signed}.{wrong}"), NOW);
        assert!(matches!(error, Err(TokenError::SignatureInvalid { .. } | TokenError::Encoding { .. })), "{wrong}");
    }
    let empty = Claims::<ActorMetadata>::inspect(&format!("{signed}."), NOW).unwrap();
    assert!(!empty.signature_valid);
}

/// Verifies claims of an actor after changing one member; `None` removes it.
fn with_member(member: &str, value: Option<Value>) -> Result<Claims<ActorMetadata>, TokenError> {
    let mut body = serde_json::to_value(actor_claims()).unwrap();
    match value {
        Some(value) => body[member] = value,
        None => drop(body.as_object_mut().unwrap().remove(member)),
    }
    Claims::verify(&forge(HEADER, &body.to_string(), &account()), NOW)
}

#[test]
fn members_follow_the_table_of_the_protocol() {
    for required in ["jti", "iat", "iss", "sub"] {
        assert!(matches!(with_member(required, None), Err(TokenError::Json { part: "claims", .. })), "{required}");
    }
    for optional in ["exp", "nbf", "wascap", "wascap_revision"] {
        assert!(with_member(optional, None).is_ok(), "{optional}");
        assert!(with_member(optional, Some(Value::Null)).is_ok(), "{optional}");
    }
    assert!(matches!(with_member("iss", Some(json!(""))), Err(TokenError::Missing { member: "iss" })));
    assert!(matches!(with_member("sub", Some(json!(""))), Err(TokenError::Missing { member: "sub" })));
    assert!(matches!(with_member("iss", Some(json!("me"))), Err(TokenError::Entity { member: "iss", .. })));
    assert!(matches!(with_member("sub", Some(json!("me"))), Err(TokenError::Entity { member: "sub", .. })));
    for (member, value) in [("iat", json!(-1)), ("exp", json!("soon")), ("exp", json!(1.5)), ("wascap", json!([]))] {
        assert!(matches!(with_member(member, Some(value)), Err(TokenError::Json { .. })), "{member}");
    }
    assert!(with_member("unknown", Some(json!({"is": "ignored"}))).is_ok());
    assert!(matches!(with_member("wascap", Some(json!({"name": "no hash"}))), Err(TokenError::Json { .. })));
}

#[test]
fn json_that_nests_without_end_is_refused() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let (issuer, subject) = (account().public(), key(KeyKind::Service, 1).public());
    let body = format!(
        r#"{{"jti":"","iat":1,"iss":"{issuer}","sub":"{subject}","wascap":{{"capid":"","vendor":"","target_hashes":{{}},"config_schema":{deep}}}}}"#
    );
    let error = Claims::<ProviderMetadata>::verify(&forge(HEADER, &body, &account()), NOW).unwrap_err();
    assert!(matches!(error, TokenError::Json { part: "claims", .. }), "{error:?}");
}

#[test]
fn claims_of_another_kind_are_called_so() {
    let provider = text(&vector("jwt")["provider"], "jwt").to_owned();
    assert_eq!(claims::subject_kind(&provider).unwrap(), Some(KeyKind::Service));
    let error = Claims::<ActorMetadata>::inspect(&provider, NOW).unwrap_err();
    assert_eq!(error.code(), "wrong_subject_kind", "although its metadata has no `hash`: {error}");

    let user = key(KeyKind::User, 5);
    assert!(matches!(
        with_member("sub", Some(json!(user.public()))),
        Err(TokenError::WrongSubjectKind { expected: KeyKind::Module, found: KeyKind::User, .. })
    ));
    let body = serde_json::to_string(&Claims { issuer: user.public(), ..actor_claims() }).unwrap();
    let error = Claims::<ActorMetadata>::verify(&forge(HEADER, &body, &user), NOW).unwrap_err();
    assert!(matches!(error, TokenError::WrongIssuerKind { expected: KeyKind::Account, found: KeyKind::User, .. }));
}

#[test]
fn the_subject_of_an_invocation_is_any_text() {
    let cluster = key(KeyKind::Cluster, 6);
    let claims = Claims::new(cluster.public(), "018bd4fe", InvocationMetadata::default(), NOW);
    let token = claims.sign(&cluster).unwrap();
    assert_eq!(Claims::verify(&token, NOW).unwrap(), claims);
    assert_eq!(claims::subject_kind(&token).unwrap(), None);
    assert_eq!(claims::subject_kind("a.b").unwrap_err().code(), "malformed_token");
    let claims = Claims { issuer: account().public(), ..claims };
    assert_eq!(claims.sign(&account()).unwrap_err().code(), "wrong_issuer_kind");
}

#[test]
fn only_the_issuer_named_in_the_claims_signs_them() {
    let other = key(KeyKind::Account, 99);
    let error = actor_claims().sign(&other).unwrap_err();
    assert!(matches!(error, TokenError::IssuerMismatch { signer, .. } if signer == other.public()));
    let body = serde_json::to_string(&actor_claims()).unwrap();
    let error = Claims::<ActorMetadata>::verify(&forge(HEADER, &body, &other), NOW).unwrap_err();
    assert!(matches!(error, TokenError::SignatureInvalid { issuer } if issuer == account().public()));
}

#[test]
fn keys_that_sign_everything_or_nothing_are_no_issuers() {
    let mut neutral = [0u8; 32];
    neutral[0] = 1;
    let mut signature = [0u8; 64];
    signature[0] = 1;
    for raw in [neutral, [2; 32]] {
        let claims = Claims { issuer: PublicKey::from_raw(KeyKind::Account, raw), ..actor_claims() };
        let body = serde_json::to_string(&claims).unwrap();
        let token = forge(HEADER, &body, &account());
        let (signed, _) = token.rsplit_once('.').unwrap();
        let token = format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(&signature));
        assert_eq!(Claims::<ActorMetadata>::verify(&token, NOW).unwrap_err().code(), "signature_invalid");
    }
}

#[test]
fn oversized_tokens_are_neither_read_nor_written() {
    let error = Claims::<ActorMetadata>::verify(&"A".repeat(2 << 20), NOW).unwrap_err();
    assert!(matches!(error, TokenError::TooLarge { .. }));
    let mut claims = actor_claims();
    claims.metadata.as_mut().unwrap().name = Some("x".repeat(1 << 20));
    assert_eq!(claims.sign(&account()).unwrap_err().code(), "token_too_large");
}

#[test]
fn fresh_ids_have_22_letters_and_digits() {
    let (one, two) = (claims::new_token_id(), claims::new_token_id());
    assert_ne!(one, two);
    assert_eq!(one.len(), 22);
    assert!(one.bytes().all(|b| b.is_ascii_alphanumeric()));
}
