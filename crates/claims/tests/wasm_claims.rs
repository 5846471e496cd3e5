//! Claims in binaries against the golden vectors, and every way a binary can be wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use claims::wasm::{self, Layer};
use claims::{ActorMetadata, ArtifactError, Claims, KeyKind, TokenError, WasmError};
use common::{NOW, account, actor_claims, forge, hex, key, text, vector};
use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};

const MODULE: [u8; 8] = Layer::Module.header();

/// A section with its length in the shortest form; bodies here are short.
fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 0x80);
    [&[id, length], body].concat()
}

fn custom(name: &str, payload: &[u8]) -> Vec<u8> {
    section(0, &[&[u8::try_from(name.len()).unwrap()], name.as_bytes(), payload].concat())
}

fn module_with(sections: &[Vec<u8>]) -> Vec<u8> {
    [MODULE.as_slice(), &sections.concat()].concat()
}

#[test]
fn the_golden_module_is_embedded_extracted_and_hashed_byte_for_byte() {
    let vectors = vector("wasm_embed");
    let (module, signed) = (hex(&vectors, "module_hex"), hex(&vectors, "signed_module_hex"));
    let (token, hash) = (text(&vectors, "jwt"), text(&vectors, "canonical_hash"));
    assert_eq!(HEXUPPER.encode(&Sha256::digest(&signed)), text(&vectors, "signed_module_sha256"));

    assert_eq!(wasm::embed(&module, token).unwrap(), signed);
    assert_eq!(wasm::embed(&signed, token).unwrap(), signed, "the old token is replaced");
    assert_eq!(wasm::extract(&signed).unwrap().as_deref(), Some(token));
    assert_eq!(wasm::extract(&module).unwrap(), None);
    assert_eq!(wasm::canonicalize(&signed).unwrap(), module);
    assert_eq!(wasm::canonical_hash(&module).unwrap(), hash);
    assert_eq!(wasm::canonical_hash(&signed).unwrap(), hash);

    let actor = wasm::verify_actor(&signed, NOW).unwrap();
    assert_eq!(actor.token, token);
    assert_eq!(actor.id.as_str(), actor.claims.subject);
    assert_eq!(actor.issuer.public_key(), actor.claims.issuer);
    // Signing the same claims again gives the same bytes.
    let issuer = claims::KeyPair::from_seed(text(&vector("jwt")["actor"], "issuer_seed")).unwrap();
    assert_eq!(wasm::sign_actor(&module, actor.claims, &issuer).unwrap(), signed);
}

#[test]
fn padded_section_lengths_are_shortened() {
    let vectors = vector("wasm_embed");
    let padded = hex(&vectors, "padded_module_hex");
    assert_eq!(HEXUPPER.encode(&Sha256::digest(&padded)), text(&vectors, "padded_module_file_sha256"));
    assert_eq!(wasm::canonicalize(&padded).unwrap(), hex(&vectors, "module_hex"));
    assert_eq!(wasm::canonical_hash(&padded).unwrap(), text(&vectors, "padded_module_canonical_hash"));
}

#[test]
fn nested_claims_are_stripped_for_the_hash_and_ignored_otherwise() {
    let nested = &vector("wasm_embed")["nested"];
    let (component, canonical) = (hex(nested, "component_hex"), hex(nested, "canonical_hex"));
    assert_eq!(wasm::layer(&component), Ok(Layer::Component));
    assert_eq!(wasm::canonicalize(&component).unwrap(), canonical);
    assert_eq!(wasm::canonicalize(&canonical).unwrap(), canonical);
    assert_eq!(wasm::canonical_hash(&component).unwrap(), text(nested, "canonical_hash"));
    assert_eq!(wasm::extract(&component).unwrap(), None, "a signed module inside does not sign the component");

    let signed = wasm::sign_actor(&component, actor_claims(), &account()).unwrap();
    let actor = wasm::verify_actor(&signed, NOW).unwrap();
    assert_eq!(actor.claims.metadata.unwrap().hash, text(nested, "canonical_hash"));
}

