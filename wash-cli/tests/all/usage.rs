//! Wrong usage, old spellings, and commands that need a lattice when there is none.

use std::net::TcpListener;

use crate::support::{EMPTY_MODULE, Wash};

use serde_json::json;

/// A port on which nothing listens, and nobody else will while this lives: bound, but not listening.
struct ClosedPort(tokio::net::TcpSocket);

impl ClosedPort {
    fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        Self(socket)
    }
}

impl std::fmt::Display for ClosedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.local_addr().expect("bound").port())
    }
}

#[test]
fn start_actor_without_any_lattice_says_what_to_do() {
    let wash = Wash::new();
    wash.write("echo_s.wasm", EMPTY_MODULE);
    let port = ClosedPort::new();
    let text = wash.run(&format!("start actor ./echo_s.wasm --ctl-port {port}")).replace(&port.to_string(), "[PORT]");
    insta::assert_snapshot!(text, @r"
    exit: 1
    stderr:
    error: cannot reach lattice `default`: no NATS server answers at nats://127.0.0.1:[PORT]
      hint: nothing was done; start a host and NATS with `wash up`, name a server that runs, or ask hosts of this machine with `--no-nats`
    ");
}

#[test]
fn failures_are_json_on_stderr_when_asked_for() {
    let (code, failure) = Wash::new().json_failure(&format!("get hosts -x lab --ctl-port {}", ClosedPort::new()));
    assert_eq!((code, &failure["success"]), (Some(1), &json!(false)));
    assert!(
        failure["error"].as_str().is_some_and(|error| error.starts_with("cannot reach lattice `lab`")),
        "{failure}"
    );
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("wash up")), "{failure}");
}

#[test]
fn ctl_in_front_is_the_same_command() {
    let wash = Wash::new();
    let port = ClosedPort::new();
    for line in ["get claims", "get inventory N123", "link query", "stop host N1", "scale actor N1 builtin://x"] {
        let (today, old) = (wash.run(&format!("{line} -p {port}")), wash.run(&format!("ctl {line} -p {port}")));
        assert_eq!(today, old);
        assert!(today.contains("cannot reach lattice"), "{today}");
    }
}

#[test]
fn a_file_that_is_not_there_is_said_before_any_host_is_asked() {
    insta::assert_snapshot!(Wash::new().run("start actor ./absent_s.wasm"), @r"
    exit: 1
    stderr:
    error: no file `./absent_s.wasm`
      hint: to name a file of the host's machine, write it as `file:///absolute/path`
    ");
}

#[test]
fn wrong_usage_exits_with_two() {
    let wash = Wash::new();
    for line in [
        "frobnicate",
        "start actor",
        "keys gen spaceship",
        "get hosts --timeout-ms soon",
        "get hosts --lattice a.b",
        "start actor builtin://x --constraint zone",
        "start actor builtin://x --max-instances 0",
        "link put M V wasmcloud:httpserver address",
        "link put M V wasmcloud:httpserver a=1 a=2",
        "label N1 zone",
        "down --all --host-id N1",
        "up --no-nats --nats-wait",
    ] {
        let text = wash.run(line);
        assert!(text.starts_with("exit: 2\nstderr:\n"), "`wash {line}`: {text}");
    }
}

#[test]
fn a_call_without_a_cluster_key_fails_before_anything_is_sent() {
    insta::assert_snapshot!(Wash::new().run("call MABC HttpServer.HandleRequest {}"), @r"
    exit: 1
    stderr:
    error: no cluster key to sign the call with: `[DIR]/wash/keys/cluster.nk` is missing
      hint: a host started with `wash up` on this machine makes it; for other hosts give theirs with `--cluster-seed`
    ");
}

#[test]
fn down_with_nothing_running_is_no_failure() {
    let wash = Wash::new();
    assert_eq!(wash.json("down"), json!({"success": true, "hosts_stopped": [], "nats_stopped": false}));
    insta::assert_snapshot!(wash.run("down -x lab"), @r"
    exit: 0
    stdout:
    No host of this machine is running in lattice `lab`
    ");
}

#[test]
fn up_on_a_port_of_something_else_says_so() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("bound").port();
    let answering = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = other.accept().expect("wash looks who is there");
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").expect("wash reads");
    });
    let text = Wash::new().run(&format!("up --nats-port {port}")).replace(&port.to_string(), "[PORT]");
    answering.join().expect("the other server");
    insta::assert_snapshot!(text, @r"
    exit: 1
    stderr:
    error: 127.0.0.1:[PORT] is in use by something that is not a NATS server
      hint: choose another port with `--nats-port`, or start a single host with `--no-nats`
    ");
}

#[test]
fn up_with_an_old_nats_server_says_its_version() {
    use std::os::unix::fs::PermissionsExt;
    let wash = Wash::new();
    wash.write("nats-server", "#!/bin/sh\necho 'nats-server: v2.9.21'\n");
    std::fs::set_permissions(wash.path("nats-server"), std::fs::Permissions::from_mode(0o755)).expect("our file");
    let text = wash.run(&format!("up --nats-server ./nats-server --nats-port {}", ClosedPort::new()));
    assert!(text.starts_with("exit: 1\n"), "{text}");
    assert!(text.contains("`./nats-server` is version 2.9.21; 2.10 or newer is needed"), "{text}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    let wash = Wash::new();
    for shell in ["bash", "zsh", "fish", "power-shell", "powershell"] {
        let text = wash.run(&format!("completions {shell}"));
        assert!(text.starts_with("exit: 0\nstdout:\n") && text.contains("wash"), "{shell}");
    }
    assert!(wash.json("completions -d done bash")["file"].as_str().is_some_and(|file| wash.path(file).exists()));
}

#[test]
fn the_command_line_is_consistent_in_every_command() {
    // Clap checks all definitions when a debug build parses anything; help touches every command.
    let wash = Wash::new();
    for command in
        ["up", "down", "get", "start", "stop", "scale", "update", "link", "label", "call", "keys", "claims", "par"]
    {
        let text = wash.run(&format!("{command} --help"));
        assert!(text.starts_with("exit: 0\nstdout:\n"), "{command}: {text}");
    }
    assert!(wash.run("--version").contains(env!("CARGO_PKG_VERSION")));
}

/// The list of banned calls of this crate stands in for that of the workspace.
#[test]
fn what_the_workspace_bans_is_banned_here_too() {
    let here = include_str!("../../clippy.toml");
    let workspace = include_str!("../../../clippy.toml").lines().filter(|line| line.trim_start().starts_with("{ path"));
    let missing: Vec<&str> = workspace.filter(|line| !here.contains(line.trim())).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
