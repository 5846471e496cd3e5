//! Calls that make calls: how long a chain of them may be, on whatever hosts, and that its first caller hears of its end.

use std::time::Duration;

use bytes::Bytes;
use claims::ActorId;
use lattice_tests::{Signer, TestLattice, eventually};

const LONG: Duration = Duration::from_secs(60);

/// Calls the first actor of the two that it is given, with the two turned around; hands on why that failed.
const PASSES_ON: &str = r#"(module
  (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
  (import "wasmbus" "__guest_error" (func $error (param i32 i32)))
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasmbus" "__host_error_len" (func $reason_len (result i32)))
  (import "wasmbus" "__host_error" (func $reason (param i32)))
  (memory (export "memory") 4)
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (local $len i32)
    (call $request (i32.const 0) (i32.const 1024))
    (memory.copy (i32.const 1136) (i32.const 1024) (i32.const 56))
    (if (i32.eq (i32.const 1) (call $call
          (i32.const 0) (i32.const 0) (i32.const 1024) (i32.const 56)
          (i32.const 0) (local.get $operation) (i32.const 1080) (i32.const 112)))
      (then (return (i32.const 1))))
    (local.set $len (call $reason_len))
    (call $reason (i32.const 4096))
    (call $error (i32.const 4096) (local.get $len))
    (i32.const 0)))"#;

/// Says sixty megabytes of control characters about its failure.
const SAYS_TOO_MUCH: &str = r#"(module
  (import "wasmbus" "__guest_error" (func $error (param i32 i32)))
  (memory (export "memory") 962)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (memory.fill (i32.const 0) (i32.const 27) (i32.const 63000000))
    (call $error (i32.const 0) (i32.const 63000000))
    (i32.const 0)))"#;

fn both(first: &ActorId, second: &ActorId) -> Bytes {
    format!("{first}{second}").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_calls_ends_on_one_host_and_over_two() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let wasm = wat::parse_str(PASSES_ON).expect("valid text");
    let (here, there) = (signer.wasm("here", &wasm), signer.wasm("there", &wasm));
    // More than the chain is long: each of its calls has an instance for as long as those behind it run.
    operator.scale(&lattice.id("a"), &here.reference(), 100).await.expect("it starts");
    operator.scale(&lattice.id("b"), &there.reference(), 100).await.expect("it starts");
    let caller = lattice.caller("a").within(LONG);
    for (first, second) in [(&here.id, &here.id), (&there.id, &here.id)] {
        let end = || async {
            match caller.call(&here.id, "x", both(first, second)).await {
                Err(error) if error.to_string().contains("call depth of 64") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        };
        // Which host runs what is known a moment after the start.
        eventually("the chain ends", end).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_calls_from_elsewhere_hears_of_a_failure_that_is_too_long_to_tell() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let actor = signer.wasm("long", &wat::parse_str(SAYS_TOO_MUCH).expect("valid text"));
    operator.start_actor(&lattice.id("a"), &actor.reference()).await.expect("it starts");
    for caller in [lattice.signed_caller().await, lattice.caller("a")] {
        let error = caller.within(LONG).call(&actor.id, "x", Bytes::new()).await.expect_err("it fails");
        assert_eq!(error.code(), "reported");
        let text = error.to_string();
        assert!(text.len() < 65 << 10 && !text.contains(char::is_control), "{} bytes", text.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_has_what_is_heavy_compiled_by_a_process_of_its_own_program() {
    let Some(lattice) = TestLattice::start_processes(["a"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let functions = "(func (result i32) i32.const 7)".repeat(10_000);
    let entry = r#"(func (export "__guest_call") (param i32 i32) (result i32) i32.const 1)"#;
    let heavy = wat::parse_str(format!("(module {functions} {entry})")).expect("valid text");
    let heavy = signer.wasm("heavy", &heavy);
    let actor = operator.start_actor(&lattice.id("a"), &heavy.reference()).await.expect("it is compiled");
    let answer = lattice.caller("a").within(LONG).call(&actor, "x", Bytes::new()).await;
    assert_eq!(answer, Ok(Bytes::new()));
    // What is refused by that process is refused with its reason.
    let enormous = wat::parse_str(format!("(module {functions} {entry} (func i64.const 1))"));
    let enormous = signer.wasm("invalid", &enormous.expect("text that is no valid module"));
    let refused = operator.start_actor(&lattice.id("a"), &enormous.reference()).await.expect_err("it is invalid");
    assert!(refused.contains("not a valid wasm module"), "{refused}");
}
