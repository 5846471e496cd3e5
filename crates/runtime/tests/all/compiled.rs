//! Compiled code: kept for the next start, shared between guests, carried along in precompiled files, never believed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::join_all};
use runtime::{CodeCacheConfig, CodeOrigin, Guest, LoadError, Runtime, RuntimeConfig, precompiled};

use crate::support::{ECHO, call, identity, limits, within};

const COMPONENT: &[u8] = include_bytes!("../guests/http.wasm");

/// A new process of the machine whose code cache is in `dir`.
fn process(dir: &Path) -> Runtime {
    let code_cache = Some(CodeCacheConfig { dir: dir.to_owned(), max_bytes: 64 << 20 });
    Runtime::new(&RuntimeConfig { code_cache, max_instances: 4, ..RuntimeConfig::default() }).expect("an engine")
}

fn machine() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn echo() -> Bytes {
    wat::parse_str(ECHO).expect("valid text").into()
}

async fn load(runtime: &Runtime, artifact: &Bytes) -> Guest {
    let guest = runtime.load(artifact.clone(), identity(), limits()).await.expect("loads");
    if !guest.serves_http() {
        assert_eq!(call(&guest, b"hello").await.expect("answers"), "hello");
    }
    guest
}

async fn origin(runtime: &Runtime, artifact: &Bytes) -> CodeOrigin {
    load(runtime, artifact).await.code().clone()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "code")).collect()
}

fn only_entry(dir: &Path) -> PathBuf {
    let mut entries = entries(dir);
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

/// Says why the code was not taken.
fn recompiled(origin: CodeOrigin) -> String {
    let CodeOrigin::Recompiled { reason } = origin else { panic!("expected to be compiled anew: {origin:?}") };
    reason
}

#[tokio::test]
async fn the_next_start_takes_the_code_from_the_cache() {
    let dir = machine();
    for artifact in [echo(), Bytes::from_static(COMPONENT)] {
        assert_eq!(origin(&process(dir.path()), &artifact).await, CodeOrigin::Compiled);
        assert_eq!(origin(&process(dir.path()), &artifact).await, CodeOrigin::Cache);
    }
}

#[tokio::test]
async fn many_loads_of_one_wasm_compile_once() {
    for runtime in [process(machine().path()), Runtime::new(&RuntimeConfig::default()).expect("an engine")] {
        let artifact = echo();
        let guests = join_all([(); 8].map(|()| load(&runtime, &artifact))).await;
        let compiled = guests.iter().filter(|guest| *guest.code() == CodeOrigin::Compiled).count();
        assert_eq!(compiled, 1);
        let modules = join_all([(); 2].map(|()| runtime.compile_module(&artifact))).await;
        let [(first, _), (second, _)] = [0, 1].map(|index| modules[index].clone().expect("is there"));
        assert!(std::sync::Arc::ptr_eq(&first, &second));
    }
}

#[tokio::test]
async fn a_load_that_nobody_waits_for_any_more_is_not_lost() {
    let dir = machine();
    let runtime = process(dir.path());
    let artifact = echo();
    let mut abandoned = Box::pin(runtime.compile_module(&artifact));
    assert!(abandoned.as_mut().now_or_never().is_none());
    drop(abandoned);
    let kept = async {
        while entries(dir.path()).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), kept).await.expect("it is compiled all the same");
    assert_eq!(origin(&runtime, &artifact).await, CodeOrigin::Cache);
}

