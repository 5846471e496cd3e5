//! Laws that hold for every binary: what was signed verifies, what was changed does not, and nothing panics.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use claims::wasm;
use common::{NOW, account, actor_claims};
use proptest::collection::vec;
use proptest::prelude::*;
use wasm_encoder::{Component, CustomSection, Module, RawSection};

#[derive(Debug, Clone)]
enum Part {
    Custom(String, Vec<u8>),
    Plain(u8, Vec<u8>),
    Nested(Vec<Part>),
}

fn custom() -> impl Strategy<Value = Part> {
    let name = prop_oneof![3 => "[a-z_.]{0,12}", 1 => Just("jwt".to_owned()), 1 => Just("wasmcloud_jwt".to_owned())];
    (name, vec(any::<u8>(), 0..40)).prop_map(|(name, payload)| Part::Custom(name, payload))
}

fn parts(plain_ids: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = Vec<Part>> {
    let plain = (plain_ids, vec(any::<u8>(), 0..150)).prop_map(|(id, body)| Part::Plain(id, body));
    vec(prop_oneof![custom(), plain], 0..6)
}

fn module(parts: &[Part]) -> Vec<u8> {
    let mut module = Module::new();
    for part in parts {
        match part {
            Part::Custom(name, data) => module.section(&CustomSection { name: name.into(), data: data.into() }),
            Part::Plain(id, data) => module.section(&RawSection { id: *id, data }),
            Part::Nested(_) => unreachable!("modules do not nest"),
        };
    }
    module.finish()
}

fn component(parts: &[Part]) -> Vec<u8> {
    let mut component = Component::new();
    for part in parts {
        match part {
            Part::Custom(name, data) => component.section(&CustomSection { name: name.into(), data: data.into() }),
            Part::Plain(id, data) => component.section(&RawSection { id: *id, data }),
            Part::Nested(parts) => component.section(&RawSection { id: 1, data: &module(parts) }),
        };
    }
    component.finish()
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    let nested = parts(1..=13).prop_map(Part::Nested);
    let in_component = prop_oneof![custom(), nested, vec(any::<u8>(), 0..40).prop_map(|body| Part::Plain(7, body))];
    prop_oneof![
        parts(1..=13).prop_map(|parts| module(&parts)),
        vec(in_component, 0..5).prop_map(|parts| component(&parts)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_signed_verifies(binary in binary()) {
        let claims = actor_claims();
        let signed = wasm::sign_actor(&binary, claims.clone(), &account()).unwrap();
        let actor = wasm::verify_actor(&signed, NOW).unwrap();
        prop_assert_eq!(&actor.claims.subject, &claims.subject);
        prop_assert_eq!(actor.claims.metadata.unwrap().hash, wasm::canonical_hash(&binary).unwrap());
        prop_assert_eq!(wasm::extract(&signed).unwrap(), Some(actor.token.clone()));
        prop_assert_eq!(wasm::embed(&signed, &actor.token).unwrap(), signed);
    }

    #[test]
    fn canonical_binaries_stay_as_they_are(binary in binary()) {
        let canonical = wasm::canonicalize(&binary).unwrap();
        prop_assert_eq!(wasm::canonicalize(&canonical).unwrap(), canonical.clone());
        prop_assert_eq!(wasm::extract(&canonical).unwrap(), None);
        prop_assert_eq!(wasm::layer(&canonical), wasm::layer(&binary));
    }

    #[test]
    fn one_changed_byte_of_the_code_is_refused(binary in binary(), change in 1u8..) {
        let code = wasm::canonicalize(&binary).unwrap().len();
        let mut signed = wasm::sign_actor(&binary, actor_claims(), &account()).unwrap();
        for place in 0..code {
            signed[place] ^= change;
            prop_assert!(wasm::verify_actor(&signed, NOW).is_err(), "byte {} changed by {:#x}", place, change);
            signed[place] ^= change;
        }
        prop_assert!(wasm::verify_actor(&signed, NOW).is_ok());
    }

    #[test]
    fn one_changed_byte_of_the_claims_is_refused(place in 0usize..700, change in 1u8..) {
        let module = wasm::Layer::Module.header();
        let mut signed = wasm::sign_actor(&module, actor_claims(), &account()).unwrap();
        let place = module.len() + place % (signed.len() - module.len());
        signed[place] ^= change;
        prop_assert!(wasm::verify_actor(&signed, NOW).is_err(), "byte {} changed by {:#x}", place, change);
    }

    #[test]
    fn nothing_panics_on_damaged_binaries(binary in binary(), cut in any::<prop::sample::Index>(), noise in vec(any::<u8>(), 0..20)) {
        let mut damaged = wasm::embed(&binary, "a.b.c").unwrap();
        let place = cut.index(damaged.len());
        damaged.splice(place.., noise);
        let _ = wasm::verify_actor(&damaged, NOW);
        // What can be walked at all has a canonical form that can be walked, and the hash is that of the form.
        if let Ok(canonical) = wasm::canonicalize(&damaged) {
            prop_assert_eq!(wasm::canonical_hash(&damaged), wasm::canonical_hash(&canonical));
        }
    }
}
