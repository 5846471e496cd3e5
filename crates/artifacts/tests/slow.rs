//! Registries that send a little now and then: they are given up, and hold nobody else up.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use artifacts::{ArtifactStore, Cache, Digest, FetchOptions, Origin, Registry, RegistryOptions, Silent, Timeouts};
use common::{Answer, Content, Seen, Server, Shelf, Store, wasm};

const EVERY: Duration = Duration::from_millis(20);

fn is_blob(seen: &Seen) -> bool {
    seen.path.contains("/blobs/")
}

/// An honest registry but for what `drips`, which comes a byte at a time.
async fn dripping(shelf: Shelf, drips: fn(&Seen) -> bool) -> Server {
    Server::start(move |seen| match shelf.answer(seen) {
        Answer { status: 200, headers, content: Content::Whole(bytes) } if drips(seen) => {
            Answer { status: 200, headers, content: Content::Drips { bytes, every: EVERY } }
        }
        answer => answer,
    })
    .await
}

fn with_timeouts(server: &Server, change: impl Fn(&mut Timeouts)) -> Registry {
    let mut options = RegistryOptions { retries: 3, ..common::options(server) };
    change(&mut options.timeouts);
    Registry::new(options).expect("a client")
}

#[tokio::test]
async fn one_that_drips_is_given_up_after_a_window_and_not_asked_again() {
    let server = dripping(Shelf::with_actor(&wasm(100_000, 1)), is_blob).await;
    let store = Store::new(with_timeouts(&server, |timeouts| timeouts.pace_window = Duration::from_millis(300)));
    let began = Instant::now();
    let error = store.refusal(&Shelf::reference(&server)).await;
    assert_eq!(error.code(), "registry_too_slow", "{error}");
    assert!(error.is_away() && error.to_string().contains("less than"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "one window, not {:?}", began.elapsed());
    assert_eq!(server.count("/blobs/"), 1, "it would go on dripping");
    assert!(store.store.cache().size() > 0, "what came is kept");
}

#[tokio::test]
async fn a_short_answer_that_drips_is_given_up_too() {
    let server = dripping(Shelf::with_actor(&wasm(2_000, 1)), |seen| seen.path.contains("/manifests/")).await;
    let store = Store::new(with_timeouts(&server, |timeouts| timeouts.small_answer = Duration::from_millis(300)));
    let error = store.refusal(&Shelf::reference(&server)).await;
    assert_eq!(error.code(), "registry_too_slow", "{error}");
    assert_eq!(server.count("/manifests/"), 1, "asked once");
}

#[tokio::test]
async fn a_fetch_has_an_end_whatever_the_pace() {
    let server = dripping(Shelf::with_actor(&wasm(100_000, 1)), is_blob).await;
    let store = Store::new(with_timeouts(&server, |timeouts| timeouts.whole = Duration::from_millis(500)));
    assert_eq!(store.refusal(&Shelf::reference(&server)).await.code(), "registry_timeout");
}

#[tokio::test]
async fn a_slow_registry_does_not_hold_up_another_one_with_the_same_artifact() {
    let actor = wasm(300_000, 1);
    let slow = dripping(Shelf::with_actor(&actor), is_blob).await;
    let honest = Shelf::with_actor(&actor).serve().await;
    let directory = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(directory.path(), 1 << 30).expect("a cache");
    let of = |server: &Server| ArtifactStore::new(common::registry(server), cache.clone());
    let (slow_store, reference) = (of(&slow), Shelf::reference(&slow));
    let waiting =
        tokio::spawn(async move { slow_store.fetch(&reference, &FetchOptions::default(), &Silent).await.is_ok() });
    while slow.count("/blobs/") == 0 {
        tokio::task::yield_now().await;
    }
    let honest_fetch = async {
        of(&honest).fetch(&Shelf::reference(&honest), &FetchOptions::default(), &Silent).await.expect("an actor")
    };
    let fetched = tokio::time::timeout(Duration::from_secs(5), honest_fetch).await.expect("it waits for nobody");
    assert_eq!((fetched.bytes, fetched.origin), (actor.clone(), Origin::Registry));
    assert!(!waiting.is_finished(), "the slow one is still at it");
    waiting.abort();
    assert_eq!(cache.get(&Digest::of(&actor)), Some(actor));
}

#[tokio::test]
async fn a_download_that_brings_too_little_is_not_waited_for_by_another_process() {
    let actor = wasm(300_000, 1);
    let honest = Shelf::with_actor(&actor).serve().await;
    let directory = tempfile::tempdir().expect("a directory");
    // As another process sees it: the file grows, but by next to nothing.
    let ours = Cache::open_with_patience(directory.path(), 1 << 30, Duration::from_millis(300)).expect("a cache");
    let path = directory.path().join("partial").join(format!("{}.partial", Digest::of(&actor).hex()));
    let file = std::fs::File::create(&path).expect("a file");
    file.lock().expect("nobody has it");
    let growing = tokio::spawn(async move {
        for length in 1.. {
            file.set_len(length).expect("grown");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let store = ArtifactStore::new(common::registry(&honest), ours);
    let (reference, options) = (Shelf::reference(&honest), FetchOptions::default());
    let fetch = store.fetch(&reference, &options, &Silent);
    let fetched =
        tokio::time::timeout(Duration::from_secs(10), fetch).await.expect("not waited for").expect("an actor");
    assert_eq!(fetched.bytes, actor);
    growing.abort();
}

#[tokio::test]
async fn what_a_registry_had_before_it_became_slow_is_taken_from_the_cache() {
    let (old, new) = (Shelf::with_actor(&wasm(2_000, 1)), Shelf::with_actor(&wasm(100_000, 2)));
    let became_slow = Arc::new(AtomicBool::new(false));
    let slow = became_slow.clone();
    let server = Server::start(move |seen| match (slow.load(Ordering::SeqCst), new.answer(seen)) {
        (false, _) => old.answer(seen),
        (true, Answer { status, headers, content: Content::Whole(bytes) }) if is_blob(seen) => {
            Answer { status, headers, content: Content::Drips { bytes, every: EVERY } }
        }
        (true, answer) => answer,
    })
    .await;
    let store = Store::new(with_timeouts(&server, |timeouts| timeouts.pace_window = Duration::from_millis(300)));
    let reference = Shelf::reference(&server);
    let first = store.fetch(&reference).await.expect("an actor");
    became_slow.store(true, Ordering::SeqCst);
    let again = store.fetch(&reference).await.expect("what it had before");
    assert_eq!(again.bytes, first.bytes);
    assert!(matches!(again.origin, Origin::CacheWhileAway { reason } if reason.contains("too slow")));
}
