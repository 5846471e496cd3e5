//! What operators write, and what becomes of it.

use std::{collections::BTreeMap, time::Duration};

use claims::{KeyKind, KeyPair};
use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    host: HostArgs,
}

fn config(args: &[&str]) -> Result<HostConfig, ConfigError> {
    let cli = Cli::try_parse_from(["host"].iter().chain(args)).expect("flags that exist");
    cli.host.into_config("/state".into())
}

#[test]
fn without_issuers_any_may_run_and_strict_means_none() {
    let account = KeyPair::from_raw_seed(KeyKind::Account, &[1; 32]).public().to_string();
    let issuers = |args: &[&str]| config(args).expect("usable").allowed_issuers.map(|issuers| issuers.len());
    assert_eq!(issuers(&[]), None);
    assert_eq!(issuers(&["--strict"]), Some(0));
    assert_eq!(issuers(&["--strict=false"]), None);
    assert_eq!(issuers(&["--allowed-issuer", &account]), Some(1));
    assert_eq!(issuers(&["--strict", "--allowed-issuer", &account]), Some(1));
}

#[test]
fn any_is_said_in_so_many_words_and_stands_alone() {
    let account = KeyPair::from_raw_seed(KeyKind::Account, &[1; 32]).public().to_string();
    let open = config(&["--allowed-issuer", "any"]).expect("usable");
    assert!(open.allowed_issuers.is_none() && matches!(open.native_issuers, NativeIssuers::Any));
    assert!(matches!(config(&[]).expect("usable").native_issuers, NativeIssuers::Named));
    config(&["--allowed-issuer", "any", "--strict"]).expect_err("everything and nothing");
    config(&["--allowed-issuer", "any", "--allowed-issuer", &account]).expect_err("everything and one");
}

#[test]
fn registries_are_set_by_flags() {
    let args = [
        "--allow-latest",
        "--allowed-insecure",
        "one.test,two.test:5000",
        "--oci-registry",
        "one.test",
        "--oci-user",
        "ada",
        "--oci-password",
        "s3cret",
        "--registry-ca",
        "/a.pem",
        "--registry-ca",
        "/b.pem",
        "--cache-dir",
        "/cache",
        "--cache-size-mib",
        "3",
    ];
    let config = config(&args).expect("usable").artifacts;
    assert!(config.allow_latest);
    assert_eq!(config.insecure, ["one.test", "two.test:5000"]);
    assert_eq!(config.login.as_ref().map(|login| login.user.as_str()), Some("ada"));
    assert_eq!(config.extra_ca.len(), 2);
    assert_eq!((config.cache_dir.to_str(), config.cache_bytes), (Some("/cache"), 3 << 20));
    assert!(!format!("{config:?}").contains("s3cret"), "a password does not print");
}

#[test]
fn compiled_code_is_kept_beside_the_artifacts_unless_it_is_set() {
    let runtime = |args: &[&str]| config(args).expect("usable").runtime;
    let dir = |args: &[&str]| runtime(args).code_cache.map(|cache| (cache.dir, cache.max_bytes >> 20));
    assert_eq!(dir(&["--cache-dir", "/cache/artifacts"]), Some(("/cache/compiled".into(), 512)));
    let args = ["--code-cache-dir", "/code", "--code-cache-size-mib", "3"];
    assert_eq!(dir(&args), Some(("/code".into(), 3)));
    assert_eq!(dir(&["--code-cache-size-mib", "0"]), None, "none at all");
    assert_eq!(runtime(&["--compile-threads", "7"]).compile_threads, 7);
    assert!(Cli::try_parse_from(["host", "--compile-threads", "0"]).is_err());
}

#[test]
fn idle_code_is_let_go_of_unless_it_is_to_stay() {
    let after = |args: &[&str]| config(args).expect("usable").runtime.unload_code_after;
    assert_eq!(after(&[]), Some(Duration::from_secs(60)));
    assert_eq!(after(&["--unload-code-after", "5"]), Some(Duration::from_secs(5)));
    assert_eq!(after(&["--unload-code-after", "0"]), None);
}

#[test]
fn components_of_wasi_0_3_run_only_where_they_are_switched_on() {
    let wasi_p3 = |args: &[&str]| config(args).expect("usable").runtime.wasi_p3;
    assert!(!wasi_p3(&[]));
    assert!(wasi_p3(&["--wasi-p3"]));
    assert!(!wasi_p3(&["--wasi-p3=false"]));
}

#[test]
fn every_problem_is_told_at_once() {
    let error = config(&["--oci-user", "ada", "--allowed-issuer", "bob", "--cluster-seed", "x"]).expect_err("unusable");
    let text = error.to_string();
    for setting in ["--oci-user", "--allowed-issuer", "--cluster-seed"] {
        assert!(text.contains(setting), "{text}");
    }
    assert_eq!(error.problems.len(), 3);
}