#[tokio::test]
async fn damaged_code_is_thrown_away_and_made_anew() {
    let dir = machine();
    let artifact = echo();
    load(&process(dir.path()), &artifact).await;
    let path = only_entry(dir.path());
    let intact = fs::read(&path).expect("readable");
    let len = intact.len();
    for (index, what) in
        [(0, "the first byte"), (len / 2, "machine code"), (len - 100, "the header"), (len - 1, "the seal")]
    {
        let mut damaged = intact.clone();
        damaged[index] ^= 0x40;
        fs::write(&path, damaged).expect("written");
        let reason = recompiled(origin(&process(dir.path()), &artifact).await);
        assert!(!reason.is_empty(), "{what}");
        assert_eq!(origin(&process(dir.path()), &artifact).await, CodeOrigin::Cache, "{what}");
    }
    for len in [0, 1, len / 2, len - 1] {
        fs::write(&path, &intact[..len]).expect("written");
        recompiled(origin(&process(dir.path()), &artifact).await);
        assert_eq!(origin(&process(dir.path()), &artifact).await, CodeOrigin::Cache, "{len} bytes");
    }
}

#[tokio::test]
async fn code_of_another_machine_or_of_another_wasm_is_not_run() {
    let (here, there) = (machine(), machine());
    let artifact = echo();
    load(&process(here.path()), &artifact).await;
    load(&process(there.path()), &artifact).await;
    let path = only_entry(here.path());
    fs::copy(only_entry(there.path()), &path).expect("copied");
    let reason = recompiled(origin(&process(here.path()), &artifact).await);
    assert!(reason.contains("not made on this machine"), "{reason}");

    // A wasm which is told apart from the other by nothing but a custom section.
    let mut other = artifact.to_vec();
    other.extend([0, 2, 1, b'x']);
    let other = Bytes::from(other);
    load(&process(here.path()), &other).await;
    let theirs = entries(here.path()).into_iter().find(|entry| *entry != path).expect("two entries");
    fs::copy(&theirs, &path).expect("copied");
    let reason = recompiled(origin(&process(here.path()), &artifact).await);
    assert!(reason.contains("another wasm"), "{reason}");
}

