//! Laws that hold for every binary: what was signed verifies, what was changed does not, and nothing panics.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use claims::wasm::{self, Layer};
use common::{NOW, account, actor_claims, hex, vector};
use proptest::collection::vec;
use proptest::prelude::*;
use wasm_encoder::{CustomSection, RawSection, Section};

#[derive(Debug, Clone)]
enum Part {
    Custom(String, Vec<u8>),
    Plain(u8, Vec<u8>),
    Module(Vec<Part>),
    Component(Vec<Part>),
}

fn custom() -> impl Strategy<Value = Part> {
    let name = prop_oneof![3 => "[a-z_.]{0,12}", 1 => Just("jwt".to_owned()), 1 => Just("wasmcloud_jwt".to_owned())];
    (name, vec(any::<u8>(), 0..40)).prop_map(|(name, payload)| Part::Custom(name, payload))
}

fn plain(ids: std::ops::RangeInclusive<u8>, most: usize) -> impl Strategy<Value = Part> {
    (ids, vec(any::<u8>(), 0..most)).prop_map(|(id, body)| Part::Plain(id, body))
}

fn module_parts() -> impl Strategy<Value = Vec<Part>> {
    vec(prop_oneof![custom(), plain(1..=13, 150)], 0..6)
}

/// Components in components in components, with modules at every level.
fn component_parts() -> impl Strategy<Value = Vec<Part>> {
    let leaf = prop_oneof![custom(), plain(5..=11, 40), module_parts().prop_map(Part::Module)];
    let part = leaf.prop_recursive(3, 24, 4, |part| vec(part, 0..4).prop_map(Part::Component));
    vec(part, 0..5)
}

fn render(layer: Layer, parts: &[Part]) -> Vec<u8> {
    let mut binary = layer.header().to_vec();
    for part in parts {
        match part {
            Part::Custom(name, data) => CustomSection { name: name.into(), data: data.into() }.append_to(&mut binary),
            Part::Plain(id, data) => RawSection { id: *id, data }.append_to(&mut binary),
            Part::Module(parts) => RawSection { id: 1, data: &render(Layer::Module, parts) }.append_to(&mut binary),
            Part::Component(parts) => {
                RawSection { id: 4, data: &render(Layer::Component, parts) }.append_to(&mut binary);
            }
        }
    }
    binary
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        module_parts().prop_map(|parts| render(Layer::Module, &parts)),
        component_parts().prop_map(|parts| render(Layer::Component, &parts)),
    ]
}

/// Where the claims section of a signed binary starts.
fn code_len(signed: &[u8]) -> usize {
    wasm::canonical_len(signed).unwrap()
}

/// Flips the bits, each alone, and expects a refusal.
fn refuse_flips(mut signed: Vec<u8>, flips: impl Iterator<Item = (usize, u8)>) {
    for (place, bit) in flips {
        signed[place] ^= 1 << bit;
        assert!(wasm::verify_actor(&signed, NOW).is_err(), "bit {bit} of byte {place}");
        signed[place] ^= 1 << bit;
    }
    assert!(wasm::verify_actor(&signed, NOW).is_ok());
}

fn every_bit(places: std::ops::Range<usize>) -> impl Iterator<Item = (usize, u8)> {
    places.flat_map(|place| (0..8).map(move |bit| (place, bit)))
}

#[test]
fn every_single_flipped_bit_of_real_and_nested_binaries_is_refused() {
    let nested = hex(&vector("wasm_embed")["nested"], "component_hex");
    let module = hex(&vector("wasm_embed"), "padded_module_hex");
    for binary in [nested, module] {
        let signed = wasm::sign_actor(&binary, actor_claims(), &account()).unwrap();
        let all = signed.len();
        refuse_flips(signed, every_bit(0..all)); // those of the claims section as well
    }
    for guest in ["wapc_actor.wasm", "component_actor.wasm"] {
        let signed = std::fs::read(format!("{}/tests/vectors/{guest}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let code = code_len(&signed);
        refuse_flips(signed, every_bit(0..code));
    }
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
    fn one_flipped_bit_of_any_byte_of_the_code_is_refused(binary in binary(), bit in 0u8..8) {
        let signed = wasm::sign_actor(&binary, actor_claims(), &account()).unwrap();
        let places = 0..code_len(&signed);
        refuse_flips(signed, places.map(|place| (place, (bit as usize + place) as u8 % 8)));
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
