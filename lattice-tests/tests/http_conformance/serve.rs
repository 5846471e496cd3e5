//! `wash serve` as one more home of an actor: what a client sees of a call, and what the command writes about it.
//!
//! It has no metrics, spans, events and hosts that could be asked. A pause of an answer is bounded by a minute there, so the
//! shape that stands still is left out; so are those whose limits are set with a start.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::Full;
use lattice_tests::{Actor, Guarded, Signer, binary, eventually, eventually_within, free_address, try_get};

use crate::{
    client::{self, ask},
    shapes::{Method2, OF_COMPONENT, OF_MODULES, Shape, module},
};

/// The same time for an answer to begin as links have here.
const TIMEOUT: &str = "2500ms";
/// For a program that is compiled first, on a busy machine.
const BEGINS_WITHIN: std::time::Duration = std::time::Duration::from_secs(120);

struct Served {
    process: Guarded,
    address: SocketAddr,
    _home: tempfile::TempDir,
}

impl Served {
    async fn start(program: &std::path::Path) -> Self {
        let (home, address) = (tempfile::tempdir().expect("a directory"), free_address());
        let listen = address.to_string();
        let program = program.to_str().expect("text");
        let args = ["serve", program, "--addr", &listen, "--timeout", TIMEOUT];
        let env = [("HOME", home.path().as_os_str()), ("WASH_HOME", home.path().as_os_str())];
        let process = Guarded::start(&binary("wash"), &args, &env, &home.path().join("log"));
        let served = Self { process, address, _home: home };
        eventually_within(BEGINS_WITHIN, "it serves", || async {
            try_get(address, "/").await.map_err(|error| format!("{error}: {}", served.process.log()))
        })
        .await;
        served
    }

    /// Lines about requests of a path that failed.
    fn lines(&self, path: &str) -> Vec<String> {
        let is_about = |line: &&str| line.contains(&format!("{path}: "));
        self.process.log().lines().filter(is_about).map(str::to_owned).collect()
    }

    async fn check(&self, path: &str, version: Version, shape: &Shape) {
        let what = format!("`wash serve` {version:?} {path} of {shape:?}");
        let before = self.lines(path);
        let body = if shape.method == Method2::Post { "sent" } else { "" };
        let request = Request::builder().method(shape.method.http()).uri(path);
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let seen = ask(self.address, version, request).await;
        client::check(&what, shape, &seen, false);
        let expected = usize::from(shape.code != "ok");
        let new = eventually("every failure has one line", || async {
            let new = self.lines(path).split_off(before.len());
            if new.len() == expected { Ok(new) } else { Err(format!("{what}: {new:?}")) }
        })
        .await;
        let code = format!("{}: ", shape.code);
        assert!(new.iter().all(|line| line.contains(&code)), "{what}: {new:?}");
        let is_said = |words: &str| new.iter().any(|line| line.contains(words));
        assert_eq!(is_said("the answer broke off"), shape.is_cut, "{what}: {new:?}");
        assert_eq!(is_said("after its answer"), shape.is_late, "{what}: {new:?}");
    }

    async fn end(mut self, shapes: usize) {
        self.process.terminate().await;
        let log = self.process.log();
        assert!(log.ends_with("Stopped\n"), "{log}");
        assert!(!log.contains("host_fault"), "{shapes} shapes, none of them a fault of ours: {log}");
    }
}

/// Every shape that it can have, over both versions of HTTP.
pub async fn check_all() {
    let signer = Signer::default();
    let hello = Served::start(&signer.actor(Actor::Hello).path).await;
    let of_component: Vec<_> = OF_COMPONENT.iter().filter(|shape| shape.path != "/stall").collect();
    for shape in &of_component {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            hello.check(shape.path, version, shape).await;
        }
    }
    hello.end(of_component.len()).await;
    for shape in OF_MODULES.iter().filter(|shape| shape.limits.is_empty()) {
        let signed = signer.wasm(shape.path, &module(shape.path));
        let served = Served::start(&signed.path).await;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            served.check("/x", version, shape).await;
        }
        served.end(1).await;
    }
}
