//! One real host without NATS, from `wash up` to `wash down`, over its control socket.

use crate::support::{EMPTY_MODULE, Lattice, Wash};
use serde_json::json;

const GUEST: &[u8] = include_bytes!("../../../crates/runtime/tests/guests/wapc_actor.wasm");

/// An address outside the range from which the system gives ports to everybody who asks for any.
fn free_address() -> std::net::SocketAddr {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).expect("below 10000");
    let mut addresses = (first..32_000).map(|port| std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.find(|address| std::net::TcpListener::bind(address).is_ok()).expect("a free port")
}

#[test]
fn a_detached_host_answers_is_stopped_and_leaves_nothing() {
    let wash = Lattice::new();
    let up = wash.json("up --detached --no-nats --label zone=edge");
    let state_dir = wash.path("wash/hosts/default/1");
    assert_eq!(up["state_dir"], json!(state_dir));
    assert_eq!((&up["nats_url"], &up["kill_cmd"]), (&json!(null), &json!("wash down")));
    assert!(state_dir.join("host.log").exists() && up["wasmcloud_log"] == json!(state_dir.join("host.log")));

    let hosts = wash.json("get hosts")["hosts"].clone();
    assert_eq!((&hosts[0]["id"], &hosts[0]["labels"]["zone"]), (&up["host_id"], &json!("edge")));
    assert_eq!(wash.json("get inventory")["inventories"][0]["host_id"], up["host_id"]);
    assert_eq!(wash.json("link query")["links"], json!([]));

    assert_eq!(wash.json("down"), json!({"success": true, "hosts_stopped": [up["host_id"]], "nats_stopped": false}));
    assert!(!state_dir.join("host.sock").exists());
    let again = wash.json("up --detached --no-nats");
    assert_eq!((&again["state_dir"], &again["host_id"]), (&up["state_dir"], &up["host_id"]), "it comes up as itself");
}

#[test]
fn a_second_host_has_a_place_of_its_own_and_down_asks_which_one_is_meant() {
    let wash = Lattice::new();
    let first = wash.json("up -d --no-nats");
    let second = wash.json("up -d --no-nats --state-dir elsewhere");
    assert_ne!(first["host_id"], second["host_id"]);
    assert!(second["notes"][0].as_str().is_some_and(|note| note.contains("will not know the one that is running")));
    let (code, failure) = wash.json_failure("down");
    assert_eq!(code, Some(1));
    assert!(
        failure["error"].as_str().is_some_and(|error| error.starts_with("2 hosts of this machine are running")),
        "{failure}"
    );

    let name = second["friendly_name"].as_str().expect("a name");
    assert_eq!(wash.json(&format!("down --host-id {name}"))["hosts_stopped"], json!([second["host_id"]]));
    assert_eq!(wash.json("down")["hosts_stopped"], json!([first["host_id"]]));
}

#[test]
fn a_state_directory_in_use_is_refused() {
    let wash = Lattice::new();
    wash.json("up -d --no-nats --state-dir mine");
    let (code, failure) = wash.json_failure("up -d --no-nats --state-dir mine");
    assert_eq!(code, Some(1));
    assert!(
        failure["error"].as_str().is_some_and(|error| error.starts_with("a host is running with the state directory")),
        "{failure}"
    );
}

#[test]
fn wrong_settings_are_all_named_and_nothing_is_started() {
    let wash = Wash::new();
    let (code, failure) = wash.json_failure("up -d --no-nats --host-seed SNX --cluster-seed SCX --label zone");
    assert_eq!(code, Some(1));
    let text = failure.to_string();
    for setting in ["--host-seed", "--cluster-seed", "--label"] {
        assert!(text.contains(setting), "{text}");
    }
    assert!(!wash.path("wash").exists());
}

#[test]
fn an_actor_is_refused_with_the_words_of_the_host() {
    let wash = Lattice::new();
    wash.json("up -d --no-nats");
    wash.write("echo.wasm", EMPTY_MODULE);
    wash.write("text.wasm", "no wasm at all");
    for (file, reason) in [("echo.wasm", "not signed"), ("text.wasm", "is a text file, not an actor")] {
        let (code, failure) = wash.json_failure(&format!("start actor {file}"));
        assert_eq!(code, Some(1), "{failure}");
        let cause = failure["error_chain"][0].as_str().unwrap_or_default();
        assert!(cause.to_lowercase().contains(&reason.to_lowercase()), "{failure}");
    }
    let (_, failure) = wash.json_failure("start actor echo.wasm --constraint zone=edge");
    assert!(
        failure["error"].as_str().is_some_and(|error| error.starts_with("no host has the label `zone=edge`")),
        "{failure}"
    );
}

#[test]
fn a_link_is_served_refused_or_waits_for_its_provider() {
    let wash = Lattice::new();
    wash.json("up -d --no-nats");
    wash.write("guest.wasm", GUEST);
    let signed = wash.json("claims sign guest.wasm --http_server");
    let actor = signed["actor_id"].as_str().expect("text").to_owned();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let put = |values: &str| format!("link put {actor} httpserver wasmcloud:httpserver {values}");

    let waiting = wash.run(&put(&format!("address=127.0.0.1:{port}")));
    assert!(waiting.contains("no host runs this provider yet; it gets the link when it starts"), "{waiting}");
    wash.json(&format!("link del {actor} wasmcloud:httpserver"));
    let provider = wash.json("start provider builtin://httpserver");
    // Of an actor that nobody knows nothing is served; what its claims will say is not known.
    let unknown = wash.run(&put("address=nowhere"));
    assert!(unknown.contains("nothing is known of this actor yet"), "{unknown}");
    wash.json("start actor ./guest_s.wasm");
    assert_eq!((&provider["contract_id"], &provider["link_name"]), (&json!("wasmcloud:httpserver"), &json!("default")));

    let (code, failure) = wash.json_failure(&put("address=nowhere"));
    assert!(code == Some(1) && failure.to_string().contains("address"), "{failure}");
    let (code, failure) = wash.json_failure(&put(&format!("address=127.0.0.1:{port}")));
    assert!(code == Some(1) && failure["error_chain"][0].to_string().contains("in use"), "{failure}");
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("wash link del")), "{failure}");
    let free = free_address();
    let served = wash.json(&put(&format!("address={free}")));
    assert_eq!(served["applied_on"].as_array().map(Vec::len), Some(1), "{served}");

    let stopped = wash.json("stop provider httpserver wasmcloud:httpserver");
    assert_eq!(stopped["provider_id"], provider["provider_id"]);
    let (_, failure) = wash.json_failure("stop provider httpserver wasmcloud:httpserver");
    assert!(failure["error"].as_str().is_some_and(|error| error.contains("is not running on any host")), "{failure}");
}

#[test]
fn hosts_that_nothing_connects_are_shown_together_and_each_can_be_told_what_to_do() {
    let wash = Lattice::new();
    let hosts = ["a", "b"].map(|zone| wash.json(&format!("up -d --no-nats --label zone={zone}")));
    for host in &hosts {
        let id = host["host_id"].as_str().expect("an id");
        wash.json(&format!("label {id} told=yes"));
        let inventory = wash.json(&format!("get inventory {id}"));
        assert_eq!(inventory["inventories"][0]["labels"]["told"], json!("yes"));
    }
    assert_eq!(wash.json("get hosts")["hosts"].as_array().map(Vec::len), Some(2));
    let started = wash.json("start provider builtin://httpserver --constraint zone=b");
    assert_eq!(started["host_id"], hosts[1]["host_id"]);
}
