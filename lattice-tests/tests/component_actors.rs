//! Components on a host: what was configured for them, and what their claims let them import.

use std::time::Duration;

use claims::{ActorId, ActorMetadata, Claims, KeyKind, KeyPair, PublicKey, wasm};
use lattice::{
    LatticeId,
    client::RpcClient,
    invocation::{Entity, Invocation},
    subject::RpcSubject,
};
use lattice_tests::{Signed, Signer, TestLattice, eventually, now};

/// Longest wait for one call.
const BOUND: Duration = Duration::from_secs(5);

/// Says what is configured as `color`, by the only way out that needs no streams: its error.
const CONFIGURED: &str = r#"(component
  (import "wasmcloud:bus/guest-config" (instance $config
    (type $e (variant (case "upstream" string) (case "io" string)))
    (export "config-error" (type $error (eq $e)))
    (export "get" (func (param "key" string) (result (result (option (list u8)) (error $error)))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $m))
  (alias core export $memory "realloc" (core func $realloc))
  (alias export $config "get" (func $get))
  (core func $get (canon lower (func $get) (memory $m) (realloc $realloc)))
  (core module $main
    (import "host" "memory" (memory 1))
    (import "host" "get" (func $get (param i32 i32 i32)))
    (data (i32.const 64) "color")
    (func (export "call") (param i32 i32) (result i32)
      ;; result<option<list<u8>>, _> at 128: both numbers, then pointer and length
      (call $get (i32.const 64) (i32.const 5) (i32.const 128))
      (i32.store (i32.const 256) (i32.const 1))
      (i32.store (i32.const 260) (i32.load (i32.const 136)))
      (i32.store (i32.const 264) (i32.load (i32.const 140)))
      (i32.const 256)))
  (core instance $main (instantiate $main
    (with "host" (instance (export "memory" (memory $m)) (export "get" (func $get))))))
  (func $call (param "operation" string) (result (result (error string)))
    (canon lift (core func $main "call") (memory $m) (realloc $realloc)))
  (instance $guest (export "call" (func $call)))
  (export "wasmcloud:bus/guest" (instance $guest)))"#;

/// Imports one function of key-value and never calls it.
const COUNTER: &str = r#"(component
  (import "wasi:keyvalue/store@0.2.0-draft" (instance
    (export "bucket" (type $bucket (sub resource)))
    (type $e (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $e)))
    (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))))
  (core module $main (func (export "run") (result i32) (i32.const 0)))
  (core instance $main (instantiate $main))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))"#;

fn signed(signer: &Signer, text: &str, caps: &[&str]) -> Signed<ActorId> {
    let subject = KeyPair::generate(KeyKind::Module).public();
    let caps = Some(caps.iter().map(|contract| (*contract).to_owned()).collect());
    let metadata = ActorMetadata { name: Some("component".to_owned()), caps, ..ActorMetadata::default() };
    let claims = Claims::new(signer.key().public(), subject.to_string(), metadata, now());
    let component = wat::parse_str(text).expect("valid text");
    let bytes = wasm::sign_actor(&component, claims, signer.key()).expect("it can be signed");
    Signed { id: subject.try_into().expect("a module key"), path: signer.write(&format!("{subject}.wasm"), &bytes) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_sees_its_configuration_as_it_is_now_and_nobody_elses() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (signer, operator, host) = (Signer::default(), lattice.operator_at("a"), lattice.id("a"));
    let mine = signed(&signer, CONFIGURED, &[]);
    let others = signed(&signer, CONFIGURED, &[]);
    for actor in [&mine, &others] {
        operator.start_actor(&host, &actor.reference()).await.expect("it starts");
    }
    let rpc = RpcClient::nats(lattice.nats.client().await, LatticeId::default(), None);
    let color = async |actor: &ActorId| {
        let entity = Entity::actor(actor);
        let payload = bytes::Bytes::new();
        let cluster = lattice.cluster();
        let invocation = Invocation::issue(entity.clone(), entity, "Test.Color", payload, cluster, &host, now());
        let invocation = invocation.expect("it can be signed");
        rpc.invoke(&RpcSubject::Actor(*actor), invocation, BOUND).await.expect_err("it only has errors").to_string()
    };
    let entity = PublicKey::from(mine.id);
    for value in ["red", "blue"] {
        operator.control.put_config(&entity, "color", value.as_bytes()).await.expect("it is kept");
        eventually("the value in the guest", || async {
            let seen = color(&mine.id).await;
            if seen == value { Ok(()) } else { Err(seen) }
        })
        .await;
        assert_eq!(color(&others.id).await, "", "nothing is configured for the other");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_does_not_start_with_imports_that_its_claims_do_not_grant() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (signer, operator, host) = (Signer::default(), lattice.operator_at("a"), lattice.id("a"));
    let refused = signed(&signer, COUNTER, &["wasmcloud:messaging"]);
    let reason = operator.start_actor(&host, &refused.reference()).await.expect_err("it is not granted");
    for part in ["wasi:keyvalue/store@0.2.0-draft", "wash claims sign --cap wasmcloud:keyvalue"] {
        assert!(reason.contains(part), "{reason}");
    }
    let granted = signed(&signer, COUNTER, &["wasmcloud:keyvalue"]);
    operator.start_actor(&host, &granted.reference()).await.expect("it starts");
}
