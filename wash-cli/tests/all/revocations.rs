//! `wash claims revoke`, `unrevoke` and `revocations` as a user meets them, with one host and with none.

use std::time::{Duration, Instant};

use crate::support::{Lattice, Wash};
use serde_json::{Value, json};

/// A guest that a host runs.
const GUEST: &[u8] = include_bytes!("../../../crates/runtime/tests/guests/wapc_actor.wasm");

/// A host that runs one signed actor; the id of the actor.
fn with_running_actor() -> (Lattice, String) {
    let wash = Lattice::new();
    wash.write("echo.wasm", GUEST);
    wash.json("up -d --no-nats");
    wash.json("claims sign echo.wasm -q");
    let actor = wash.json("start actor echo_s.wasm")["actor_id"].as_str().expect("an id").to_owned();
    (wash, actor)
}

fn stops(wash: &Wash) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let inventory = wash.json("get inventory");
        if inventory["inventories"][0]["actors"] == json!([]) {
            return;
        }
        assert!(Instant::now() < deadline, "it runs on: {inventory}");
    }
}

fn reason(failure: &Value) -> String {
    failure["error_chain"].to_string()
}

#[test]
fn a_revoked_actor_stops_and_starts_no_more_until_it_is_trusted_again() {
    let (wash, actor) = with_running_actor();
    let revoked = wash.json("claims revoke actor echo --reason leaks");
    assert_eq!((&revoked["what"], &revoked["ids"], &revoked["number"]), (&json!("actor"), &json!([actor]), &json!(1)));
    stops(&wash);
    let (code, failure) = wash.json_failure("start actor echo_s.wasm");
    assert!(code == Some(1) && reason(&failure).contains("revoked") && reason(&failure).contains("leaks"), "{failure}");

    let listed = wash.json("claims revocations")["revocations"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    for (member, value) in [
        ("what", json!("actor")),
        ("id", json!(actor)),
        ("reason", json!("leaks")),
        ("number", json!(1)),
        ("signer", revoked["signer"].clone()),
    ] {
        assert_eq!(listed[0][member], value, "{member}: {listed}");
    }
    assert_eq!(wash.json("claims revoke actor echo")["number"], Value::Null, "it is revoked already");

    assert_eq!(wash.json(&format!("claims unrevoke actor {actor}"))["number"], json!(2));
    assert_eq!(wash.json("claims revocations")["revocations"], json!([]));
    wash.json("start actor echo_s.wasm");
    let (_, failure) = wash.json_failure("claims unrevoke actor echo");
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("is not revoked by")), "{failure}");
}

#[test]
fn an_account_takes_back_what_it_signed_and_nothing_else() {
    let (wash, actor) = with_running_actor();
    let stranger = wash.json("keys gen account")["seed"].as_str().expect("text").to_owned();
    let (code, failure) = wash.json_failure(&format!("claims revoke actor echo --signer {stranger}"));
    assert!(
        code == Some(1) && failure["error"].as_str().is_some_and(|error| error.contains("cannot revoke")),
        "{failure}"
    );
    assert!(wash.json("get inventory").to_string().contains(&actor), "it still runs");

    let issuer = wash.json("inspect echo_s.wasm")["account"].as_str().expect("an id").to_owned();
    let beginning = &issuer[..8];
    let revoked = wash.json(&format!("claims revoke issuer {beginning} --signer wash/keys/ada_account.nk"));
    assert_eq!((&revoked["ids"], &revoked["signer"]), (&json!([issuer]), &json!(issuer)));
    stops(&wash);
}

#[test]
fn a_file_is_revoked_by_its_digest_and_a_text_that_is_none_is_refused() {
    let (wash, _) = with_running_actor();
    let revoked = wash.json("claims revoke digest echo_s.wasm");
    assert!(revoked["ids"][0].as_str().is_some_and(|id| id.starts_with("sha256:")), "{revoked}");
    stops(&wash);
    let text = wash.run("claims revocations");
    assert!(text.contains("WHAT") && text.contains("digest"), "{text}");
    assert_eq!(wash.json_failure("claims revoke digest sha256:12").0, Some(2));
    let long = "r".repeat(257);
    let (_, failure) = wash.json_failure(&format!("claims revoke actor echo --reason {long}"));
    assert!(failure.to_string().contains("257"), "{failure}");
}

#[test]
fn without_a_key_to_sign_with_nobody_is_asked() {
    insta::assert_snapshot!(Wash::new().run("claims revoke actor echo"), @r"
    exit: 1
    stderr:
    error: no cluster key to sign the revocation list with: `[DIR]/wash/keys/cluster.nk` is missing
      hint: name a trusted cluster key, or your account key, with `--signer`
    ");
}

#[test]
fn a_key_that_can_sign_no_revocations_is_refused() {
    let wash = Wash::new();
    let seed = wash.json("keys gen actor")["seed"].as_str().expect("text").to_owned();
    let (code, failure) = wash.json_failure(&format!("claims revoke actor echo --signer {seed}"));
    assert_eq!(code, Some(1));
    assert!(!failure.to_string().contains(&seed));
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("cluster key")), "{failure}");
}

#[test]
fn without_a_lattice_all_three_say_how_to_get_one() {
    let wash = Wash::new();
    let seed = wash.json("keys gen cluster")["seed"].as_str().expect("text").to_owned();
    for line in [
        format!("claims revoke issuer A1 --signer {seed}"),
        format!("claims unrevoke issuer A1 --signer {seed}"),
        "claims revocations".to_owned(),
    ] {
        let (code, failure) = wash.json_failure(&line);
        assert_eq!(code, Some(1), "{failure}");
        assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("wash up")), "{failure}");
    }
}

#[test]
fn wrong_usage_exits_with_two() {
    let wash = Wash::new();
    for line in ["claims revoke", "claims revoke actor", "claims revoke host N1", "claims unrevoke digest"] {
        let text = wash.run(line);
        assert!(text.starts_with("exit: 2\nstderr:\n"), "`wash {line}`: {text}");
    }
}
