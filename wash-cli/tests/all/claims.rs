//! `wash claims` and `wash inspect` as a user meets them.

use std::fs;

use crate::support::{EMPTY_MODULE, Wash};
use serde_json::json;

fn with_module() -> Wash {
    let wash = Wash::new();
    wash.write("echo.wasm", EMPTY_MODULE);
    wash
}

#[test]
fn signing_needs_nothing_but_the_file_and_says_which_keys_it_made() {
    let wash = with_module();
    insta::assert_snapshot!(wash.run("claims sign echo.wasm -q"), @r"
    exit: 0
    stdout:
    Signed echo_s.wasm
      actor   [M] (echo)
      issuer  [A]
      grants  wasmcloud:httpserver
    stderr:
    no account key yet: made `[A]` in [DIR]/wash/keys/ada_account.nk
    no actor key yet: made `[M]` in [DIR]/wash/keys/echo_module.nk
    ");
    insta::assert_snapshot!(wash.run("claims sign echo.wasm -q"), @r"
    exit: 0
    stdout:
    Signed echo_s.wasm
      actor   [M] (echo)
      issuer  [A]
      grants  wasmcloud:httpserver
    ");
    insta::assert_snapshot!(wash.run("inspect echo_s.wasm"), @r"
    exit: 0
    stdout:
    echo, an actor
      actor       [M]
      issuer      [A]
      version     0.1.0, revision 0
      grants      wasmcloud:httpserver
      call alias  none
      tags        None
      expires     never
      usable      immediately
    ");
}

#[test]
fn every_capability_switch_grants_its_contract() {
    let wash = with_module();
    let signed =
        wash.json("claims sign echo.wasm -k -g -q --http_client -f -z -l -e -c acme:radar -c wasmcloud:keyvalue");
    let contracts = json!([
        "wasmcloud:keyvalue",
        "wasmcloud:messaging",
        "wasmcloud:httpserver",
        "wasmcloud:httpclient",
        "wasmcloud:blobstore",
        "wasmcloud:builtin:numbergen",
        "wasmcloud:builtin:logging",
        "wasmcloud:eventstreams",
        "acme:radar"
    ]);
    assert_eq!(signed["capabilities"], contracts);
    assert_eq!(signed["destination"], json!("echo_s.wasm"));
    let shown = wash.json("claims inspect echo_s.wasm");
    let names = json!([
        "K/V Store",
        "Messaging",
        "HTTP Server",
        "HTTP Client",
        "Blob Store",
        "Number Generation",
        "Logging",
        "Event Streams",
        "acme:radar"
    ]);
    assert_eq!(shown["capabilities"], names);
}

#[test]
fn what_is_claimed_is_what_inspect_shows() {
    let wash = with_module();
    wash.json("claims sign echo.wasm -d out.wasm -n Echo -r 7 -v 1.2.3 -t a -t b -a acme/echo -x 3 -b 1");
    let shown = wash.json("inspect out.wasm");
    assert_eq!(shown["name"], json!("Echo"));
    assert_eq!((&shown["revision"], &shown["version"]), (&json!(7), &json!("1.2.3")));
    assert_eq!((&shown["tags"], &shown["call_alias"]), (&json!("a,b"), &json!("acme/echo")));
    assert_eq!((&shown["expires"], &shown["can_be_used"]), (&json!("in 3days"), &json!("in 1day")));
    assert_eq!(shown["module"], shown["actor"]);
}

#[test]
fn the_member_names_of_inspect_are_those_of_the_specification() {
    let wash = with_module();
    wash.json("claims sign echo.wasm");
    for line in ["inspect echo_s.wasm", "claims inspect echo_s.wasm", "claims show file://./echo_s.wasm"] {
        let shown = wash.json(line);
        for member in [
            "account",
            "module",
            "actor",
            "expires",
            "can_be_used",
            "version",
            "revision",
            "capabilities",
            "tags",
            "call_alias",
            "name",
        ] {
            assert!(!shown[member].is_null(), "`{line}` lacks `{member}`: {shown}");
        }
        assert_eq!((&shown["version"], &shown["revision"]), (&json!("0.1.0"), &json!(0)), "the defaults");
        assert_eq!(shown["tags"], json!("None"));
    }
    let token = wash.run("inspect echo_s.wasm --jwt-only");
    assert!(token.starts_with("exit: 0\nstdout:\ney") && token.matches('.').count() == 2, "{token}");
}

#[test]
fn a_digest_that_was_asked_for_must_be_that_of_the_file() {
    let wash = with_module();
    wash.json("claims sign echo.wasm");
    let (code, failure) = wash.json_failure(&format!("inspect echo_s.wasm -d sha256:{}", "0".repeat(64)));
    assert_eq!(code, Some(1));
    let right = failure["error_chain"][0].as_str().and_then(|cause| cause.split('`').nth(1)).expect("the right one");
    wash.json(&format!("inspect echo_s.wasm --digest {right}"));
    assert!(wash.run("inspect echo_s.wasm -d md5:00").starts_with("exit: 2\n"));
}

#[test]
fn the_world_of_a_component_is_shown_and_a_module_has_none() {
    let wash = with_module();
    wash.write("component.wasm", include_bytes!("../../../crates/claims/tests/vectors/component_actor.wasm"));
    let text = wash.run("inspect component.wasm --wit");
    assert!(text.starts_with("exit: 0\nstdout:\npackage ") && text.contains("world "), "{text}");
    insta::assert_snapshot!(wash.run("inspect echo.wasm --wit"), @r"
    exit: 1
    stderr:
    error: `echo.wasm` has no WIT world: it is a WebAssembly module, not a component
      hint: leave out `--wit` to see the claims
    ");
    wash.write("broken.wasm", b"\0asm\x0d\0\x01\0\x07\xff");
    let (code, failure) = wash.json_failure("inspect broken.wasm --wit");
    assert_eq!((code, &failure["error"]), (Some(1), &json!("cannot read the world of `broken.wasm`")));
}

#[test]
fn signing_again_keeps_the_identity_and_replaces_the_claims() {
    let wash = with_module();
    let first = wash.json("claims sign echo.wasm -q");
    let again = wash.json("claims sign echo_s.wasm -d echo_s.wasm -k -s wash/keys/echo_module.nk");
    assert_eq!(first["actor_id"], again["actor_id"]);
    assert_eq!(wash.json("inspect echo_s.wasm")["capabilities"], json!(["K/V Store"]));
}

#[test]
fn a_file_that_is_no_wasm_leaves_nothing_behind() {
    let wash = Wash::new();
    wash.write("echo.wasm", "#!/bin/sh\necho hello\n");
    let (code, failure) = wash.json_failure("claims sign echo.wasm");
    assert_eq!(
        (code, &failure["success"], &failure["error"]),
        (Some(1), &json!(false), &json!("cannot sign `echo.wasm`"))
    );
    assert!(failure["error_chain"].as_array().is_some_and(|chain| !chain.is_empty()), "{failure}");
    assert!(!wash.path("echo_s.wasm").exists());
    assert!(!wash.path("wash").exists(), "no key was made for a file that cannot be signed");
}

#[test]
fn without_permission_to_make_keys_signing_names_the_missing_one() {
    insta::assert_snapshot!(with_module().run("claims sign echo.wasm --disable-keygen"), @r"
    exit: 1
    stderr:
    error: no account key in `[DIR]/wash/keys/ada_account.nk`
      hint: name one with `--issuer` or `--subject`, or leave out `--disable-keygen` to have it made
    ");
}

#[test]
fn a_call_alias_that_hosts_would_change_is_refused_with_the_right_one() {
    insta::assert_snapshot!(with_module().run("claims sign echo.wasm -a Acme-Echo"), @r"
    exit: 2
    stderr:
    error: `Acme-Echo` is no call alias
      hint: use lower-case letters, digits, `_` and `/`: `acme_echo`
    ");
}

#[test]
fn a_seed_of_the_wrong_kind_is_refused() {
    let wash = with_module();
    let seed = wash.json("keys gen account")["seed"].as_str().expect("text").to_owned();
    let (code, failure) = wash.json_failure(&format!("claims sign echo.wasm -s {seed}"));
    assert_eq!(code, Some(1));
    assert_eq!(failure["error"], json!("the given seed is a key of kind `account`, expected `actor`"));
}

#[test]
fn an_unsigned_file_is_said_to_be_unsigned() {
    insta::assert_snapshot!(with_module().run("inspect echo.wasm"), @r"
    exit: 1
    stderr:
    error: `echo.wasm` is not signed
      hint: sign it with `wash claims sign echo.wasm --name NAME`
    ");
}

#[test]
fn a_changed_file_is_shown_with_the_reason_why_hosts_refuse_it() {
    let wash = with_module();
    wash.json("claims sign echo.wasm");
    let mut signed = std::fs::read(wash.path("echo_s.wasm")).expect("the signed file");
    // A custom section more, behind what was signed.
    signed.extend_from_slice(&[0, 2, 1, b'x']);
    wash.write("echo_s.wasm", signed);
    let text = wash.run("inspect echo_s.wasm");
    assert!(text.contains("hosts refuse it: the file was changed after it was signed"), "{text}");
}

#[test]
fn a_missing_file_is_named() {
    let (code, failure) = Wash::new().json_failure("inspect nothing.wasm");
    assert_eq!((code, &failure["error"]), (Some(1), &json!("no file `nothing.wasm`")));
}

#[test]
fn tokens_of_every_kind_can_be_made() {
    let wash = Wash::new();
    for line in [
        "claims token actor --name echo -q -x 2 -b 1 --revision 3 --version 1.0.0",
        "claims token provider --name kv -c wasmcloud:keyvalue -v Acme",
        "claims token account --name acme",
        "claims token operator --name acme",
    ] {
        let token = wash.json(line)["token"].as_str().expect("a token").to_owned();
        assert_eq!(token.split('.').count(), 3, "{line}: {token}");
    }
    let keys = json!([
        "acme_account.nk",
        "acme_operator.nk",
        "ada_account.nk",
        "ada_operator.nk",
        "echo_module.nk",
        "kv_service.nk"
    ]);
    assert_eq!(wash.json("keys list")["keys"], keys);
}

#[test]
fn what_is_no_artifact_is_called_by_its_name_and_not_quoted() {
    let wash = with_module();
    wash.json("claims sign echo.wasm");
    let signed = fs::read(wash.path("echo_s.wasm")).expect("signed");
    wash.write("README.md", "# Title\n\nhunter2\n");
    wash.write("two.wasm", [signed.as_slice(), &signed].concat());
    wash.write("newline.wasm", [signed.as_slice(), b"\n"].concat());
    wash.write("foreign.cwasm", b"\x7FELF\x02\x01\x01\xC8");
    wash.write("empty.wasm", b"");
    let mut compiled = b"\0cwasm\x01\n".to_vec();
    compiled.extend((signed.len() as u64).to_le_bytes());
    compiled.extend([signed.as_slice(), b"sealed code"].concat());
    wash.write("echo.cwasm", compiled);
    for (file, words) in [
        ("README.md", "is a text file"),
        ("two.wasm", "two WebAssembly binaries"),
        ("newline.wasm", "such as a line break"),
        ("foreign.cwasm", "compiled code without the WebAssembly"),
        ("empty.wasm", "is an empty file"),
        ("/dev/zero", "is a device"),
    ] {
        for command in ["inspect", "run"] {
            let (code, failure) = wash.json_failure(&format!("{command} {file}"));
            let shown = failure.to_string();
            assert!(
                code == Some(1) && shown.contains(words) && !shown.contains("hunter2"),
                "{command} {file}: {shown}"
            );
        }
    }
    // Compiled code claims what the wasm in it claims.
    assert_eq!(wash.json("inspect echo.cwasm")["module"], wash.json("inspect echo_s.wasm")["module"]);
}

/// `-e` is what older scripts say for the version of a provider's token (`-v` is its vendor).
#[test]
fn the_version_of_a_token_about_a_provider_has_its_old_letter() {
    let wash = Wash::new();
    for version in ["-e 2.1.0", "--version 2.1.0", "--ver 2.1.0"] {
        let token = wash.json(&format!("claims token provider --name kv -c acme:kv -v Acme -r 7 {version}"));
        let claims = token["token"].as_str().and_then(|token| token.split('.').nth(1)).expect("three parts");
        let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64");
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
        let provider = &claims["wascap"];
        assert_eq!(
            (&provider["ver"], &provider["rev"], &provider["vendor"]),
            (&json!("2.1.0"), &json!(7), &json!("Acme"))
        );
    }
}
