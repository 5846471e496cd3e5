//! Guests that take all the memory they may have, and answers that are made to break their reader.

use std::collections::BTreeMap;

use bytes::Bytes;
use contracts::{
    codec,
    httpserver::{HANDLE_REQUEST, HttpRequest, HttpResponse},
};
use futures_util::future::join_all;

use crate::measure::{LONG, Scene};

/// Grows to 60 MiB, fills them and takes its time over it.
const FILLS: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32) (local $n i32)
    (if (i32.eq (memory.grow (i32.const 958)) (i32.const -1)) (then unreachable))
    (loop $again
      (memory.fill (i32.const 0) (local.get $n) (i32.const 62000000))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $n) (i32.const 20))))
    (i32.const 1)))"#;

/// What became of calls, by code.
fn counted(outcomes: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    outcomes.into_iter().for_each(|outcome| *counts.entry(outcome).or_default() += 1);
    counts
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure; takes 1.5 GiB"]
async fn a18_300_calls_of_an_actor_that_fills_its_memory() {
    const ALL: u64 = 1024;
    let Some(scene) = Scene::new(&[("WASH_GUEST_MEMORY_MIB", &ALL.to_string())]).await else { return };
    let wasm = scene.signer.wasm("fills", &wat::parse_str(FILLS).expect("a module"));
    scene.operator.scale(&scene.lattice.id("a"), &wasm.reference(), 300).await.expect("it starts");
    let caller = scene.lattice.caller("a").within(LONG);
    let calls = (0..300).map(|_| async {
        let outcome = caller.call(&wasm.id, "Fill", Bytes::new()).await;
        outcome.map_or_else(|error| error.code().to_owned(), |_| "answered".to_owned())
    });
    let (cost, outcomes) = scene.attack(join_all(calls)).await;
    let outcomes = counted(outcomes);
    cost.tell("A18, 300 calls of an actor that fills 60 MiB", &format!("{ALL} MiB for guests; {outcomes:?}"));
    assert!(cost.grown() < ALL + 256, "{cost:?}");
    assert!(cost.answered() > 0 && outcomes.contains_key("answered"), "{outcomes:?}");
}

/// A module that answers with these bytes.
fn answering(answer: &[u8]) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(answer.len() * 3);
    answer.iter().for_each(|byte| write!(text, "\\{byte:02x}").expect("memory"));
    let (pages, length) = (2 + answer.len() / 65536, answer.len());
    wat::parse_str(format!(
        r#"(module
            (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
            (memory (export "memory") {pages})
            (data (i32.const 65536) "{text}")
            (func (export "__guest_call") (param i32 i32) (result i32)
              (call $response (i32.const 65536) (i32.const {length})) (i32.const 1)))"#
    ))
    .expect("a module")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure"]
async fn a13_answers_with_40_000_header_names() {
    let Some(scene) = Scene::new(&[]).await else { return };
    let header = (0..40_000).map(|number| (format!("x-{number}"), vec![String::new()])).collect();
    let answer = codec::encode(&HttpResponse { status_code: 200, header, body: b"body".to_vec() }).expect("plain data");
    let wasm = scene.signer.wasm("names", &answering(&answer));
    scene.operator.scale(&scene.lattice.id("a"), &wasm.reference(), 100).await.expect("it starts");
    let (server, address) = ("builtin://httpserver", lattice_tests::free_address());
    let provider = scene.operator.start_provider(&scene.lattice.id("a"), server).await.expect("it starts");
    scene.operator.link(&wasm.id, &provider, &[("address", &address.to_string())]).await.expect("it is served");
    let clients = (0..16).map(|_| async move {
        let mut statuses = Vec::new();
        for _ in 0..50 {
            let answer = lattice_tests::try_get(address, "/").await.expect("an answer");
            statuses.push(format!("{} {}", answer.status.as_u16(), answer.body.split(':').next().unwrap_or_default()));
        }
        statuses
    });
    let (cost, outcomes) = scene.attack(join_all(clients)).await;
    let outcomes = counted(outcomes.into_iter().flatten());
    cost.tell("A13, 800 answers with 40,000 header names, 16 at once", &format!("{outcomes:?}"));
    assert_eq!(outcomes, [("500 limit_exceeded".to_owned(), 800)].into());
    assert!(cost.grown() < 512, "{cost:?}");
    // Who is no client of HTTP hears the same.
    let request = HttpRequest { method: "GET".to_owned(), path: "/".to_owned(), ..HttpRequest::default() };
    let request = codec::encode(&request).expect("plain data");
    let called = scene.lattice.caller("a").call(&wasm.id, HANDLE_REQUEST, request.into()).await;
    assert_eq!(called.expect_err("it is refused").code(), "limit_exceeded");
}
