//! Guests as other people's compilers make them: signed, started, linked, asked over HTTP.
//!
//! Every language answers in the same way (`actors/README.md`), so one examination serves all. What differs is how a
//! guest fails: a module reports an error and a component traps, so that the client sees 500; the engine of JavaScript
//! begins an answer and leaves it unfinished, so that the client sees it break off. The next call is served each time.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use claims::ActorId;
use http::{Request, StatusCode};
use lattice_tests::{Actor, Answer, Signed, Signer, SingleHost, ask, eventually, free_address, get, post, try_get};
use tokio::sync::Mutex;

const PROVIDER: &str = "builtin://httpserver";
/// An actor that says back what it is told, for guests that call out.
const GREETER: &str = "greeter";

/// A host with a guest that serves HTTP, and an actor it may call.
struct World {
    name: &'static str,
    address: SocketAddr,
    guest: Signed<ActorId>,
    host: SingleHost,
    _signer: Signer,
}

/// Starts the guest; none when its toolchain is missing here.
async fn world(actor: Actor) -> Option<World> {
    if !actor.is_there() {
        return None;
    }
    let (host, signer, address) = (SingleHost::start().await, Signer::default(), free_address());
    let operator = &host.operator;
    let provider = operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    let greeter = signer.actor_with(Actor::Echo, |claims| {
        claims.metadata.as_mut().expect("an actor").call_alias = Some(GREETER.to_owned());
    });
    operator.start_actor(&host.id, &greeter.reference()).await.expect("the actor it calls starts");

    // No more than the grant it needs: a guest whose runtime imports the whole of WASI gets nothing of it.
    let guest = signer.actor(actor);
    operator.link(&guest.id, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    let world = World { name: actor.name(), address, guest, host, _signer: signer };
    println!("{}: {} KiB", world.name, actor.wasm().len().div_ceil(1024));
    world.start("compiled and started").await;
    Some(world)
}

impl World {
    /// Starts the guest and says how long that took. One at a time: compiling takes every core there is.
    async fn start(&self, done: &str) {
        static COMPILING: Mutex<()> = Mutex::const_new(());
        let _alone = COMPILING.lock().await;
        let began = Instant::now();
        let operator = &self.host.operator;
        operator.start_actor(&self.host.id, &self.guest.reference()).await.expect("the guest starts");
        println!("{}: {done} in {} ms", self.name, began.elapsed().as_millis());
    }

    /// The answer to a request with a name in a header; its first answer may take a moment.
    async fn greet(&self, path: &str, name: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::post(path).header("x-name", name);
        ask(self.address, request, body.into()).await.expect("an answer")
    }

    /// What it says to that in its first line.
    fn line(&self, method: &str, target: &str, name: &str) -> String {
        format!("{}: {method} {target} from {name}\n", self.name)
    }
}

/// Everything a guest can do, in an order in which the next step shows that the one before left nothing behind.
async fn examine(language: &'static str) {
    let Some(guest) = world(Actor::Guest(language)).await else { return };
    let began = Instant::now();
    assert_eq!(get(guest.address, "/first").await, guest.line("GET", "/first?", "nobody"));
    let first = began.elapsed();

    let began = Instant::now();
    let answer = guest.greet("/a/b?x=1&y", "Ana", "grüße").await;
    println!("{language}: first answer in {} ms, second in {} ms", first.as_millis(), began.elapsed().as_millis());
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, guest.line("POST", "/a/b?x=1&y", "Ana") + "grüße");
    assert_eq!(answer.headers["x-language"], language);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");

    let nothing_kept = post(guest.address, "/", "").await.expect("an answer");
    assert_eq!(nothing_kept.body, guest.line("POST", "/?", "nobody"));

    let large = "0123456789abcdef".repeat(40_000);
    let answer = guest.greet("/large", "Ana", large.clone()).await;
    assert!(answer.body == guest.line("POST", "/large?", "Ana") + &large, "{} bytes came back", answer.body.len());

    calls_out(&guest).await;
    fails_alone(&guest).await;

    guest.host.operator.stop_actor(&guest.host.id, &guest.guest.id).await.expect("it stops");
    guest.start("started again").await;
    assert_eq!(get(guest.address, "/again").await, guest.line("GET", "/again?", "nobody"));

    serves_again_and_again(guest).await;
}

/// The same with instances that serve one call after the other: a language starts once and must live with it.
async fn serves_again_and_again(guest: World) {
    let host = guest.host.restart_with(|config| config.limits.calls_per_instance = 100).await;
    let guest = World { host, ..guest };
    eventually("both actors after the restart", || async {
        let running = guest.host.operator.inventory(&guest.host.id).await.actors.len();
        if running == 2 { Ok(()) } else { Err(running) }
    })
    .await;
    get(guest.address, "/warm").await;
    for name in ["Ana", "Bob", "Eve"] {
        let answer = guest.greet("/a?x=1", name, name).await;
        assert_eq!(answer.body, guest.line("POST", "/a?x=1", name) + name);
    }
    calls_out(&guest).await;
    fails_alone(&guest).await;
}

async fn calls_out(guest: &World) {
    let said = post(guest.address, &format!("/call/{GREETER}"), "hello").await.expect("an answer");
    assert_eq!((said.status, said.body.as_str()), (StatusCode::OK, "hello"));
    let refused = post(guest.address, "/call/stranger", "hello").await.expect("an answer");
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
    assert!(refused.body.contains("stranger"), "the guest learns whom nobody knows: {refused:?}");
}

async fn fails_alone(guest: &World) {
    match try_get(guest.address, "/fail").await {
        Ok(failed) => assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{failed:?}"),
        Err(reason) => assert_eq!(guest.name, "javascript", "only its answer breaks off: {reason}"),
    }
    let next = try_get(guest.address, "/next").await.expect("an answer");
    assert_eq!((next.status, next.body), (StatusCode::OK, guest.line("GET", "/next?", "nobody")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_in_go_serves_calls_and_fails_alone() {
    examine("go").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_in_c_serves_calls_and_fails_alone() {
    examine("c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_in_zig_serves_calls_and_fails_alone() {
    examine("zig").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_in_assemblyscript_serves_calls_and_fails_alone() {
    examine("assemblyscript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_in_python_serves_calls_and_fails_alone() {
    examine("python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_in_javascript_serves_calls_and_fails_alone() {
    examine("javascript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_in_rust_serves() {
    let Some(guest) = world(Actor::Echo).await else { return };
    get(guest.address, "/").await;
    for body in ["grüße", "again"] {
        let answer = guest.greet("/a?x=1", "Ana", body).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["content-type"], "application/json");
        let said: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((&said["query"], &said["body"]), (&"x=1".into(), &body.into()));
        assert_eq!(said["headers"]["x-name"], serde_json::json!(["Ana"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_in_rust_serves_and_fails_alone() {
    let Some(guest) = world(Actor::Hello).await else { return };
    get(guest.address, "/").await;
    for body in ["grüße", "again"] {
        let answer = guest.greet("/a?x=1", "Ana", body).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, body));
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    }
    let failed = try_get(guest.address, "/trap").await.expect("an answer");
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{failed:?}");
    assert!(get(guest.address, "/next").await.contains("/next"));
}
