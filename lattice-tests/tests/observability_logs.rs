//! Logs of a host process as JSON, and what provider processes are told about logs and traces.

use std::{ffi::OsString, fs, path::Path, process::Command, time::Duration};

use bytes::Bytes;
use claims::{HostId, KeyKind, KeyPair};
use host::{HostConfig, TracingConfig};
use lattice::{
    HostData, LatticeId,
    client::{ControlClient, RpcClient},
    invocation::{Entity, Invocation},
    subject::{ControlRoot, RpcSubject},
};
use lattice_tests::{Guarded, HTTPSERVER, Operator, Signer, TestLattice, binary, eventually, now};
use serde_json::Value;

/// A module that writes one line to the log at every call.
const LOGS: &str = r#"(module
    (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
    (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
    (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 4)
    (data (i32.const 16) "wasmcloud:builtin:logging")
    (data (i32.const 64) "Logging.WriteLog")
    (data (i32.const 96) "\82\a5level\a4info\a4text\a9say \"so\"\0a")
    (func (export "__guest_call") (param i32 i32) (result i32)
        (call $request (i32.const 1024) (i32.const 4096))
        (drop (call $call
            (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 25)
            (i32.const 64) (i32.const 16) (i32.const 96) (i32.const 27)))
        (call $response (i32.const 0) (i32.const 0))
        (i32.const 1)))"#;

fn args(state_dir: &Path, more: &[&str]) -> Vec<OsString> {
    let own = [OsString::from("--without-nats"), "--allow-file-load".into(), "--state-dir".into(), state_dir.into()];
    own.into_iter().chain(more.iter().map(OsString::from)).collect()
}

/// A log as lines of JSON. A line that is none is a failure.
fn lines(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: `{line}`"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn structured_logs_are_json_lines_and_those_of_actors_carry_their_id() {
    let dir = tempfile::tempdir().expect("a directory");
    let (log, state_dir, cluster) =
        (dir.path().join("log"), dir.path().join("state"), KeyPair::generate(KeyKind::Cluster));
    let seed = OsString::from(cluster.seed().expose());
    let env = [("WASMCLOUD_CLUSTER_SEED", &*seed), ("HOME", dir.path().as_os_str())];
    let args = args(&state_dir, &["--enable-structured-logging", "--log-level", "INFO"]);
    let mut process = Guarded::start(&binary("wash-host"), &args, &env, &log);
    let socket = host::socket_path(&state_dir);
    let root = ControlRoot::new(LatticeId::default());
    let operator = Operator { control: ControlClient::socket(&socket, root, Duration::from_secs(5)) };
    let host: HostId = eventually("the host on its control socket", || async {
        let hosts = operator.hosts().await.map_err(|error| error.to_string())?;
        hosts.first().map(|host| host.id).ok_or("no host".to_owned())
    })
    .await;
    let signer = Signer::default();
    let actor = signer.wasm("logs", &wat::parse_str(LOGS).expect("valid text"));
    operator.start_actor(&host, &actor.reference()).await.expect("it starts");
    let (origin, target) = (Entity::actor(&actor.id), Entity::actor(&actor.id));
    let invocation = Invocation::issue(origin, target, "Do".to_owned(), Bytes::new(), &cluster, &host, now());
    let rpc = RpcClient::socket(&socket, LatticeId::default());
    rpc.invoke(&RpcSubject::Actor(actor.id), invocation.expect("signed"), Duration::from_secs(20))
        .await
        .expect("it answers");
    process.terminate().await;

    let lines = lines(&log);
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
        assert!(line["fields"]["message"].is_string(), "{line}");
        assert!(["INFO", "WARN", "ERROR"].contains(&line["level"].as_str().unwrap_or_default()), "{line}");
    }
    let of_actor = |target: &str| {
        let found = lines.iter().find(|line| line["target"] == target && line["fields"]["actor"] == actor.id.as_str());
        found.unwrap_or_else(|| panic!("no line of `{target}` with the actor: {lines:#?}"))
    };
    let said = of_actor("guest");
    assert_eq!(said["level"], "INFO");
    assert!(said["fields"]["message"].as_str().is_some_and(|text| text.starts_with("say \"so\"")), "{said}");
    of_actor("host::workloads::actor::scale");
    assert!(!fs::read_to_string(&log).expect("a log").contains(cluster.seed().expose()));
}

#[test]
fn a_level_that_is_none_stops_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = args(dir.path(), &["--log-level", "host=loud"]);
    let output = Command::new(binary("wash-host")).args(args).env_remove("RUST_LOG").output().expect("it runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_processes_log_and_trace_as_their_host_does() {
    const ENDPOINT: &str = "http://127.0.0.1:1";
    let change = |config: &mut HostConfig| {
        config.structured_logging = true;
        config.tracing =
            Some(TracingConfig { endpoint: ENDPOINT.to_owned(), headers: http::HeaderMap::new(), ratio: 1.0 });
    };
    let Some(lattice) = TestLattice::start_with(["a"], change).await else { return };
    let (operator, signer, dir) =
        (lattice.operator().await, Signer::default(), tempfile::tempdir().expect("a directory"));
    let told = dir.path().join("told");
    let program = format!(
        "#!/bin/sh\nread -r line\necho \"$OTEL_TRACES_EXPORTER $OTEL_EXPORTER_OTLP_ENDPOINT $line\" > {}\n",
        told.display()
    );
    let provider = signer.provider(program.as_bytes(), HTTPSERVER);
    operator.start_provider(&lattice.id("a"), &provider.reference()).await.expect_err("it only writes and ends");
    let text = fs::read_to_string(&told).expect("it wrote what it was told");
    let [exporter, endpoint, line] = text.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert_eq!((exporter, endpoint), ("otlp", ENDPOINT));
    let host_data = HostData::from_stdin_line(line.as_bytes()).expect("host data");
    assert!(host_data.structured_logging);
    assert_eq!(host_data.otel_config.exporter_otlp_endpoint.as_deref(), Some(ENDPOINT));
}
