//! `wash keys` as a user meets it.

use std::os::unix::fs::PermissionsExt;

use crate::support::{EMPTY_MODULE, Wash};

#[test]
fn a_generated_key_is_shown_and_not_stored() {
    let wash = Wash::new();
    insta::assert_snapshot!(wash.run("keys gen module"), @r"
    exit: 0
    stdout:
    Public key: [M]
    Seed:       [SM]

    Keep the seed secret.
    ");
    insta::assert_snapshot!(wash.run("keys list"), @r"
    exit: 0
    stdout:
    No keys in [DIR]/wash/keys
    ");
}

#[test]
fn every_kind_of_key_can_be_made_and_its_seed_is_of_that_kind() {
    let wash = Wash::new();
    for (kind, letter) in [
        ("account", "A"),
        ("user", "U"),
        ("actor", "M"),
        ("module", "M"),
        ("provider", "V"),
        ("service", "V"),
        ("host", "N"),
        ("server", "N"),
        ("operator", "O"),
        ("cluster", "C"),
    ] {
        let key = wash.json(&format!("keys gen {kind}"));
        let (public, seed) = (key["public_key"].as_str().expect("text"), key["seed"].as_str().expect("text"));
        assert!(public.starts_with(letter) && public.len() == 56, "{kind}: {public}");
        assert!(seed.starts_with(&format!("S{letter}")) && seed.len() == 58, "{kind}: the seed has the wrong kind");
    }
}

#[test]
fn keys_made_by_signing_are_private_and_can_be_shown() {
    let wash = Wash::new();
    wash.write("echo.wasm", EMPTY_MODULE);
    wash.json("claims sign echo.wasm");
    assert_eq!(wash.json("keys list")["keys"], serde_json::json!(["ada_account.nk", "echo_module.nk"]));
    let mode = |path: &str| std::fs::metadata(wash.path(path)).expect("it exists").permissions().mode() & 0o777;
    assert_eq!((mode("wash/keys"), mode("wash/keys/echo_module.nk")), (0o700, 0o600));
    let seed = std::fs::read_to_string(wash.path("wash/keys/echo_module.nk")).expect("a key file");
    assert_eq!(wash.json("keys get echo_module")["seed"], serde_json::json!(seed));
    assert_eq!(wash.json("keys get echo_module.nk")["seed"], serde_json::json!(seed));
}

#[test]
fn an_unknown_key_is_a_failure_with_a_next_step() {
    insta::assert_snapshot!(Wash::new().run("keys get nobody"), @r"
    exit: 1
    stderr:
    error: no key `nobody` in `[DIR]/wash/keys`
      hint: list them with `wash keys list`
    ");
}

#[test]
fn a_name_that_leads_out_of_the_key_directory_is_wrong_usage() {
    let wash = Wash::new();
    wash.write("outside.nk", "secret");
    let (code, failure) = wash.json_failure("keys get ../../outside");
    assert_eq!(code, Some(2));
    assert!(!failure.to_string().contains("secret"));
}

#[test]
fn an_imported_key_is_private_and_found_by_signing() {
    let wash = Wash::new();
    wash.write("echo.wasm", EMPTY_MODULE);
    let key = wash.json("keys gen account");
    wash.write("acme.txt", format!("{}\n", key["seed"].as_str().expect("text")));
    let stored = wash.json("keys import ada_account acme.txt");
    assert_eq!((&stored["public_key"], &stored["new"]), (&key["public_key"], &serde_json::json!(true)));
    let file = std::path::Path::new(stored["file"].as_str().expect("text")).to_owned();
    assert_eq!(file, wash.path("wash/keys/ada_account.nk"));
    assert_eq!(std::fs::metadata(&file).expect("it exists").permissions().mode() & 0o777, 0o600);
    assert_eq!(wash.json("claims sign echo.wasm")["issuer"], key["public_key"]);
    assert_eq!(wash.json("keys import ada_account acme.txt")["new"], serde_json::json!(false), "the same key again");
}

#[test]
fn a_seed_comes_from_standard_input_or_the_command_line() {
    let wash = Wash::new();
    let seed = |kind: &str| wash.json(&format!("keys gen {kind}"))["seed"].as_str().expect("text").to_owned();
    let output = wash.output_fed(&["keys", "import", "echo_module"], seed("actor").as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    wash.json(&format!("keys import kv_service.nk {}", seed("provider")));
    assert_eq!(wash.json("keys list")["keys"], serde_json::json!(["echo_module.nk", "kv_service.nk"]));
}

#[test]
fn importing_never_overwrites_a_key() {
    let wash = Wash::new();
    let seed = |kind: &str| wash.json(&format!("keys gen {kind}"))["seed"].as_str().expect("text").to_owned();
    let (first, second) = (seed("account"), seed("account"));
    wash.json(&format!("keys import acme {first}"));
    insta::assert_snapshot!(wash.run(&format!("keys import acme {second}")), @r"
    exit: 1
    stderr:
    error: `[DIR]/wash/keys/acme.nk` holds another key already, `[A]`, and was not changed
      hint: choose another name, or move that file away
    ");
    assert_eq!(wash.json("keys get acme")["seed"], serde_json::json!(first));
}

#[test]
fn a_key_is_not_imported_under_the_name_of_another_kind_or_outside_the_directory() {
    let wash = Wash::new();
    let seed = wash.json("keys gen actor")["seed"].as_str().expect("text").to_owned();
    insta::assert_snapshot!(wash.run(&format!("keys import acme_account {seed}")), @r"
    exit: 2
    stderr:
    error: `acme_account` is the name of a key of kind `account`, not `actor`
      hint: choose a name that ends in `_module`
    ");
    for name in ["../out", ".hidden", ".nk"] {
        let (code, _) = wash.json_failure(&format!("keys import {name} {seed}"));
        assert_eq!(code, Some(2), "{name}");
    }
    assert!(!wash.path("wash").exists(), "nothing was stored");
}

#[test]
fn what_is_no_seed_is_not_repeated() {
    let wash = Wash::new();
    let mistyped = format!("{}X", wash.json("keys gen actor")["seed"].as_str().expect("text"));
    let (code, failure) = wash.json_failure(&format!("keys import echo_module {mistyped}"));
    assert_eq!(code, Some(1));
    assert!(!failure.to_string().contains(&mistyped[5..]), "{failure}");
    wash.write("echo.wasm", EMPTY_MODULE);
    let (_, failure) = wash.json_failure("keys import echo_module echo.wasm");
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("`echo.wasm`")), "{failure}");
}
