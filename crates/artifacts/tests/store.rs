//! The store: what is asked of a registry and what is not, once for all who want it, and what holds while it is away.

mod common;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use artifacts::{ArtifactStore, Cache, Digest, FetchOptions, Origin, Reference, Registry, RegistryOptions, Silent};
use common::{Answer, Content, Server, Shelf, Store, wasm};

/// Set for the copies of this program that a test starts: the authority of the registry and the cache directory.
const CHILD: &str = "ARTIFACTS_TEST_CHILD";

#[tokio::test]
async fn a_tag_is_asked_for_every_time_and_its_content_once() {
    let actor = wasm(50_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let store = Store::of(&server);
    for origin in [Origin::Registry, Origin::Cache, Origin::Cache] {
        let fetched = store.fetch(&Shelf::reference(&server)).await.expect("an actor");
        assert_eq!((fetched.bytes, fetched.origin), (actor.clone(), origin));
    }
    assert_eq!((server.count("/manifests/"), server.count("/blobs/")), (3, 1));
}

#[tokio::test]
async fn a_moved_tag_is_noticed() {
    let (old, new) = (wasm(50_000, 1), wasm(50_000, 2));
    let (before, after) = (Shelf::with_actor(&old), Shelf::with_actor(&new));
    let moved = Arc::new(AtomicBool::new(false));
    let now = moved.clone();
    let server = Server::start(move |seen| match now.load(Ordering::SeqCst) {
        true => after.answer(seen),
        false => before.answer(seen),
    })
    .await;
    let store = Store::of(&server);
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.expect("the old one").bytes, old);
    moved.store(true, Ordering::SeqCst);
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.expect("the new one").bytes, new);
}

#[tokio::test]
async fn a_digest_that_is_cached_asks_nobody() {
    let actor = wasm(50_000, 1);
    let mut server = Shelf::with_actor(&actor).serve().await;
    let store = Store::of(&server);
    let first = store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    let pinned = Shelf::pinned(&server, first.manifest_digest);
    server.stop().await;
    let fetched = store.fetch(&pinned).await.expect("cached");
    assert_eq!((fetched.bytes, fetched.origin, fetched.manifest_digest), (actor, Origin::Cache, first.manifest_digest));
    let unknown = Shelf::pinned(&server, Digest::of(b"unknown"));
    assert_eq!(store.refusal(&unknown).await.code(), "registry_unreachable");
}

#[tokio::test]
async fn latest_is_refused_unless_allowed() {
    let actor = wasm(2_000, 1);
    let server = {
        let mut shelf = Shelf::default();
        let layer = shelf.layer("application/wasm", actor.clone());
        shelf.artifact("latest", "application/vnd.wasm.config.v0+json", &[layer]);
        shelf.serve().await
    };
    let store = Store::of(&server);
    let untagged = Reference::parse(&format!("{}/demo", server.authority()), None).expect("a reference");
    for reference in [Shelf::tagged(&server, "latest"), untagged] {
        let error = store.refusal(&reference).await;
        assert_eq!(error.code(), "latest");
        assert!(error.next_step().contains("--allow-latest"), "{}", error.next_step());
        assert_eq!(server.seen().len(), 0, "nobody was asked");
    }
    let allowed = FetchOptions { allow_latest: true, ..FetchOptions::default() };
    let fetched = store.store.fetch(&Shelf::tagged(&server, "latest"), &allowed, &Silent).await.expect("allowed");
    assert_eq!(fetched.bytes, actor);
}

