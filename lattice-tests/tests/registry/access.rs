//! Who gets in, with credentials from where, and what is said to those who do not.

use std::{fs, os::unix::fs::PermissionsExt};

use lattice_tests::{Access, Actor, Registry, Signer};

use crate::wash::Wash;

const PASSWORD: Access = Access { password: true, tls: false };

/// A file to push.
fn echo(signer: &Signer) -> String {
    signer.actor(Actor::Echo).path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_right_password_and_each_is_told_what_to_do() {
    let Some(registry) = Registry::start_with(PASSWORD).await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let (file, reference) = (echo(&signer), registry.reference("acme/echo:1"));
    for credentials in [&[][..], &["-u", "ada", "-p", "wrong"], &["-u", "eve", "-p", Registry::PASSWORD]] {
        for command in [&["push", &reference, &file][..], &["pull", &reference], &["inspect", &reference]] {
            let failure = wash.failure(&[command, credentials, &["--insecure"]].concat());
            let text = failure.to_string();
            assert!(text.contains("let") && text.contains("in") && text.contains("password"), "{failure}");
            assert!(!text.contains("wrong") && !text.contains(Registry::PASSWORD), "a password is repeated: {failure}");
        }
    }
    wash.failure(&["reg", "ping", &registry.authority(), "--insecure"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_environment() {
    let Some(registry) = Registry::start_with(PASSWORD).await else { return };
    let (mut wash, signer) = (Wash::new(), Signer::default());
    wash.set("WASH_REG_URL", registry.authority());
    wash.set("WASH_REG_USER", Registry::USER);
    wash.set("WASH_REG_PASSWORD", Registry::PASSWORD);
    wash.json(&["push", "acme/echo:1", &echo(&signer), "--insecure"]);
    wash.json(&["pull", "acme/echo:1", "--insecure"]);
    assert_eq!(wash.json(&["inspect", "acme/echo:1", "--insecure"])["name"], "echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_what_docker_login_stored() {
    let Some(registry) = Registry::start_with(PASSWORD).await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let auth = "YWRhOmNvcnJlY3QgaG9yc2U="; // `ada:correct horse` in base64
    let config = serde_json::json!({ "auths": { registry.authority(): { "auth": auth } } });
    fs::create_dir(wash.path(".docker")).expect("a directory");
    fs::write(wash.path(".docker/config.json"), config.to_string()).expect("a file");
    let reference = registry.reference("acme/echo:1");
    wash.json(&["push", &reference, &echo(&signer), "--insecure"]);
    wash.json(&["pull", &reference, "--insecure", "--no-cache"]);
    wash.failure(&["pull", &reference, "--insecure", "--no-cache", "-u", "ada", "-p", "wrong"]); // flags win
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_a_helper_of_docker() {
    let Some(registry) = Registry::start_with(PASSWORD).await else { return };
    let (mut wash, signer) = (Wash::new(), Signer::default());
    let helper = wash.path("docker-credential-test");
    let answer = serde_json::json!({ "Username": Registry::USER, "Secret": Registry::PASSWORD });
    fs::write(&helper, format!("#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")).expect("a file");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("our file");
    wash.set("PATH", format!("{}:/usr/bin:/bin", wash.path(".").display()));
    wash.set("DOCKER_CONFIG", wash.path("docker"));
    fs::create_dir(wash.path("docker")).expect("a directory");
    let config = serde_json::json!({ "credHelpers": { registry.authority(): "test" } });
    fs::write(wash.path("docker/config.json"), config.to_string()).expect("a file");
    wash.json(&["push", &registry.reference("acme/echo:1"), &echo(&signer), "--insecure"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_where_there_is_none_and_none_where_there_is_are_explained() {
    let Some(open) = Registry::start().await else { return };
    let Some(tls) = Registry::start_with(Access { password: false, tls: true }).await else { return };
    let wash = Wash::new();
    let hint = |failure: &serde_json::Value| failure["hint"].as_str().unwrap_or_default().to_owned();
    let failure = wash.failure(&["pull", &open.reference("acme/echo:1")]);
    assert!(hint(&failure).contains("--insecure"), "{failure}");
    let failure = wash.failure(&["pull", &tls.reference("acme/echo:1")]);
    assert!(hint(&failure).contains("--ca-file"), "{failure}");
    let failure = wash.failure(&["pull", &tls.reference("acme/echo:1"), "--insecure"]);
    assert!(hint(&failure).contains("--insecure"), "{failure}");
}
