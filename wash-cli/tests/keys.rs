//! `wash keys` as a user meets it.

mod support;

use std::os::unix::fs::PermissionsExt;

use support::{EMPTY_MODULE, Wash};

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