#[tokio::test]
async fn a_registry_that_is_away_is_no_reason_to_fail_while_the_artifact_is_cached() {
    let actor = wasm(50_000, 1);
    let away = Arc::new(AtomicUsize::new(0));
    let (state, shelf) = (away.clone(), Shelf::with_actor(&actor));
    let mut server = Server::start(move |seen| match state.load(Ordering::SeqCst) {
        0 => shelf.answer(seen),
        1 => Answer::new(503, "down for repair"),
        2 => Answer::new(200, "").content(Content::Hangs),
        status => Answer::new(status as u16, ""),
    })
    .await;
    let store = Store::new(Registry::new(common::hurried(&server)).expect("a client"));
    store.fetch(&Shelf::reference(&server)).await.expect("while it is there");

    for (state, reason) in [(1, "503: down for repair"), (2, "did not answer within"), (429, "no more requests")] {
        away.store(state, Ordering::SeqCst);
        let before = server.seen().len();
        let fetched = store.fetch(&Shelf::reference(&server)).await.expect("from the cache");
        assert_eq!(server.seen().len(), before + 1, "whoever has something to fall back on asks once");
        assert_eq!(fetched.bytes, actor);
        assert!(
            matches!(&fetched.origin, Origin::CacheWhileAway { reason: said } if said.contains(reason)),
            "{:?}",
            fetched.origin
        );
    }
    // It is there and says no: the cache is no way around that.
    for (status, code) in [(403, "forbidden"), (404, "not_found")] {
        away.store(status, Ordering::SeqCst);
        assert_eq!(store.refusal(&Shelf::reference(&server)).await.code(), code);
    }

    server.stop().await;
    let fetched = store.fetch(&Shelf::reference(&server)).await.expect("from the cache");
    assert!(matches!(fetched.origin, Origin::CacheWhileAway { .. }));
    let past = FetchOptions { no_cache: true, ..FetchOptions::default() };
    let error = store.store.fetch(&Shelf::reference(&server), &past, &Silent).await.expect_err("not from the cache");
    assert_eq!(error.code(), "registry_unreachable");
    assert_eq!(store.refusal(&Shelf::tagged(&server, "2")).await.code(), "registry_unreachable", "another tag");
}

