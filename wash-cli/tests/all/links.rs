//! Links as they are put and shown: secrets masked, what is not granted stored only when asked, refusals as failures.

use crate::support::Lattice;
use serde_json::json;

const GUEST: &[u8] = include_bytes!("../../../crates/runtime/tests/guests/wapc_actor.wasm");
const PUT: &str = "link put guest keyvalue-redb wasmcloud:keyvalue";

/// A host with an actor that may use `contracts`, and the store that comes with it.
fn lattice(contracts: &str) -> Lattice {
    let wash = Lattice::new();
    wash.json("up --detached --no-nats");
    wash.write("guest.wasm", GUEST);
    wash.json(&format!("claims sign guest.wasm {contracts}"));
    wash.json("start provider builtin://keyvalue-redb");
    wash.json("start actor ./guest_s.wasm");
    wash
}

#[test]
fn secrets_among_the_values_are_masked_unless_asked_for() {
    let wash = lattice("-q -k");
    wash.json("start provider builtin://httpserver");
    // Stored whatever the provider knows of it: other providers have such keys.
    let secrets = ["password=hunter2", "api_token=tok3n", "url=redis://ada:s3same@db.test:6379"];
    wash.output(&["link", "put", "guest", "httpserver", "wasmcloud:httpserver", secrets[0], secrets[1], secrets[2]]);
    let words = ["hunter2", "tok3n", "s3same"];
    for line in ["get links", "link query", "get links -o json", "link query -o json"] {
        let shown = wash.run(line);
        assert!(shown.contains("db.test:6379"), "what is no secret is shown: {line}: {shown}");
        for word in words {
            assert!(!shown.contains(word), "{line}: {shown}");
        }
    }
    let shown = wash.run("get links --show-secrets");
    assert!(words.iter().all(|word| shown.contains(word)), "{shown}");
}

#[test]
fn a_link_that_the_claims_do_not_grant_is_stored_only_when_forced() {
    let wash = lattice("-q");
    let (code, failure) = wash.json_failure(PUT);
    assert_eq!(code, Some(1), "{failure}");
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("do not grant `wasmcloud:keyvalue`")));
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("--force")), "{failure}");
    assert_eq!(wash.json("get links")["links"], json!([]), "it is not stored");

    let stored = wash.run(&format!("{PUT} --force"));
    assert!(stored.starts_with("exit: 0\n") && stored.contains("stored for its next version"), "{stored}");
    assert_eq!(wash.json("get links")["links"].as_array().map(Vec::len), Some(1));

    // The next version may use it.
    wash.json("claims sign guest.wasm -q -k");
    wash.json("update actor guest ./guest_s.wasm");
    let put = wash.json(PUT);
    assert_eq!(put["applied_on"].as_array().map(Vec::len), Some(1), "{put}");
}

#[test]
fn a_link_that_its_provider_refuses_is_a_failure_that_says_why() {
    let wash = lattice("-q");
    wash.json("start provider builtin://httpserver");
    let (code, failure) = wash.json_failure("link put guest httpserver wasmcloud:httpserver address=nowhere");
    assert_eq!(code, Some(1), "{failure}");
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("does not serve the link")), "{failure}");
    assert!(failure["error_chain"].to_string().contains("address"), "{failure}");
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("wash link del")), "{failure}");
}
