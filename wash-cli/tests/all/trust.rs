//! Whose native code runs and whose an id is, as a user meets it: the refusal, the command it names, and then it works.

use crate::support::Lattice;
use serde_json::{Value, json};

const GUEST: &[u8] = include_bytes!("../../../crates/runtime/tests/guests/wapc_actor.wasm");

fn reason(failure: &Value) -> String {
    failure["error_chain"].to_string()
}

/// A provider archive signed with an account that is not in the key directory; the account and its seed.
fn of_a_vendor(wash: &Lattice) -> (String, String) {
    let vendor = wash.json("keys gen account");
    let text = |member: &str| vendor[member].as_str().expect("text").to_owned();
    let (account, seed) = (text("public_key"), text("seed"));
    wash.write("program", "#!/bin/sh\nexit 0\n");
    par(wash, "vendor", &format!("--issuer {seed}"));
    (account, seed)
}

fn par(wash: &Lattice, name: &str, more: &str) {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    wash.json(&format!(
        "par create --arch {target} --binary program --capid wasmcloud:keyvalue --vendor acme --name {name} --destination {name}.par {more}"
    ));
}

#[test]
fn native_code_of_others_is_refused_with_the_command_that_trusts_it() {
    let wash = Lattice::new();
    wash.json("up -d --no-nats");
    let (vendor, _) = of_a_vendor(&wash);
    let command = format!("wash keys trust {vendor}");
    let (code, failure) = wash.json_failure("start provider ./vendor.par");
    assert!(code == Some(1) && reason(&failure).contains(&command), "{failure}");
    let unpacked = std::fs::read_dir(wash.path("wash/hosts/default/1/cache/providers"));
    assert_eq!(unpacked.map_or(0, Iterator::count), 0, "nothing of it is unpacked");

    // One's own needs no word, also when its key is made while the host runs. Both then fail for want of NATS.
    par(&wash, "own", "");
    let (_, failure) = wash.json_failure("start provider ./own.par");
    assert!(reason(&failure).contains("needs NATS"), "{failure}");
    assert_eq!(wash.json(&command["wash ".len()..])["changed"], json!([vendor]));
    assert_eq!(wash.json("keys trust")["named"], json!([vendor]));
    let (_, failure) = wash.json_failure("start provider ./vendor.par");
    assert!(reason(&failure).contains("needs NATS"), "{failure}");

    wash.json(&format!("keys untrust {vendor}"));
    let (_, failure) = wash.json_failure("start provider ./vendor.par");
    assert!(reason(&failure).contains(&command), "{failure}");
}

#[test]
fn actors_of_others_run_and_any_opens_the_rest() {
    let wash = Lattice::new();
    wash.json("up -d --no-nats --allowed-issuer any");
    let (_, seed) = of_a_vendor(&wash);
    let (_, failure) = wash.json_failure("start provider ./vendor.par");
    assert!(reason(&failure).contains("needs NATS"), "{failure}");
    wash.write("echo.wasm", GUEST);
    wash.json(&format!("claims sign echo.wasm -q --issuer {seed}"));
    wash.json("start actor echo_s.wasm");
}

#[test]
fn an_id_is_given_away_by_its_owner_or_taken_away_with_force() {
    let wash = Lattice::new();
    wash.json("up -d --no-nats");
    wash.write("echo.wasm", GUEST);
    let actor = wash.json("claims sign echo.wasm -q")["actor_id"].as_str().expect("an id").to_owned();
    wash.json("start actor echo_s.wasm");
    wash.json(&format!("stop actor {actor}"));
    let (vendor, seed) = of_a_vendor(&wash);
    wash.json(&format!("claims sign echo.wasm -q --destination theirs.wasm --issuer {seed}"));
    let (code, failure) = wash.json_failure("start actor theirs.wasm");
    let command = format!("claims transfer actor {actor} --to {vendor}");
    assert!(code == Some(1) && reason(&failure).contains(&format!("wash {command}")), "{failure}");

    let (_, failure) = wash.json_failure(&format!("{command} --signer {seed}"));
    assert!(reason(&failure).contains("cannot give it away"), "{failure}");
    let moved = wash.json(&command);
    assert_eq!((&moved["subject"], &moved["owner"], &moved["forced"]), (&json!(actor), &json!(vendor), &json!(false)));
    wash.json("start actor theirs.wasm");
    wash.json(&format!("stop actor {actor}"));
    let (_, failure) = wash.json_failure("start actor echo_s.wasm");
    assert!(reason(&failure).contains("belongs to"), "{failure}");

    let own = wash.json("inspect echo_s.wasm")["account"].as_str().expect("an id").to_owned();
    let (_, failure) = wash.json_failure(&format!("claims transfer actor {actor} --to {own}"));
    assert!(reason(&failure).contains("--force"), "{failure}");
    wash.json(&format!("claims transfer actor {actor} --to {own} --force"));
    wash.json("start actor echo_s.wasm");
}

#[test]
fn a_file_is_revoked_as_the_program_it_is() {
    let wash = Lattice::new();
    wash.json("up -d --no-nats");
    wash.write("echo.wasm", GUEST);
    wash.json("claims sign echo.wasm -q");
    // Before it was signed, and not as it will be started.
    let revoked = wash.json("claims revoke digest echo.wasm");
    assert_eq!(revoked["ids"].as_array().map(Vec::len), Some(2), "the bytes and the program: {revoked}");
    let (_, failure) = wash.json_failure("start actor echo_s.wasm");
    assert!(reason(&failure).contains("revoked"), "{failure}");
    let (_, failure) = wash.json_failure("claims unrevoke digest nothing.wasm");
    assert!(failure.to_string().contains("digest"), "{failure}");
    wash.json("claims unrevoke digest echo.wasm");
    wash.json("start actor echo_s.wasm");

    wash.write("program", "#!/bin/sh\nexit 0\n");
    par(&wash, "own", "");
    let revoked = wash.json("claims revoke digest own.par");
    assert_eq!(revoked["ids"].as_array().map(Vec::len), Some(2), "the archive and its binary: {revoked}");
    par(&wash, "own2", "");
    let (_, failure) = wash.json_failure("start provider ./own2.par");
    assert!(reason(&failure).contains("revoked"), "{failure}");
}

#[test]
fn a_state_directory_that_is_not_ones_own_is_refused_by_name() {
    let wash = Lattice::new();
    let state = wash.path("state");
    std::fs::create_dir(&state).expect("made");
    if std::os::unix::fs::chown(&state, Some(65534), None).is_err() {
        return; // only root can give a directory away; the check itself is tested in `host`
    }
    let (code, failure) = wash.json_failure("up -d --no-nats --state-dir state");
    assert!(code == Some(1) && failure.to_string().contains("belongs to the user 65534"), "{failure}");
}
