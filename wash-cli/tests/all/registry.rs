//! `wash push`, `pull`, `reg` and `drain` where no registry is needed to know what is wrong. With a real registry:
//! `lattice-tests/tests/registry`.

use crate::support::{EMPTY_MODULE, Wash};
use serde_json::json;

/// Nothing listens here.
const NOBODY: &str = "127.0.0.1:1";

fn with_actor() -> Wash {
    let wash = Wash::new();
    wash.write("echo.wasm", EMPTY_MODULE);
    wash.json("claims sign echo.wasm");
    wash
}

#[test]
fn latest_is_refused_before_anybody_is_asked() {
    let wash = with_actor();
    for reference in ["acme/echo", "acme/echo:latest"] {
        for command in ["push", "pull", "inspect"] {
            let file = if command == "push" { "echo_s.wasm" } else { "--insecure" };
            let text = wash.run(&format!("{command} {NOBODY}/{reference} {file}"));
            assert!(text.starts_with("exit: 1\n"), "{text}");
            assert!(text.contains("may be something else every time") && text.contains("--allow-latest"), "{text}");
        }
    }
}

#[test]
fn what_no_host_would_run_is_not_pushed() {
    let wash = with_actor();
    wash.write("notes.txt", "no artifact");
    for (file, reason) in [("echo.wasm", "not a signed actor"), ("notes.txt", "neither")] {
        let (code, failure) = wash.json_failure(&format!("push {NOBODY}/acme/echo:1 {file} --insecure"));
        assert_eq!(code, Some(1), "{failure}");
        assert!(failure.to_string().contains(reason), "{file}: {failure}");
    }
    let mut changed = std::fs::read(wash.path("echo_s.wasm")).expect("the signed file");
    changed.extend_from_slice(&[0, 2, 1, b'x']);
    wash.write("changed.wasm", changed);
    let (code, failure) = wash.json_failure(&format!("push {NOBODY}/acme/echo:1 changed.wasm --insecure"));
    assert!(code == Some(1) && failure.to_string().contains("changed"), "{failure}");
}

#[test]
fn a_reference_without_registry_needs_one() {
    let wash = with_actor();
    insta::assert_snapshot!(wash.run("push acme/echo:1 echo_s.wasm"), @r"
    exit: 2
    stderr:
    error: `acme/echo:1` names no registry
      hint: write `registry/acme/echo:1`, or name the registry with `--registry` or `WASH_REG_URL`
    ");
    let (code, failure) = wash.json_failure("pull localhost:5000/acme/echo:a:b");
    assert!(code == Some(2) && failure["hint"].is_string(), "{failure}");
}

#[test]
fn a_registry_that_is_not_there_is_a_failure_with_a_next_step() {
    let wash = with_actor();
    for line in [
        format!("push {NOBODY}/acme/echo:1 echo_s.wasm --insecure"),
        format!("push acme/echo:1 echo_s.wasm -r {NOBODY} --insecure"),
        format!("reg pull acme/echo:1 --registry {NOBODY}"),
        format!("inspect {NOBODY}/acme/echo:1 --insecure"),
        format!("reg ping -r {NOBODY}"),
    ] {
        let (code, failure) = wash.json_failure(&line);
        assert_eq!(code, Some(1), "`wash {line}`: {failure}");
        assert!(failure["hint"].is_string(), "`wash {line}`: {failure}");
    }
}

#[test]
fn wrong_usage_exits_with_two() {
    let wash = with_actor();
    for line in [
        "push",
        "push a.b/c:1",
        "push a.b/c:1 echo_s.wasm -u ada",
        "push a.b/c:1 echo_s.wasm -p secret",
        "push a.b/c:1 echo_s.wasm -a note",
        "push a.b/c:1 echo_s.wasm --image --wasm",
        "pull a.b/c:1 -d sha256:12",
        "reg ping",
        "drain",
        "drain everything",
        "inspect builtin://httpserver",
    ] {
        let text = wash.run(line);
        assert!(text.starts_with("exit: 2\nstderr:\n"), "`wash {line}`: {text}");
    }
}

#[test]
fn a_certificate_file_that_is_none_is_named() {
    let wash = with_actor();
    wash.write("ca.pem", "no certificate");
    for file in ["ca.pem", "absent.pem"] {
        let (code, failure) = wash.json_failure(&format!("reg ping {NOBODY} --ca-file {file}"));
        assert!(code == Some(1) && failure.to_string().contains(file), "{failure}");
    }
}

#[test]
fn draining_empties_the_cache_and_nothing_else() {
    let wash = with_actor();
    let cache = wash.path("wash/cache/artifacts");
    let opened = artifacts::Cache::open(&cache, 1 << 20).expect("a directory");
    let digest = opened.put(b"fetched").expect("a file");
    for old in ["lib", "smithy", "downloads"] {
        assert_eq!(wash.json(&format!("drain {old}"))["drained"], json!([]));
    }
    assert!(opened.get(&digest).is_some());
    let drained = wash.json("drain oci");
    assert_eq!((&drained["drained"], &drained["bytes"]), (&json!([cache.display().to_string()]), &json!(7)));
    assert!(opened.get(&digest).is_none());
    insta::assert_snapshot!(wash.run("drain all"), @r"
    exit: 0
    stdout:
    [DIR]/wash/cache/artifacts is empty already
    ");
    assert!(wash.path("wash/keys/echo_module.nk").exists());
}

#[test]
fn what_is_no_cache_is_not_drained_and_not_made_one() {
    let wash = with_actor();
    wash.write("README.md", "# Title\n");
    std::fs::create_dir(wash.path("mine")).expect("a directory");
    for no_cache in ["README.md", "mine"] {
        let (code, failure) = wash.json_failure(&format!("drain oci --cache-dir {no_cache}"));
        assert_eq!((code, &failure["error"]), (Some(1), &json!(format!("`{no_cache}` is not a cache of artifacts"))));
    }
    assert_eq!(std::fs::read_dir(wash.path("mine")).expect("there").count(), 0);
    assert_eq!(wash.json("drain oci --cache-dir nowhere")["drained"], json!([]));
    assert!(!wash.path("nowhere").exists());
}
