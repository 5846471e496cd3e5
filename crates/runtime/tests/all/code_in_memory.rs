//! Code in memory: let go of while nobody calls, there again for whoever does, whatever became of the code cache.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use contracts::CallError;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use runtime::{CallContext, CodeCacheConfig, Guest, HttpBody, Outbound, OutboundCall, Runtime, RuntimeConfig};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::support::{ECHO, call, context, eventually, identity, limits};

const COMPONENT: &[u8] = include_bytes!("../guests/http.wasm");

/// Asks outside before it answers.
const ASKS: &str = r#"(module
  (import "wasmbus" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "defaulta:b/c")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (drop (call $call (i32.const 16) (i32.const 7) (i32.const 23) (i32.const 3) (i32.const 27)
      (i32.const 1) (i32.const 16) (i32.const 1)))
    (call $response (i32.const 16) (i32.const 7))
    (i32.const 1)))"#;

/// How often idle code is looked for here.
const LOOK: Duration = Duration::from_millis(20);

struct World {
    runtime: Runtime,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::looking(Some(LOOK))
    }

    fn looking(unload_code_after: Option<Duration>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let code_cache = Some(CodeCacheConfig { dir: dir.path().to_owned(), max_bytes: 64 << 20 });
        let config = RuntimeConfig { code_cache, unload_code_after, max_instances: 64, ..RuntimeConfig::default() };
        Self { runtime: Runtime::new(&config).unwrap(), dir }
    }

    async fn load(&self, wasm: impl Into<Bytes>) -> Guest {
        self.runtime.load(wasm.into(), identity(), limits()).await.unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "code")).collect()
    }
}

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

async fn unloaded(guest: &Guest) {
    let until = Instant::now() + Duration::from_secs(20);
    while guest.has_code_in_memory() {
        assert!(Instant::now() < until, "its code is still in memory");
        sleep(LOOK / 4).await;
    }
}

async fn ask(guest: &Guest) -> Result<Response<HttpBody>, CallError> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    guest.handle_http(Request::get("http://test/").body(body).unwrap(), 0, context()).await
}

/// Whether the process has mapped one of these files.
fn is_mapped(dir: &Path) -> bool {
    fs::read_to_string("/proc/self/maps").unwrap().contains(dir.to_str().unwrap())
}

#[tokio::test]
async fn idle_code_goes_and_comes_back_for_every_kind_of_call() {
    let world = World::new();
    let (echo, component) = (world.load(module(ECHO)).await, world.load(COMPONENT).await);
    for _ in 0..3 {
        unloaded(&echo).await;
        unloaded(&component).await;
        #[cfg(target_os = "linux")]
        assert!(!is_mapped(world.dir.path()), "nothing of it is mapped");
        assert!(component.serves_http() && !echo.serves_http(), "what it is, is known without its code");
        assert_eq!(call(&echo, b"hello").await.unwrap(), "hello");
        assert_eq!(ask(&component).await.unwrap().status(), 200);
        assert!(echo.has_code_in_memory() && component.has_code_in_memory());
    }
}

#[tokio::test]
async fn a_cache_that_was_emptied_meanwhile_takes_nothing_from_anybody() {
    let world = World::new();
    let (echo, component) = (world.load(module(ECHO)).await, world.load(COMPONENT).await);
    unloaded(&echo).await;
    unloaded(&component).await;
    for file in world.files() {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(call(&echo, b"hello").await.unwrap(), "hello");
    assert_eq!(ask(&component).await.unwrap().status(), 200);
    // What is not in the cache any more stays in memory from now on.
    sleep(5 * LOOK).await;
    assert!(echo.has_code_in_memory() && component.has_code_in_memory());
}

#[tokio::test]
async fn all_who_call_at_once_are_answered_and_guests_of_one_wasm_share_it_again() {
    let world = World::new();
    let (first, second) = (world.load(module(ECHO)).await, world.load(module(ECHO)).await);
    unloaded(&first).await;
    unloaded(&second).await;
    let calls = (0..32).map(|number| call(if number % 2 == 0 { &first } else { &second }, b"hello"));
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap(), "hello");
    }
    assert_eq!(world.files().len(), 1);
}

#[tokio::test]
async fn a_guest_that_runs_keeps_its_code_and_one_that_is_called_keeps_it_too() {
    struct Later(Arc<Notify>);

    #[async_trait]
    impl Outbound for Later {
        async fn call(&self, _call: OutboundCall) -> Result<Bytes, CallError> {
            self.0.notified().await;
            Ok(Bytes::new())
        }
    }

    let world = World::new();
    let guest = world.load(module(ASKS)).await;
    let release = Arc::new(Notify::new());
    let context = CallContext { outbound: Arc::new(Later(release.clone())), ..context() };
    let running = {
        let guest = guest.clone();
        tokio::spawn(async move { guest.call("Test.Call", Bytes::new(), context).await })
    };
    eventually("it runs", || guest.running() == 1).await;
    sleep(5 * LOOK).await;
    assert!(guest.has_code_in_memory(), "it runs");
    release.notify_one();
    assert_eq!(running.await.unwrap().unwrap(), "default");
    unloaded(&guest).await;

    let world = World::looking(Some(Duration::from_secs(1)));
    let called = world.load(module(ECHO)).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        call(&called, b"hello").await.unwrap();
        assert!(called.has_code_in_memory(), "it is called all the time");
        sleep(LOOK).await;
    }
}

#[tokio::test]
async fn code_that_could_not_be_loaded_again_stays() {
    let never = World::looking(None);
    let damaged = World::looking(Some(Duration::from_secs(1)));
    let uncached = RuntimeConfig { unload_code_after: Some(LOOK), max_instances: 4, ..RuntimeConfig::default() };
    let uncached = Runtime::new(&uncached).unwrap();
    let guests = [
        never.load(module(ECHO)).await,
        damaged.load(module(ECHO)).await,
        uncached.load(module(ECHO).into(), identity(), limits()).await.unwrap(),
    ];
    // Not the file that is mapped: another one in its place.
    let file = &damaged.files()[0];
    let mut bytes = fs::read(file).unwrap();
    bytes[100] ^= 1;
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
    eventually("the damaged file was found", || damaged.files().is_empty()).await;
    for guest in guests {
        assert!(guest.has_code_in_memory());
        assert_eq!(call(&guest, b"hello").await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn a_file_that_is_spoilt_while_it_is_needed_is_said_and_harms_no_neighbour() {
    let world = World::new();
    let neighbour = world.load(COMPONENT).await;
    ask(&neighbour).await.unwrap();
    let files = world.files();
    let guest = world.load(module(ECHO)).await;
    unloaded(&guest).await;
    let file = world.files().into_iter().find(|file| !files.contains(file)).unwrap();
    fs::File::options().write(true).open(file).unwrap().set_len(0).unwrap();
    for _ in 0..2 {
        let error = call(&guest, b"hello").await.unwrap_err();
        assert_eq!(error.code(), "host_fault");
        assert!(error.to_string().contains("cannot be loaded again"), "{error}");
        assert_eq!(guest.running(), 0);
    }
    assert_eq!(ask(&neighbour).await.unwrap().status(), 200);
}

#[tokio::test]
async fn guests_that_are_gone_are_not_looked_after() {
    let world = World::new();
    for _ in 0..200 {
        world.load(module(ECHO)).await;
    }
    let guest = world.load(module(ECHO)).await;
    unloaded(&guest).await;
    drop(guest);
    sleep(3 * LOOK).await;
    let next = world.load(module(ECHO)).await;
    unloaded(&next).await;
}
