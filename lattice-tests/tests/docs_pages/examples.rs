//! What is copied: examples hold for every input, and a tool that cannot run one says what is missing.

use std::{ffi::OsStr, process::Stdio};

use lattice_tests::{Actor, Guarded, binary, eventually, free_address, try_get};

/// Longer than what one write of a stream takes.
const LONG_PATH: usize = 10 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_component_answers_a_path_that_is_longer_than_one_write() {
    let (home, address) = (tempfile::tempdir().expect("a directory"), free_address());
    let hello = Actor::Hello.path();
    let args = [OsStr::new("serve"), hello.as_os_str(), OsStr::new("--addr"), OsStr::new(&address.to_string())]
        .map(OsStr::to_owned);
    let log = home.path().join("log");
    let _serving = Guarded::start(&binary("wash"), &args, &[("WASH_HOME", home.path().as_os_str())], &log);
    let path = format!("/{}", "a/".repeat(LONG_PATH / 2));
    let answer = eventually("an answer", || try_get(address, &path)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains(&path), "all of the path is said back: {} bytes", answer.body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_needs_a_store_is_not_served_and_the_contract_is_named() {
    let home = tempfile::tempdir().expect("a directory");
    let mut wash = tokio::process::Command::new(binary("wash"));
    wash.args(["serve", "--addr", "127.0.0.1:0"]).arg(Actor::KvCounterComponent.path());
    wash.env_clear().env("WASH_HOME", home.path()).stdin(Stdio::null());
    let output = wash.output().await.expect("wash runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("`wasi:keyvalue/"), "the import is named: {stderr}");
    assert!(stderr.contains("`wasmcloud:keyvalue`"), "the contract is named: {stderr}");
    assert!(stderr.contains("hint: `wash up`"), "the next step is said: {stderr}");
    assert!(!stderr.contains("exports neither"), "it does serve HTTP: {stderr}");
}
