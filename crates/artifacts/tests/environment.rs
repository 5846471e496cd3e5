//! What comes from the environment of a process: docker's configuration and its helpers, proxies, system certificates.
//!
//! The environment belongs to a whole process, so each test asks in a copy of this program with an environment of its own.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use artifacts::{Registry, RegistryOptions, Timeouts};
use common::{Answer, Server, Shelf, wasm};
use data_encoding::BASE64;
use serde_json::json;

/// Set for the copies: `plain` or `tls`, and the registry to ask.
const CHILD: &str = "ARTIFACTS_TEST_CHILD";
/// Set beside it when helpers shall not be waited for long.
const HURRIED: &str = "ARTIFACTS_TEST_HURRIED";

/// Not a test of its own: what the copies of this program do.
#[tokio::test]
async fn child() {
    let Ok(child) = std::env::var(CHILD) else { return };
    let (how, registry) = child.split_once(' ').expect("two words");
    let helper = if std::env::var(HURRIED).is_ok() { Duration::from_secs(3) } else { Duration::from_secs(30) };
    let timeouts = Timeouts { helper, ..Timeouts::default() };
    let insecure = if how == "plain" { vec![registry.to_owned()] } else { Vec::new() };
    let options = RegistryOptions { insecure, timeouts, retries: 0, ..RegistryOptions::default() };
    match Registry::new(options).expect("a client").ping(registry).await {
        Ok(()) => println!("said: in"),
        Err(error) => println!("said: {} | {} | {}", error.code(), common::chain(&error), error.next_step()),
    }
}

/// What a copy with this environment, and nothing of ours, says about a registry.
async fn ask(how: &str, registry: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["child", "--exact", "--nocapture"]).env_clear().env(CHILD, format!("{how} {registry}"));
    command.envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panics").expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().find_map(|line| line.split_once("said: ")).map(|(_, said)| said.to_owned());
    said.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

async fn wants(pair: &'static str) -> Server {
    let expected = format!("Basic {}", BASE64.encode(pair.as_bytes()));
    Server::start(move |seen| match seen.header("authorization") {
        Some(shown) if shown == expected => Answer::new(200, "{}"),
        _ => Answer::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
    })
    .await
}

/// A directory with a docker configuration, and helpers in it.
fn docker(config: &str, helpers: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("config.json"), config).expect("written");
    for (name, script) in helpers {
        let path = directory.path().join(format!("docker-credential-{name}"));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("set");
    }
    directory
}

async fn with_docker(server: &Server, config: &serde_json::Value, helpers: &[(&str, &str)]) -> String {
    with_docker_and(server, config, helpers, &[]).await
}

async fn with_docker_and(
    server: &Server,
    config: &serde_json::Value,
    helpers: &[(&str, &str)],
    more: &[(&str, &str)],
) -> String {
    let directory = docker(&config.to_string(), helpers);
    let path = directory.path().display().to_string();
    let search = format!("{path}:/usr/bin:/bin");
    let environment = [&[("DOCKER_CONFIG", path.as_str()), ("PATH", search.as_str())], more].concat();
    ask("plain", &server.authority(), &environment).await
}