#[tokio::test]
async fn code_for_another_engine_is_not_looked_at() {
    let dir = machine();
    let artifact = echo();
    load(&process(dir.path()), &artifact).await;
    let code_cache = Some(CodeCacheConfig { dir: dir.path().to_owned(), max_bytes: 64 << 20 });
    // No pool can have memories of this size, so it needs other code: with bounds checks.
    let config = RuntimeConfig { code_cache, memory_bytes: 1 << 46, ..RuntimeConfig::default() };
    let other = Runtime::new(&config).expect("an engine");
    assert_eq!(origin(&other, &artifact).await, CodeOrigin::Compiled);
    assert_eq!(entries(dir.path()).len(), 2);
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_stops_nothing() {
    let parent = machine();
    let file = parent.path().join("file");
    fs::write(&file, "no directory").expect("written");
    assert_eq!(origin(&process(&file), &echo()).await, CodeOrigin::Compiled);

    let dir = parent.path().join("gone");
    let runtime = process(&dir);
    fs::remove_dir_all(&dir).expect("removed");
    assert_eq!(origin(&runtime, &echo()).await, CodeOrigin::Compiled);
}

#[tokio::test]
async fn a_precompiled_file_runs_without_compiling_on_the_machine_that_made_it() {
    for wasm in [echo(), Bytes::from_static(COMPONENT)] {
        let dir = machine();
        let file = process(dir.path()).precompile(wasm.clone()).await.expect("compiles");
        assert!(precompiled::is_precompiled(&file) && !precompiled::is_precompiled(&wasm));
        assert_eq!(precompiled::original_wasm(&file), Ok(wasm.clone()));
        assert_eq!(origin(&process(dir.path()), &file).await, CodeOrigin::Precompiled);
        // Nor does the wasm itself need compiling any more.
        assert_eq!(origin(&process(dir.path()), &wasm).await, CodeOrigin::Cache);
        assert_eq!(origin(&process(dir.path()), &file).await, CodeOrigin::Precompiled);
        let again = process(dir.path()).precompile(file.clone()).await.expect("compiles");
        assert_eq!(again, file, "precompiling once more changes nothing");
    }
}

#[tokio::test]
async fn runtimes_of_other_sizes_have_the_same_code() {
    let dir = machine();
    let code_cache = Some(CodeCacheConfig { dir: dir.path().to_owned(), max_bytes: 64 << 20 });
    let defaults = RuntimeConfig::default();
    let config = RuntimeConfig {
        code_cache,
        max_instances: 2,
        memory_bytes: 4 << 30,
        guest_stack_bytes: 2 * defaults.guest_stack_bytes,
        stack_bytes: 2 * defaults.stack_bytes,
        ..defaults
    };
    let file = Runtime::new(&config).expect("an engine").precompile(echo()).await.expect("compiles");
    assert_eq!(origin(&process(dir.path()), &file).await, CodeOrigin::Precompiled);
}

#[tokio::test]
async fn precompiled_code_from_elsewhere_is_not_run() {
    let (here, there) = (machine(), machine());
    let file = process(there.path()).precompile(echo()).await.expect("compiles");
    let reason = recompiled(origin(&process(here.path()), &file).await);
    assert!(reason.contains("not made on this machine"), "{reason}");
    let without_cache = Runtime::new(&RuntimeConfig::default()).expect("an engine");
    let reason = recompiled(origin(&without_cache, &file).await);
    assert!(reason.contains("no key"), "{reason}");
    assert_eq!(without_cache.precompile(echo()).await, Err(LoadError::NoCodeCache));
}

#[tokio::test]
async fn a_precompiled_file_that_was_changed_is_compiled_or_refused() {
    let wasm = echo();
    let file = process(machine().path()).precompile(wasm.clone()).await.expect("compiles");
    let wasm_at = file.len() - precompiled_code(&file, &wasm).len() - wasm.len();
    // Another wasm in front of the code: the name of a section at its very end.
    let mut other = file.to_vec();
    other[wasm_at + wasm.len() - 1] ^= 1;
    let dir = machine();
    let runtime = process(dir.path());
    if let Ok(guest) = runtime.load(other.into(), identity(), limits()).await {
        recompiled(guest.code().clone());
    }
    let mut changed = file.to_vec();
    changed[file.len() - 1000] ^= 1;
    recompiled(origin(&process(machine().path()), &changed.into()).await);
    for len in 8..16 + wasm.len() {
        let cut = runtime.load(file.slice(..len), identity(), limits()).await;
        assert!(matches!(cut.err(), Some(LoadError::Invalid { .. })), "{len} bytes");
    }
    let cut = origin(&process(machine().path()), &file.slice(..16 + wasm.len())).await;
    assert!(recompiled(cut).contains("cut short"));
}

fn precompiled_code(file: &Bytes, wasm: &Bytes) -> Bytes {
    let start = file.windows(wasm.len()).position(|window| window == wasm).expect("it is in there");
    file.slice(start + wasm.len()..)
}

#[tokio::test]
async fn calls_are_answered_while_a_large_wasm_is_compiled() {
    // Both threads of a small machine must not be lost to the compiler: this test has one for everything async.
    let runtime = Runtime::new(&RuntimeConfig { compile_threads: 1, ..RuntimeConfig::default() }).expect("an engine");
    let quiet = load(&runtime, &echo()).await;
    let body = "(local.set 0 (i32.mul (i32.add (local.get 0) (i32.const 7)) (i32.rotl (local.get 0) (i32.const 3))))";
    let function = format!("(func (param i32) (result i32) {} (local.get 0))", body.repeat(200));
    let large = format!(
        r#"(module {} (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#,
        function.repeat(150)
    );
    let large = wat::parse_str(large).expect("valid text");
    let mut loading = Box::pin(runtime.load(large.into(), identity(), limits()));
    let mut answered = 0;
    let loaded = loop {
        tokio::select! {
            biased;
            loaded = &mut loading => break loaded,
            answer = quiet.call("Echo.Echo", Bytes::from_static(b"quiet"), within(Duration::from_secs(20))) => {
                assert_eq!(answer.expect("answers"), "quiet");
                answered += 1;
            }
        }
    };
    assert_eq!(*loaded.expect("loads").code(), CodeOrigin::Compiled);
    assert!(answered > 10, "{answered} calls during a compilation");
}
