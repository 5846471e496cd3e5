//! Keys against the published pairs, and every way a key can be wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use claims::{AccountId, ActorId, ClusterId, HostId, KeyError, KeyKind, KeyPair, OperatorId, ProviderId, PublicKey};
use common::{hex, key, text, vector};
use data_encoding::BASE32_NOPAD;

#[test]
fn known_pairs_render_and_parse() {
    let vectors = vector("nkeys");
    let pairs = vectors["pairs"].as_array().unwrap();
    assert!(pairs.len() >= 10);
    for pair in pairs {
        let kind: KeyKind = text(pair, "kind").parse().unwrap();
        let from_text = KeyPair::from_seed(text(pair, "seed")).unwrap();
        let from_raw = KeyPair::from_raw_seed(kind, &hex(pair, "raw_seed_hex").try_into().unwrap());
        for key in [&from_text, &from_raw] {
            assert_eq!(key.kind(), kind);
            assert_eq!(key.public().as_str(), text(pair, "public"));
            assert_eq!(key.seed().expose(), text(pair, "seed"));
            assert_eq!(key.public().to_raw().as_slice(), hex(pair, "raw_public_hex"));
        }
        let public: PublicKey = text(pair, "public").parse().unwrap();
        assert_eq!(public, from_text.public());
        assert_eq!(public, PublicKey::from_raw(kind, public.to_raw()));
        assert_eq!(public.as_str().chars().next(), Some(kind.letter()));
    }
    let kinds: BTreeSet<_> = pairs.iter().map(|pair| text(pair, "kind").parse::<KeyKind>().unwrap()).collect();
    assert_eq!(kinds.len(), KeyKind::ALL.len(), "every kind has a vector");
}

#[test]
fn prefixes_are_those_of_the_protocol() {
    let vectors = vector("nkeys");
    let prefixes = vectors["prefix_bytes"].as_object().unwrap();
    assert_eq!(prefixes.len(), KeyKind::ALL.len());
    let decode = |text: &str| BASE32_NOPAD.decode(text.as_bytes()).unwrap();
    for (name, prefix) in prefixes {
        let pair = key(name.parse().unwrap(), 1);
        assert_eq!(u64::from(decode(pair.public().as_str())[0]), prefix.as_u64().unwrap(), "{name}");
        let raw = decode(pair.seed().expose());
        assert_eq!(u64::from(raw[0] & 0xF8), vectors["seed_prefix_byte"].as_u64().unwrap());
        assert_eq!(u64::from((raw[0] & 7) << 5 | raw[1] >> 3), prefix.as_u64().unwrap(), "{name}");
    }
}

#[test]
fn the_known_signature_is_made_and_verified() {
    let vectors = vector("nkeys");
    let example = &vectors["ed25519_example"];
    let key = KeyPair::from_seed(text(example, "seed")).unwrap();
    let message = text(example, "message_ascii").as_bytes();
    let signature = hex(example, "signature_hex");
    assert_eq!(key.sign(message).as_slice(), signature);
    assert_eq!(key.public().verify(message, &signature), Ok(()));
    assert_eq!(key.public().verify(b"other", &signature), Err(KeyError::SignatureInvalid));
}

#[test]
fn damaged_keys_are_refused_with_the_reason() {
    let vectors = vector("nkeys");
    for corrupted in vectors["corrupted"].as_array().unwrap() {
        assert_eq!(text(corrupted, "value").parse::<PublicKey>(), Err(KeyError::Checksum));
    }
    let good = key(KeyKind::Module, 7);
    let public = good.public().to_string();
    assert_eq!(public[..55].parse::<PublicKey>(), Err(KeyError::Length { expected: 56, found: 55 }));
    assert_eq!("".parse::<PublicKey>(), Err(KeyError::Length { expected: 56, found: 0 }));
    assert_eq!(public.to_lowercase().parse::<PublicKey>(), Err(KeyError::Alphabet));
    assert_eq!(format!("{}1", &public[..55]).parse::<PublicKey>(), Err(KeyError::Alphabet));
    assert_eq!(format!("{}ä", &public[..54]).parse::<PublicKey>(), Err(KeyError::Alphabet));

    let seed = good.seed();
    assert_eq!(KeyPair::from_seed(&public).err(), Some(KeyError::NotASeed));
    assert_eq!(KeyPair::from_seed(&seed.expose()[..57]).err(), Some(KeyError::Length { expected: 58, found: 57 }));
    assert_eq!(KeyPair::from_seed(&seed.expose().to_lowercase()).err(), Some(KeyError::Alphabet));
    let turned = if seed.expose().ends_with('A') { "E" } else { "A" };
    let mistyped = format!("{}{turned}{}", &seed.expose()[..10], &seed.expose()[11..]);
    assert_eq!(KeyPair::from_seed(&mistyped).err(), Some(KeyError::Checksum));
}

#[test]
fn a_seed_sized_text_that_is_no_seed_is_refused() {
    // Prefix 0, right checksum, right length.
    assert_eq!(KeyPair::from_seed(&"A".repeat(58)).err(), Some(KeyError::NotASeed));
}