#[test]
fn a_component_is_not_signed_by_claims_inside_it() {
    let nested = &vector("wasm_embed")["nested"];
    let refused = |component: &[u8]| wasm::verify_actor(component, NOW).unwrap_err();
    let error = refused(&hex(nested, "component_hex"));
    assert!(matches!(error, ArtifactError::OnlyNestedSigned));
    // Its claims are gone in the canonical form, and two levels down they are seen as well.
    assert!(matches!(refused(&hex(nested, "canonical_hex")), ArtifactError::Unsigned));
    let mut outer = wasm_encoder::Component::new();
    outer.section(&wasm_encoder::RawSection { id: 4, data: &hex(nested, "component_hex") });
    assert!(matches!(refused(&outer.finish()), ArtifactError::OnlyNestedSigned));
}

/// A place to write to that has room for so many bytes.
struct Room(usize);

impl std::io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("full"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn signing_into_a_stream_gives_the_same_bytes() {
    for form in ["module_hex", "padded_module_hex", "signed_module_hex"] {
        let module = hex(&vector("wasm_embed"), form);
        let claims = actor_claims();
        let signed = wasm::sign_actor(&module, claims.clone(), &account()).unwrap();
        let mut streamed = Vec::new();
        let token = wasm::sign_actor_to(&module, claims.clone(), &account(), &mut streamed).unwrap();
        assert_eq!(streamed, signed);
        assert_eq!(wasm::extract(&signed).unwrap(), Some(token));
        assert_eq!(wasm::canonical_len(&module).unwrap(), wasm::canonicalize(&module).unwrap().len());
        for room in [0, 8, signed.len() - 1] {
            let error = wasm::sign_actor_to(&module, claims.clone(), &account(), Room(room)).unwrap_err();
            assert_eq!(error.code(), "write_failed");
        }
        assert!(wasm::sign_actor_to(&module, claims, &account(), Room(signed.len())).is_ok());
    }
    let mut untouched = Vec::new();
    let error = wasm::sign_actor_to(&MODULE[..7], actor_claims(), &account(), &mut untouched).unwrap_err();
    assert_eq!((error.code(), untouched.len()), ("wasm_cut_off", 0));
}

#[test]
fn a_draft_component_header_is_replaced() {
    let draft = b"\0asm\x0c\0\x01\0";
    assert_eq!(wasm::canonicalize(draft).unwrap(), Layer::Component.header());
    let signed = wasm::sign_actor(draft, actor_claims(), &account()).unwrap();
    assert!(wasm::verify_actor(&signed, NOW).is_ok());
    let mut changed = signed;
    changed[4] = 0x0c;
    assert_eq!(wasm::verify_actor(&changed, NOW).unwrap_err().code(), "hash_mismatch");
}

#[test]
fn things_that_are_no_binaries_are_called_so() {
    for (input, start) in
        [(&b""[..], ""), (b"\0as", "\\x00as"), (b"(module)", "(module)"), (b"\x7fELF\x02", "\\x7fELF\\x02")]
    {
        assert_eq!(wasm::layer(input), Err(WasmError::NotWasm { start: start.to_owned() }));
        let error = wasm::verify_actor(input, NOW).unwrap_err();
        assert!(matches!(&error, ArtifactError::NotWasm { start: found } if found == start), "{error}");
        assert_eq!(error.code(), "not_wasm");
    }
    assert_eq!(wasm::layer(b"\0asm\x01"), Err(WasmError::CutOff { what: "the header", offset: 4 }));
    assert_eq!(wasm::layer(b"\0asm\x01\0\x02\0"), Err(WasmError::UnknownLayer { layer: 2 }));
}

#[test]
fn sections_that_run_past_the_end_are_refused_with_their_place() {
    let walk = |tail: &[u8]| wasm::canonicalize(&[&MODULE, tail].concat()).unwrap_err();
    assert_eq!(walk(&[1]), WasmError::CutOff { what: "the length", offset: 9 });
    assert_eq!(walk(&[1, 0x80]), WasmError::CutOff { what: "the length", offset: 9 });
    assert_eq!(walk(&[1, 2, 0]), WasmError::CutOff { what: "the section", offset: 8 });
    assert_eq!(walk(&[1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]), WasmError::CutOff { what: "the section", offset: 10 });
    assert_eq!(walk(&[1, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F]), WasmError::LengthOverflow { offset: 9 });
    assert_eq!(walk(&[0, 0]), WasmError::CutOff { what: "the length", offset: 10 });
    assert_eq!(walk(&[0, 2, 2, b'j']), WasmError::CutOff { what: "the section name", offset: 8 });
    assert_eq!(walk(&[0, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]), WasmError::LengthOverflow { offset: 10 });
}

#[test]
fn nesting_is_bounded_and_must_be_wasm() {
    let nest = |depth: usize| {
        let mut component = Layer::Component.header().to_vec();
        for _ in 0..depth {
            let mut outer = wasm_encoder::Component::new();
            outer.section(&wasm_encoder::RawSection { id: 4, data: &component });
            component = outer.finish();
        }
        component
    };
    assert_eq!(wasm::canonicalize(&nest(32)).unwrap(), nest(32));
    assert_eq!(wasm::canonicalize(&nest(33)), Err(WasmError::TooDeep { limit: 32 }));
    assert_eq!(wasm::canonicalize(&nest(10_000)), Err(WasmError::TooDeep { limit: 32 }));

    let junk = [Layer::Component.header().as_slice(), &section(1, b"junk")].concat();
    assert_eq!(wasm::canonicalize(&junk), Err(WasmError::NestedNotWasm));
    assert_eq!(wasm::canonical_hash(&module_with(&[section(1, b"junk")])).unwrap().len(), 64, "not nested in a module");
}

#[test]
fn two_claims_sections_are_refused_whatever_their_names() {
    for (one, two) in [("wasmcloud_jwt", "wasmcloud_jwt"), ("jwt", "wasmcloud_jwt"), ("jwt", "jwt")] {
        let twice = module_with(&[custom(one, b"a.b.c"), custom("name", b""), custom(two, b"a.b.c")]);
        assert_eq!(wasm::extract(&twice), Err(WasmError::TwoClaims));
        assert_eq!(wasm::verify_actor(&twice, NOW).unwrap_err().code(), "two_claims");
        // Signing again is the way out.
        let signed = wasm::sign_actor(&twice, actor_claims(), &account()).unwrap();
        assert!(wasm::verify_actor(&signed, NOW).is_ok());
    }
}

#[test]
fn the_old_section_name_is_read_and_similar_ones_are_not() {
    assert_eq!(wasm::extract(&module_with(&[custom("jwt", b"a.b.c")])).unwrap().as_deref(), Some("a.b.c"));
    for name in ["", "jw", "jwt2", "JWT", "wasmcloud_jwt_"] {
        assert_eq!(wasm::extract(&module_with(&[custom(name, b"a.b.c")])), Ok(None), "{name}");
    }
    assert_eq!(wasm::extract(&module_with(&[custom("jwt", &[0xFF])])), Err(WasmError::ClaimsNotText));
    // A section with another id is not custom, even if its body looks like it.
    assert_eq!(wasm::extract(&module_with(&[section(11, b"\x03jwta.b.c")])), Ok(None));
}

#[test]
fn an_oversized_token_is_not_embedded() {
    let token = "x".repeat((1 << 20) + 1);
    assert!(matches!(wasm::embed(&MODULE, &token), Err(WasmError::TokenTooLarge { .. })));
}

#[test]
fn an_actor_is_refused_with_the_reason_and_the_next_step() {
    let error = wasm::verify_actor(&MODULE, NOW).unwrap_err();
    assert!(matches!(error, ArtifactError::Unsigned));
    assert_eq!(error.to_string(), "the actor is not signed: sign it with `wash claims sign`");

    let signed = wasm::sign_actor(&MODULE, actor_claims(), &account()).unwrap();
    let token = wasm::extract(&signed).unwrap().unwrap();
    let other = wasm::embed(&module_with(&[custom("name", b"")]), &token).unwrap();
    let error = wasm::verify_actor(&other, NOW).unwrap_err();
    assert!(matches!(error, ArtifactError::HashMismatch { .. }));
    assert_eq!(error.code(), "hash_mismatch");

    let garbage = wasm::embed(&MODULE, "a.b").unwrap();
    let error = wasm::verify_actor(&garbage, NOW).unwrap_err();
    assert!(matches!(error, ArtifactError::Token(TokenError::Segments { found: 2 })));
    assert_eq!(error.code(), "malformed_token");

    let bare = serde_json::to_string(&Claims::<ActorMetadata> { metadata: None, ..actor_claims() }).unwrap();
    let bare = wasm::embed(&MODULE, &forge(r#"{"typ":"jwt","alg":"Ed25519"}"#, &bare, &account())).unwrap();
    assert!(matches!(wasm::verify_actor(&bare, NOW).unwrap_err(), ArtifactError::Token(TokenError::NoMetadata)));

    let cut = &signed[..signed.len() - 1];
    assert!(matches!(wasm::verify_actor(cut, NOW).unwrap_err(), ArtifactError::Wasm(WasmError::CutOff { .. })));
    assert_eq!(wasm::verify_actor(cut, NOW).unwrap_err().code(), "wasm_cut_off");

    let provider = Claims { subject: key(KeyKind::Service, 1).public().to_string(), ..actor_claims() };
    let error = wasm::sign_actor(&MODULE, provider, &account()).unwrap_err();
    assert_eq!(error.code(), "wrong_subject_kind");
}

#[test]
fn signers_before_revision_3_hashed_the_file_as_it_was_and_are_still_checked() {
    let padded = hex(&vector("wasm_embed"), "padded_module_hex");
    let signed_with = |revision: Option<u32>, hash: &str| {
        let mut claims = actor_claims();
        claims.wascap_revision = revision;
        claims.metadata.as_mut().unwrap().hash = hash.to_owned();
        let token = claims.sign(&account()).unwrap();
        // Old signers left the file alone and appended the section `jwt`.
        let body = [&[3], b"jwt".as_slice(), token.as_bytes()].concat();
        let length = [(body.len() & 0x7F) as u8 | 0x80, (body.len() >> 7) as u8];
        let file = [padded.as_slice(), &[0], &length, &body].concat();
        wasm::verify_actor(&file, NOW).map(|_| ()).map_err(|error| error.code())
    };
    let raw = HEXUPPER.encode(&Sha256::digest(&padded));
    let canonical = wasm::canonical_hash(&padded).unwrap();
    for revision in [None, Some(0), Some(2)] {
        assert_eq!(signed_with(revision, &raw), Ok(()));
        assert_eq!(signed_with(revision, &canonical), Ok(()));
        assert_eq!(signed_with(revision, &"0".repeat(64)), Err("hash_mismatch"));
        assert_eq!(signed_with(revision, ""), Err("hash_mismatch"));
    }
    assert_eq!(signed_with(Some(3), &raw), Err("hash_mismatch"));
    assert_eq!(signed_with(Some(3), &canonical), Ok(()));
}

#[test]
fn codes_of_wasm_errors_are_stable() {
    let codes = [
        (WasmError::NotWasm { start: String::new() }, "not_wasm"),
        (WasmError::NestedNotWasm, "nested_not_wasm"),
        (WasmError::UnknownLayer { layer: 2 }, "unknown_layer"),
        (WasmError::CutOff { what: "x", offset: 1 }, "wasm_cut_off"),
        (WasmError::LengthOverflow { offset: 1 }, "wasm_length_overflow"),
        (WasmError::TooDeep { limit: 32 }, "wasm_too_deep"),
        (WasmError::TwoClaims, "two_claims"),
        (WasmError::ClaimsNotText, "claims_not_text"),
        (WasmError::TokenTooLarge { found: 2, limit: 1 }, "token_too_large"),
    ];
    for (error, code) in codes {
        assert_eq!(error.code(), code);
        assert_eq!(ArtifactError::from(error).code(), code);
    }
}

#[test]
fn a_real_module_and_a_real_component_verify() {
    for guest in vector("guests").as_array().unwrap() {
        let path = format!("{}/tests/vectors/{}", env!("CARGO_MANIFEST_DIR"), text(guest, "file"));
        let file = std::fs::read(path).unwrap();
        assert_eq!(HEXUPPER.encode(&Sha256::digest(&file)), text(guest, "file_sha256"));
        assert_eq!(wasm::canonical_hash(&file).unwrap(), text(guest, "canonical_hash"));
        let actor = wasm::verify_actor(&file, NOW).unwrap();
        assert_eq!(actor.id.as_str(), text(guest, "public_key"));
        assert_eq!(wasm::embed(&wasm::canonicalize(&file).unwrap(), &actor.token).unwrap(), file);
    }
}
