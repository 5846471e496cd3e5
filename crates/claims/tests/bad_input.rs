//! Every kind of bad input that was asked for, with the code and the message it is refused by: one row each.
//!
//! Details and limits of each are in the tests of tokens, binaries and archives; this table shows that no two kinds of
//! bad input are told in the same words.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write;

use claims::archive::{self, Limits};
use claims::wasm::{self, Layer};
use claims::{ActorMetadata, ArtifactError, Claims, KeyKind};
use common::{NOW, account, actor_claims, forge, hex, key, provider_claims, vector};
use serde_json::{Value, json};
use tar::{EntryType, Header};

/// What somebody is told: the code, and every level of the message.
type Told = (&'static str, String);

fn told(code: &'static str, error: &dyn Error) -> Told {
    let mut text = error.to_string();
    let mut level = error.source();
    while let Some(error) = level {
        text = format!("{text}: {error}");
        level = error.source();
    }
    (code, text)
}

fn actor(binary: &[u8]) -> Told {
    let error = wasm::verify_actor(binary, NOW).unwrap_err();
    told(error.code(), &error)
}

fn token(token: &str) -> Told {
    let error = Claims::<ActorMetadata>::verify(token, NOW).unwrap_err();
    told(error.code(), &error)
}

fn header(alg: &str) -> Told {
    let claims = serde_json::to_string(&actor_claims()).unwrap();
    token(&forge(&format!(r#"{{"typ":"jwt","alg":"{alg}"}}"#), &claims, &account()))
}

fn member(name: &str, value: &Value) -> Told {
    let mut claims = serde_json::to_value(actor_claims()).unwrap();
    claims[name] = value.clone();
    claims["iat"] = json!(if name == "skewed" { NOW + 500 } else { NOW });
    if name == "skewed" {
        claims["nbf"] = value.clone();
    }
    token(&forge(r#"{"typ":"jwt","alg":"Ed25519"}"#, &claims.to_string(), &account()))
}

fn par(archive: &[u8]) -> Told {
    let error = archive::read_with(archive, Limits { unpacked_bytes: 1 << 20, entries: 8 }).unwrap_err();
    told(error.code(), &error)
}

fn tar(entries: &[(EntryType, &str, u64)]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (kind, name, size) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(*size);
        if *kind == EntryType::GNUSparse {
            // All of it is a hole before an empty chunk.
            header.set_size(0);
            let gnu = header.as_gnu_mut().unwrap();
            gnu.set_real_size(*size);
            gnu.sparse[0].offset = gnu.realsize;
            gnu.sparse[0].numbytes = *b"00000000000\0";
        }
        header.set_cksum();
        stream.extend(header.as_bytes());
        stream.resize(stream.len() + usize::try_from((*size).min(512)).unwrap().next_multiple_of(512), 0);
    }
    stream.resize(stream.len() + 1024, 0);
    stream
}

fn gzip_of_zeroes(count: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar(&[(EntryType::Regular, "x86_64-linux.bin", count as u64)])[..512]).unwrap();
    encoder.write_all(&vec![0; count]).unwrap();
    encoder.finish().unwrap()
}

fn signed(binary: &[u8]) -> Vec<u8> {
    wasm::sign_actor(binary, actor_claims(), &account()).unwrap()
}

#[test]
fn every_kind_of_bad_input_has_its_code_and_its_message() {
    let module = hex(&vector("wasm_embed"), "module_hex");
    let good = signed(&module);
    let mut flipped = good.clone();
    flipped[module.len() - 1] ^= 1;
    let overflow = [module.as_slice(), &[1, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]].concat();
    let too_long = [module.as_slice(), &[1, 0xFF, 0x7F]].concat();
    let section = &good[module.len()..];
    let pasted = [&Layer::Module.header(), section].concat();
    let nested = hex(&vector("wasm_embed")["nested"], "component_hex");
    let good_token = actor_claims().sign(&account()).unwrap();
    let provider = key(KeyKind::Service, 3).public();
    let user = key(KeyKind::User, 5);
    let by_user = serde_json::to_string(&Claims { issuer: user.public(), ..actor_claims() }).unwrap();
    const TEN_GIB: u64 = 10 << 30;

    let rows: Vec<(&str, Told, &str, &str)> = vec![
        ("truncated wasm", actor(&good[..good.len() - 1]), "wasm_cut_off", "runs past the end"),
        ("bit-flipped wasm", actor(&flipped), "hash_mismatch", "the code was changed after signing"),
        ("LEB overflow", actor(&overflow), "wasm_length_overflow", "does not fit 32 bits"),
        ("section longer than the file", actor(&too_long), "wasm_cut_off", "the section at byte"),
        ("two claims sections", actor(&[&good, section].concat()), "two_claims", "more than one claims section"),
        ("claims of another module", actor(&pasted), "hash_mismatch", "the code was changed after signing"),
        ("claims in a nested module only", actor(&nested), "only_nested_signed", "only something inside it is"),
        ("unsigned", actor(&module), "unsigned", "the actor is not signed"),
        ("alg none", header("none"), "wrong_algorithm", "signed with `none`"),
        ("alg HS256", header("HS256"), "wrong_algorithm", "signed with `HS256`"),
        ("four segments", token(&format!("{good_token}.")), "malformed_token", "this text has 4"),
        ("padding", token(&format!("{good_token}=")), "malformed_token", "padded with `=`"),
        ("wrong key kind in sub", member("sub", &json!(provider)), "wrong_subject_kind", "`provider`"),
        (
            "wrong key kind in iss",
            token(&forge(r#"{"typ":"jwt","alg":"Ed25519"}"#, &by_user, &user)),
            "wrong_issuer_kind",
            "`user`",
        ),
        ("expired", member("exp", &json!(NOW - 60)), "expired", "expired 1m ago"),
        ("not yet valid", member("nbf", &json!(NOW + 60)), "not_yet_valid", "become valid in 1m"),
        ("clock skew", member("skewed", &json!(NOW + 500)), "clock_skew", "one of the two clocks is wrong"),
        ("par with ../", par(&tar(&[(EntryType::Regular, "../a.bin", 1)])), "archive_bad_name", "entry 1 of"),
        ("par with a link", par(&tar(&[(EntryType::Symlink, "a.bin", 0)])), "archive_not_a_file", "not a plain file"),
        ("par with duplicates", par(&tar(&[(EntryType::Regular, "a.bin", 1); 2])), "archive_duplicate", "entry 2 of"),
        ("10 GiB sparse entry", par(&tar(&[(EntryType::GNUSparse, "a.bin", TEN_GIB)])), "archive_sparse", "sparse"),
        (
            "10 GiB on paper",
            par(&tar(&[(EntryType::Regular, "a.bin", TEN_GIB)])),
            "archive_too_large",
            "unpacks to more",
        ),
        ("gzip bomb", par(&gzip_of_zeroes(8 << 20)), "archive_too_large", "unpacks to more than 1048576 bytes"),
    ];
    for (kind, (code, text), wanted, words) in &rows {
        assert_eq!(code, wanted, "{kind}: {text}");
        assert!(text.contains(words), "{kind}: {text}");
    }
    // A file cut short is one with too long a section: nobody can tell which of the two it was meant to be. And what is
    // too large on paper is refused before anybody knows whether it would have been.
    let same = ["truncated wasm", "10 GiB on paper"];
    let mut texts = BTreeSet::new();
    for (kind, (_, text), _, _) in rows.iter().filter(|(kind, ..)| !same.contains(kind)) {
        assert!(texts.insert(text), "{kind} is told in the words of another: {text}");
    }
    // Accepted by readers where the specification says so.
    let claims = serde_json::to_string(&actor_claims()).unwrap();
    assert!(
        Claims::<ActorMetadata>::verify(&forge(r#"{"typ":"jwt","alg":"EdDSA"}"#, &claims, &account()), NOW).is_ok()
    );
    assert!(matches!(wasm::verify_actor(&pasted, NOW), Err(ArtifactError::HashMismatch { .. })));
    assert!(archive::create(provider_claims(), [("a".to_owned(), vec![1])].into(), &account()).is_ok());
}