#[tokio::test]
async fn a_cached_artifact_that_was_damaged_is_fetched_again() {
    let actor = wasm(50_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let store = Store::of(&server);
    store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    let file = store.directory.path().join("blobs").join(Digest::of(&actor).hex());
    let mut damaged = actor.to_vec();
    damaged[40_000] ^= 1;
    std::fs::write(&file, damaged).expect("written");
    let fetched = store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    assert_eq!((&fetched.bytes, fetched.origin), (&actor, Origin::Registry));
    assert_eq!(std::fs::read(&file).expect("there"), actor, "repaired");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_want_the_same_download_it_once() {
    let actor = wasm(2_000_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let store = Arc::new(Store::of(&server));
    let reference = Shelf::reference(&server);
    let mut fetches = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (store, reference) = (store.clone(), reference.clone());
        fetches.spawn(async move { store.fetch(&reference).await.expect("an actor").bytes });
    }
    for bytes in fetches.join_all().await {
        assert_eq!(bytes, actor);
    }
    assert_eq!(server.count("/blobs/"), 1);
    assert_eq!(std::fs::read_dir(store.directory.path().join("partial")).expect("there").count(), 0);
}

#[tokio::test]
async fn a_fetch_that_is_abandoned_leaves_the_way_free() {
    let actor = wasm(900_000, 1);
    let (shelf, content, hangs) = (Shelf::with_actor(&actor), actor.clone(), AtomicUsize::new(0));
    let server = Server::start(move |seen| match seen.path.contains("/blobs/") {
        true if hangs.fetch_add(1, Ordering::SeqCst) == 0 => Answer::new(200, "").content(Content::Hangs),
        true => common::ranged(seen, &content),
        false => shelf.answer(seen),
    })
    .await;
    let store = Store::of(&server);
    let reference = Shelf::reference(&server);
    let asked = async {
        while server.count("/blobs/") == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = store.fetch(&reference) => panic!("it hangs"),
        () = asked => {}
    }
    assert_eq!(store.fetch(&reference).await.expect("an actor").bytes, actor);
}

#[tokio::test]
async fn a_download_of_somebody_who_stands_still_is_not_waited_for() {
    let actor = wasm(50_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let directory = tempfile::tempdir().expect("a directory");
    let cache = Cache::open_with_patience(directory.path(), 1 << 20, Duration::from_millis(50)).expect("a cache");
    // Another process that was stopped in the middle: it holds the lock and does nothing.
    let path = directory.path().join(format!("partial/{}.partial", Digest::of(&actor).hex()));
    let held = std::fs::File::create(&path).expect("created");
    held.lock().expect("locked");
    let store = ArtifactStore::new(common::registry(&server), cache);
    let fetched = store.fetch(&Shelf::reference(&server), &FetchOptions::default(), &Silent).await.expect("an actor");
    assert_eq!(fetched.bytes, actor);
    assert_eq!(store.cache().get(&Digest::of(&actor)), Some(actor), "and is cached all the same");
    drop(held);
}

/// Not a test of its own: what the copies of this program do.
#[tokio::test]
async fn child() {
    let Ok(child) = std::env::var(CHILD) else { return };
    let (authority, directory) = child.split_once(' ').expect("two words");
    let options = RegistryOptions { insecure: vec![authority.to_owned()], docker_config: false, ..Default::default() };
    let cache = Cache::open(directory, 1 << 30).expect("a cache");
    let store = ArtifactStore::new(Registry::new(options).expect("a client"), cache);
    let reference = Reference::parse(&format!("{authority}/demo:1"), None).expect("a reference");
    let fetched = store.fetch(&reference, &FetchOptions::default(), &Silent).await.expect("an actor");
    println!("fetched {}", fetched.digest);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        println!("peak {}", peak.trim().trim_end_matches(" kB"));
    }
}

fn start_child(server: &Server, directory: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, format!("{} {}", server.authority(), directory.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("a copy of this program")
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_want_the_same_download_it_once() {
    let actor = wasm(4_000_000, 1);
    let shelf = Shelf::with_actor(&actor);
    // The content comes only when all have asked for the manifest, so that they are at it together.
    let asked = Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
    let server = Server::start(move |seen| {
        let (count, changed) = &*asked;
        if seen.path.contains("/manifests/") {
            *count.lock().expect("no panics") += 1;
            changed.notify_all();
        } else {
            let deadline = Duration::from_secs(20);
            let waited = tokio::task::block_in_place(|| {
                changed.wait_timeout_while(count.lock().expect("no panics"), deadline, |count| *count < 4)
            });
            assert!(!waited.expect("no panics").1.timed_out(), "all of them start");
        }
        shelf.answer(seen)
    })
    .await;
    let directory = tempfile::tempdir().expect("a directory");
    let children: Vec<Child> = (0..4).map(|_| start_child(&server, directory.path())).collect();
    for child in children {
        let output = tokio::task::block_in_place(|| child.wait_with_output()).expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&format!("fetched {}", Digest::of(&actor))), "{said}");
    }
    assert_eq!(server.count("/blobs/"), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_in_memory_once() {
    let peak_kib = async |size: usize| {
        let server = Shelf::with_actor(&wasm(size, 1)).serve().await;
        let directory = tempfile::tempdir().expect("a directory");
        let child = start_child(&server, directory.path());
        let output = tokio::task::block_in_place(|| child.wait_with_output()).expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let peak = said.lines().find_map(|line| line.strip_prefix("peak ")).and_then(|peak| peak.parse::<usize>().ok());
        peak.unwrap_or_else(|| panic!("{said}"))
    };
    let (small, large) = (peak_kib(1 << 10).await, peak_kib(64 << 20).await);
    let more = large - small;
    println!("64 MiB take {} MiB more than 1 KiB", more >> 10);
    assert!(more < 80 << 10, "{more} KiB for 64 MiB: it was collected somewhere besides the result");
}