#[test]
fn limits_have_defaults_and_what_is_set_is_the_most_a_start_may_ask_for() {
    let quiet = config(&[]).expect("usable");
    assert_eq!(quiet.limits.memory_bytes, 64 << 20);
    assert!(quiet.most.is_empty());
    let set = config(&["--limit", "memory=2GiB,cpu-time=2s", "--limit", "stack=256KiB"]).expect("usable");
    assert_eq!((set.limits.memory_bytes, set.limits.cpu_time), (2 << 30, Duration::from_secs(2)));
    assert_eq!((set.runtime.memory_bytes, set.runtime.guest_stack_bytes), (2 << 30, 256 << 10));
    assert_eq!(set.most.to_texts().keys().collect::<Vec<_>>(), ["cpu-time", "memory"]);
}

#[test]
fn every_unusable_limit_is_named() {
    let error =
        config(&["--limit", "memroy=1", "--limit", "queue=many", "--limit", "stack=deep"]).expect_err("unusable");
    let problems: Vec<&str> = error.problems.iter().filter_map(|problem| problem.strip_prefix("--limit: ")).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("unknown limit `memroy`"));
}

#[test]
fn a_policy_denies_without_an_answer_unless_told_otherwise() {
    assert_eq!(config(&[]).expect("usable").policy, None);
    let policy = |args: &[&str]| config(args).expect("usable").policy.expect("a policy");
    let plain = policy(&["--policy-topic", "acme.policy"]);
    assert_eq!(
        (plain.default, plain.timeout, plain.changes_topic),
        (PolicyDefault::Deny, Duration::from_secs(1), None)
    );
    let args = ["--policy-topic", "a", "--policy-changes-topic", "a.*", "--policy-timeout-ms", "5"];
    let set = policy(&[&args[..], &["--policy-default", "permit"]].concat());
    assert_eq!(
        (set.default, set.timeout, set.changes_topic.as_deref()),
        (PolicyDefault::Permit, Duration::from_millis(5), Some("a.*"))
    );
    for wrong in [
        &["--policy-topic", "a.>"][..],
        &["--policy-topic", "a..b"],
        &["--policy-topic", "a", "--policy-timeout-ms", "0"],
    ] {
        assert_eq!(config(wrong).expect_err("unusable").problems.len(), 1, "{wrong:?}");
    }
}

#[test]
fn credentials_of_one_connection_replace_the_common_ones_as_a_whole() {
    let seed = |kind| KeyPair::generate(kind).seed().expose().to_owned();
    let (common, rpc) = (seed(KeyKind::User), seed(KeyKind::User));
    let args =
        ["--nats-host", "a,b:5000,nats://c:1", "--nats-port", "4333", "--nats-jwt", "x.y.z", "--nats-seed", &common];
    let both = config(&[&args[..], &["--rpc-seed", &rpc, "--rpc-host", "d"]].concat()).expect("usable");
    let (ctl, calls) = (both.ctl.expect("set"), both.rpc.expect("set"));
    assert_eq!(ctl.urls, ["nats://a:4333", "nats://b:5000", "nats://c:1"]);
    assert_eq!((ctl.jwt.as_deref(), ctl.seed.as_deref()), (Some("x.y.z"), Some(common.as_str())));
    assert_eq!((calls.urls, calls.jwt, calls.seed), (vec!["nats://d:4333".to_owned()], None, Some(rpc)));
    let error = config(&["--nats-creds", "/nowhere/user.creds", "--rpc-jwt", "x"]).expect_err("unusable");
    assert_eq!(error.problems.len(), 2, "{error}");
}

#[test]
fn a_provider_gets_its_own_credentials_and_never_those_of_the_host_beside_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let (own, default) = (KeyPair::generate(KeyKind::User), KeyPair::generate(KeyKind::User));
    let (first, second) = (claims::ProviderId::well_known("first"), claims::ProviderId::well_known("second"));
    std::fs::write(directory.path().join(format!("{first}.creds")), own.seed().expose()).expect("written");
    let path = directory.path().to_str().expect("UTF-8").to_owned();
    let args = ["--nats-host", "nats://user:pw@broker:1", "--provider-creds", &path];
    let set = config(&args).expect("usable");
    let login = set.provider_login(&first).expect("it has a file");
    assert_eq!((login.url.as_str(), login.seed.expose()), ("nats://broker:1", own.seed().expose()));
    assert!(set.provider_login(&second).expect_err("no file").contains("default.creds"));
    std::fs::write(directory.path().join("default.creds"), default.seed().expose()).expect("written");
    assert_eq!(set.provider_login(&second).expect("the default").seed.expose(), default.seed().expose());
    let plain = config(&args[..2]).expect("usable").provider_login(&second).expect("those of the host");
    assert_eq!((plain.url.as_str(), plain.tls), ("nats://user:pw@broker:1", None));
}

#[test]
fn labels_of_the_environment_are_text_and_other_variables_may_be_anything() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let bad = || OsString::from_vec(vec![b'x', 0xe9]);
    let mut problems = Problems(Vec::new());
    let variables = [
        ("WASMCLOUD_LABEL_zone".into(), "edge".into()),
        ("UNRELATED".into(), bad()),
        (bad(), "y".into()),
        ("WASMCLOUD_LABEL_name".into(), bad()),
    ];
    let labels = problems.labels_of(variables.into_iter());
    assert_eq!(labels, BTreeMap::from([("zone".to_owned(), "edge".to_owned())]));
    assert_eq!(problems.0, ["WASMCLOUD_LABEL_name: not UTF-8 text"]);
}