#[tokio::test]
async fn what_docker_login_keeps_is_used() {
    let server = wants("ada:hunter2").await;
    let authority = server.authority();
    let auth = BASE64.encode(b"ada:hunter2");
    assert_eq!(with_docker(&server, &json!({ "auths": { authority.clone(): { "auth": auth } } }), &[]).await, "in");
    let with_scheme = json!({ "auths": { format!("https://{authority}/v1/"): { "auth": auth } } });
    assert_eq!(with_docker(&server, &with_scheme, &[]).await, "in");
    let pair = json!({ "auths": { authority.clone(): { "username": "ada", "password": "hunter2" } } });
    assert_eq!(with_docker(&server, &pair, &[]).await, "in");
    let of_another = json!({ "auths": { "other.test": { "auth": auth } }, "credHelpers": { "other.test": "nowhere" } });
    assert!(with_docker(&server, &of_another, &[]).await.starts_with("unauthorized"), "not ours to show");

    // Also below the home directory.
    let home = tempfile::tempdir().expect("a directory");
    fs::create_dir(home.path().join(".docker")).expect("made");
    let config = json!({ "auths": { authority.clone(): { "auth": auth } } });
    fs::write(home.path().join(".docker/config.json"), config.to_string()).expect("written");
    assert_eq!(ask("plain", &authority, &[("HOME", &home.path().display().to_string())]).await, "in");
    assert!(ask("plain", &authority, &[]).await.starts_with("unauthorized"), "no home, no configuration");
    assert!(ask("plain", &authority, &[("HOME", "/dev/null")]).await.starts_with("unauthorized"));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_understood_says_which_file() {
    let server = wants("ada:hunter2").await;
    let authority = server.authority();
    for (config, code) in [
        ("{".to_owned(), "credentials_not_a_config"),
        (json!({ "auths": { authority.clone(): { "auth": "!" } } }).to_string(), "credentials_not_a_pair"),
        (" ".repeat((1 << 20) + 1), "credentials_too_large"),
        (json!({ "credsStore": "../../bin/sh" }).to_string(), "credential_helper_name"),
        (json!({ "credsStore": "nowhere" }).to_string(), "credential_helper_missing"),
    ] {
        let directory = docker(&config, &[]);
        let path = directory.path().display().to_string();
        let said = ask("plain", &authority, &[("DOCKER_CONFIG", &path), ("PATH", &path)]).await;
        assert!(said.starts_with(&format!("{code} | cannot look up credentials for `{authority}`")), "{said}");
    }
}

#[tokio::test]
async fn helpers_are_asked_the_one_for_the_registry_first() {
    let server = wants("ada:hunter2").await;
    let authority = server.authority();
    let good =
        r#"read server; [ "$1" = get ] && printf '{"ServerURL":"%s","Username":"ada","Secret":"hunter2"}' "$server""#;
    let bad = r#"printf '{"Username":"ada","Secret":"wrong"}'"#;
    let for_it = json!({ "credHelpers": { authority.clone(): "good" }, "credsStore": "bad" });
    assert_eq!(with_docker(&server, &for_it, &[("good", good), ("bad", bad)]).await, "in");
    // As docker writes it: an empty entry says that the store keeps it.
    let for_all = json!({ "auths": { authority.clone(): {} }, "credsStore": "good" });
    assert_eq!(with_docker(&server, &for_all, &[("good", good)]).await, "in");
    let none = "echo 'credentials not found in native keychain'; exit 1";
    let said = with_docker(&server, &json!({ "credsStore": "none" }), &[("none", none)]).await;
    assert!(said.starts_with("unauthorized | ") && said.contains("docker login"), "{said}");
}

#[tokio::test]
async fn helpers_that_misbehave_are_named() {
    let server = wants("ada:hunter2").await;
    for (script, code) in [
        ("echo 'no key ring'; exit 1", "credential_helper_failed | cannot look up"),
        ("echo hello", "credential_helper_answer"),
        ("printf '{}'", "credential_helper_answer"),
        (
            "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
            "credential_helper_answer",
        ),
    ] {
        let said = with_docker(&server, &json!({ "credsStore": "x" }), &[("x", script)]).await;
        assert!(said.starts_with(code), "{said}");
        assert!(said.contains("docker-credential-x"), "{said}");
    }
}

#[tokio::test]
async fn a_helper_that_went_missing_takes_nothing_public_away() {
    let service = Server::start(|_| Answer::new(200, r#"{"token":"anybody"}"#)).await;
    let realm = service.url("/token");
    let public = Server::start(move |seen| match seen.header("authorization") {
        Some("Bearer anybody") => Answer::new(200, "{}"),
        _ => Answer::new(401, "").with("www-authenticate", format!("Bearer realm=\"{realm}\"")),
    })
    .await;
    let config = json!({ "credsStore": "desktop" });
    assert_eq!(with_docker(&public, &config, &[]).await, "in");

    let realm = service.url("/token");
    let private = Server::start(move |seen| match seen.header("authorization") {
        Some(_) => Answer::new(403, ""),
        None => Answer::new(401, "").with("www-authenticate", format!("Bearer realm=\"{realm}\"")),
    })
    .await;
    let said = with_docker(&private, &config, &[]).await;
    assert!(said.starts_with("credential_helper_missing") && said.contains("docker-credential-desktop"), "{said}");
}

#[tokio::test]
async fn a_helper_that_hangs_does_not_outlive_the_question() {
    let server = wants("ada:hunter2").await;
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 600", file.display());
    let said = with_docker_and(&server, &json!({ "credsStore": "x" }), &[("x", &script)], &[(HURRIED, "1")]).await;
    assert!(said.starts_with("credential_helper_hangs"), "{said}");
    let pid = fs::read_to_string(&file).expect("it ran");
    // The copy that asked has ended; if it left the helper behind, somebody else is its parent now.
    let status = || fs::read_to_string(Path::new("/proc").join(pid.trim()).join("status")).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !status().is_empty() && !status().contains("State:\tZ") {
        assert!(Instant::now() < deadline, "it lives: {}", status());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used_but_not_for_this_machine() {
    let proxy = Server::start(|_| Answer::new(200, "{}")).await;
    let place = proxy.url("");
    let variables = [("HTTP_PROXY", place.as_str()), ("HTTPS_PROXY", place.as_str())];
    assert_eq!(ask("plain", "registry.test:5000", &variables).await, "in");
    let seen = proxy.seen();
    assert_eq!((seen.len(), seen[0].path.as_str()), (1, "http://registry.test:5000/v2/"));

    // Over TLS it is asked for a tunnel. This one says yes and then does not speak TLS.
    let said = ask("tls", "registry.test:5000", &variables).await;
    assert!(!said.starts_with("in"), "{said}");
    let last = proxy.seen().pop().expect("a request");
    assert_eq!((last.method.as_str(), last.path.as_str()), ("CONNECT", "registry.test:5000"));

    let before = proxy.seen().len();
    let server = Shelf::with_actor(&wasm(100, 1)).serve().await;
    assert_eq!(ask("plain", &server.authority(), &variables).await, "in");
    let unproxied = [variables[0], variables[1], ("NO_PROXY", "registry.test")];
    let said = ask("plain", "registry.test:5000", &unproxied).await;
    assert!(said.starts_with("registry_unreachable") || said.starts_with("registry_timeout"), "{said}");
    assert_eq!(proxy.seen().len(), before);
}

#[tokio::test]
async fn a_machine_without_certificates_can_use_insecure_registries_only() {
    let nothing = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/nowhere")];
    let server = Shelf::with_actor(&wasm(100, 1)).serve().await;
    assert_eq!(ask("plain", &server.authority(), &nothing).await, "in");
    let said = ask("tls", &server.authority(), &nothing).await;
    assert!(said.starts_with("tls_setup | cannot set up TLS"), "{said}");
    assert!(said.contains("--ca-file"), "{said}");
}