#[test]
fn signatures_of_the_wrong_size_and_keys_off_the_curve_are_refused() {
    let good = key(KeyKind::Cluster, 4);
    let signature = good.sign(b"message");
    assert_eq!(good.public().verify(b"message", &signature[..63]), Err(KeyError::SignatureLength { found: 63 }));
    assert_eq!(good.public().verify(b"message", &[]), Err(KeyError::SignatureLength { found: 0 }));

    let off_curve = (0..=255)
        .map(|n| PublicKey::from_raw(KeyKind::Cluster, [n; 32]))
        .find(|key| matches!(key.verify(b"message", &signature), Err(KeyError::NotAPoint { .. })));
    let off_curve = off_curve.expect("about half of all texts are no point");
    assert_eq!(off_curve.verify(b"message", &signature), Err(KeyError::NotAPoint { key: off_curve }));
    assert_eq!(off_curve.as_str().parse(), Ok(off_curve), "it is still a well-formed key");
}

#[test]
fn a_weak_key_vouches_for_nothing() {
    // The neutral point as key and as nonce: plain Ed25519 accepts this signature for every message.
    let mut neutral = [0u8; 32];
    neutral[0] = 1;
    let mut signature = [0u8; 64];
    signature[0] = 1;
    let weak = PublicKey::from_raw(KeyKind::Account, neutral);
    assert_eq!(weak.verify(b"anything", &signature), Err(KeyError::SignatureInvalid));
}

#[test]
fn ids_hold_one_kind_of_key() {
    macro_rules! check {
        ($($id:ident: $kind:ident),*) => {$(
            for kind in KeyKind::ALL {
                let public = key(kind, 9).public();
                let parsed = public.as_str().parse::<$id>();
                assert_eq!($id::try_from(public), parsed);
                let json = serde_json::from_str::<$id>(&format!("\"{public}\""));
                if kind == KeyKind::$kind {
                    let id = parsed.unwrap();
                    assert_eq!(PublicKey::from(id), public);
                    assert_eq!(id.to_string(), public.as_str());
                    assert_eq!(json.unwrap(), id);
                    assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{public}\""));
                } else {
                    let wrong = KeyError::WrongKind { key: public, expected: KeyKind::$kind, found: kind };
                    assert_eq!(parsed, Err(wrong.clone()));
                    assert!(json.unwrap_err().to_string().starts_with(&wrong.to_string()));
                }
            }
        )*};
    }
    check!(ActorId: Module, ProviderId: Service, HostId: Server, AccountId: Account, OperatorId: Operator, ClusterId: Cluster);
}

#[test]
fn the_wrong_kind_is_named_in_words() {
    let host = key(KeyKind::Server, 1).public();
    let error = host.as_str().parse::<ActorId>().unwrap_err();
    assert_eq!(error.to_string(), format!("`{host}` is a key of kind `host`, expected `actor` (`M…`)"));
}

#[test]
fn kinds_have_both_their_names() {
    for kind in KeyKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert_eq!("Module".parse(), Ok(KeyKind::Module));
    assert_eq!("SERVICE".parse(), Ok(KeyKind::Service));
    assert_eq!("curve".parse::<KeyKind>(), Err(KeyError::UnknownKind { text: "curve".to_owned() }));
}

#[test]
fn private_halves_do_not_print() {
    let key = KeyPair::generate(KeyKind::User);
    let seed = key.seed();
    for shown in [format!("{key:?}"), format!("{seed:?}"), format!("{seed}"), format!("{key:#?}")] {
        assert!(shown.contains("[redacted]"), "{shown}");
        assert!(!shown.contains(seed.expose()), "{shown}");
    }
}

#[test]
fn generated_keys_differ_and_survive_their_seed() {
    for kind in KeyKind::ALL {
        let key = KeyPair::generate(kind);
        assert_ne!(key.public(), KeyPair::generate(kind).public());
        assert_eq!(KeyPair::from_seed(key.seed().expose()).unwrap().public(), key.public());
    }
}

#[test]
fn well_known_providers_have_the_same_id_everywhere() {
    let id = ProviderId::well_known("httpserver");
    // Fixed for ever: a link names this id.
    assert_eq!(id.as_str(), "VBY5TST4TRICQXEJTDORJG2M62BSA7MVPF44NO7CZJSEPZL7KK7OKJ5A");
    assert_ne!(id, ProviderId::well_known("keyvalue"));
    let verdict = id.public_key().verify(b"message", &[0; 64]);
    assert_eq!(verdict, Err(KeyError::SignatureInvalid), "a point of the curve, but nothing is signed by it");
}

#[test]
fn codes_of_key_errors_are_stable() {
    let key = key(KeyKind::Module, 1).public();
    let codes = [
        (KeyError::Length { expected: 56, found: 1 }, "key_length"),
        (KeyError::Alphabet, "key_alphabet"),
        (KeyError::Checksum, "key_checksum"),
        (KeyError::Prefix, "key_prefix"),
        (KeyError::NotASeed, "not_a_seed"),
        (KeyError::WrongKind { key, expected: KeyKind::Server, found: KeyKind::Module }, "wrong_key_kind"),
        (KeyError::UnknownKind { text: "x".to_owned() }, "unknown_key_kind"),
        (KeyError::NotAPoint { key }, "not_a_point"),
        (KeyError::SignatureLength { found: 1 }, "signature_length"),
        (KeyError::SignatureInvalid, "signature_invalid"),
    ];
    for (error, code) in codes {
        assert_eq!(error.code(), code);
    }
}
