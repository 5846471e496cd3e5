//! A module of a million functions: what compiling it costs, and what a good actor that is started meanwhile notices.

use std::time::Instant;

use lattice_tests::Actor;

use crate::measure::Scene;

/// Functions, each of twelve bytes.
const FUNCTIONS: u32 = 999_000;
/// `i32.const 0, drop`, three times.
const BODY: &[u8] = &[11, 0, 0x41, 0, 0x1a, 0x41, 0, 0x1a, 0x41, 0, 0x1a, 0x0b];
/// What compiling one artifact may have unless it is set, in MiB.
const MOST: u64 = 2048;

fn number(mut value: u32, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn section(id: u8, content: &[u8], to: &mut Vec<u8>) {
    to.push(id);
    number(u32::try_from(content.len()).expect("small"), to);
    to.extend_from_slice(content);
}

/// Its first function is the entry of an actor.
fn many_functions() -> Vec<u8> {
    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[2, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 0, 0], &mut wasm);
    let mut types = Vec::new();
    number(FUNCTIONS, &mut types);
    types.push(0);
    types.resize(types.len() + FUNCTIONS as usize - 1, 1);
    section(3, &types, &mut wasm);
    section(7, b"\x01\x0c__guest_call\0\0", &mut wasm);
    let mut code = Vec::new();
    number(FUNCTIONS, &mut code);
    code.extend_from_slice(&[4, 0, 0x41, 1, 0x0b]);
    (1..FUNCTIONS).for_each(|_| code.extend_from_slice(BODY));
    section(10, &code, &mut wasm);
    wasm
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure; takes minutes"]
async fn a17_a_million_functions_are_compiled_within_bounds_and_hold_up_nobody() {
    let Some(scene) = Scene::new(&[]).await else { return };
    let (host, operator) = (scene.lattice.id("a"), &scene.operator);
    let wasm = many_functions();
    let (bad, good) = (scene.signer.wasm("many", &wasm), scene.signer.actor(Actor::KvCounter));
    let attack = async {
        let good_one = async {
            let began = Instant::now();
            operator.start_actor(&host, &good.reference()).await.expect("a good one starts");
            began.elapsed()
        };
        let reference = bad.reference();
        let (outcome, good) = tokio::join!(operator.start_actor(&host, &reference), good_one);
        (outcome.map(|_| "it runs".to_owned()).unwrap_or_else(|refused| refused), good)
    };
    let (cost, (outcome, good)) = Box::pin(scene.attack(attack)).await;
    let length = wasm.len() >> 20;
    cost.tell(
        &format!("A17, {FUNCTIONS} functions in {length} MiB"),
        &format!("a good actor started meanwhile took {good:.1?}; outcome: {outcome}"),
    );
    assert!(cost.grown() < MOST + 256, "{cost:?}");
    assert!(outcome == "it runs" || outcome.contains("memory") || outcome.contains("time"), "{outcome}");
}
