//! Registries that lie: about digests, lengths and ends. Each lie has its own word.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use artifacts::{ArtifactStore, Cache, Digest, FetchOptions, Origin, Registry, RegistryOptions};
use common::{Answer, Content, Counted, Server, Shelf, Store, options, wasm};

fn is_blob(path: &str) -> bool {
    path.contains("/blobs/")
}

#[tokio::test]
async fn an_honest_registry_gives_what_was_pushed() {
    let actor = wasm(1_000_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let store = Store::of(&server);
    let progress = Counted::default();
    let reference = Shelf::reference(&server);
    let fetched = store.store.fetch(&reference, &FetchOptions::default(), &progress).await.expect("an actor");
    assert_eq!((fetched.bytes, fetched.digest), (actor.clone(), Digest::of(&actor)));
    assert_eq!(fetched.origin, Origin::Registry);
    assert_eq!(progress.bytes.load(Ordering::SeqCst), 1_000_000);
    assert_eq!(*progress.total.lock().expect("no panics"), Some(1_000_000));
    assert_eq!(progress.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_layer_with_another_digest_is_refused_and_not_kept() {
    let (actor, other) = (wasm(300_000, 1), wasm(300_000, 2));
    let shelf = Shelf::with_actor(&actor);
    let server = Server::start(move |seen| match is_blob(&seen.path) {
        true => Answer::new(200, other.clone()),
        false => shelf.answer(seen),
    })
    .await;
    let store = Store::of(&server);
    let error = store.refusal(&Shelf::reference(&server)).await;
    assert_eq!(error.code(), "digest_mismatch");
    assert!(error.next_step().starts_with("do not use it"), "{}", error.next_step());
    assert_eq!(store.store.cache().size(), 0, "nothing of it is kept");
    assert_eq!(server.count("/blobs/"), 1, "a lie is not asked for again");
}

#[tokio::test]
async fn a_layer_that_is_longer_or_shorter_than_the_manifest_says_is_refused() {
    let actor = wasm(300_000, 1);
    let contents: [fn(bytes::Bytes) -> Content; 4] = [
        |actor| Content::Whole([&actor[..], b"x"].concat().into()),
        |actor| Content::Whole(actor.slice(1..)),
        |actor| Content::Chunked([&actor[..], b"x"].concat().into()),
        |actor| Content::Chunked(actor.slice(..299_999)),
    ];
    for content in contents {
        let (shelf, lie) = (Shelf::with_actor(&actor), actor.clone());
        let server = Server::start(move |seen| match is_blob(&seen.path) {
            true => Answer::new(200, "").content(content(lie.clone())),
            false => shelf.answer(seen),
        })
        .await;
        let error = Store::of(&server).refusal(&Shelf::reference(&server)).await;
        assert_eq!(error.code(), "wrong_length", "{error}");
    }
}

#[tokio::test]
async fn a_layer_without_end_ends_where_the_manifest_says() {
    let actor = wasm(300_000, 1);
    let shelf = Shelf::with_actor(&actor);
    let server = Server::start(move |seen| match is_blob(&seen.path) {
        true => Answer::new(200, "").content(Content::Endless(wasm(65_536, 9))),
        false => shelf.answer(seen),
    })
    .await;
    assert_eq!(Store::of(&server).refusal(&Shelf::reference(&server)).await.code(), "wrong_length");
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    let actor = wasm(900_000, 1);
    let (shelf, content, breaks) = (Shelf::with_actor(&actor), actor.clone(), AtomicUsize::new(0));
    let server = Server::start(move |seen| {
        let nth = if is_blob(&seen.path) { breaks.fetch_add(1, Ordering::SeqCst) } else { usize::MAX };
        match nth {
            0 => Answer::new(200, "").content(Content::Broken { bytes: content.slice(..300_000), of: 900_000 }),
            1 => Answer::new(206, "")
                .with("content-range", "bytes 300000-899999/900000")
                .content(Content::Broken { bytes: content.slice(300_000..500_000), of: 600_000 }),
            _ => shelf.answer(seen),
        }
    })
    .await;
    let fetched = Store::of(&server).fetch(&Shelf::reference(&server)).await.expect("an actor");
    assert_eq!(fetched.bytes, actor);
    let ranges: Vec<_> = server
        .seen()
        .iter()
        .filter(|seen| is_blob(&seen.path))
        .map(|seen| seen.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=300000-".to_owned()), Some("bytes=500000-".to_owned())]);
}

#[tokio::test]
async fn a_server_without_ranges_sends_everything_again() {
    let actor = wasm(900_000, 1);
    let (shelf, content, first) = (Shelf::with_actor(&actor), actor.clone(), AtomicUsize::new(0));
    let server = Server::start(move |seen| match is_blob(&seen.path) {
        true if first.fetch_add(1, Ordering::SeqCst) == 0 => {
            Answer::new(200, "").content(Content::Broken { bytes: content.slice(..300_000), of: 900_000 })
        }
        true => Answer::new(200, content.clone()),
        false => shelf.answer(seen),
    })
    .await;
    assert_eq!(Store::of(&server).fetch(&Shelf::reference(&server)).await.expect("an actor").bytes, actor);
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_not_taken() {
    let actor = wasm(900_000, 1);
    let (shelf, content, first) = (Shelf::with_actor(&actor), actor.clone(), AtomicUsize::new(0));
    let server = Server::start(move |seen| match is_blob(&seen.path) {
        true if first.fetch_add(1, Ordering::SeqCst) == 0 => {
            Answer::new(200, "").content(Content::Broken { bytes: content.slice(..300_000), of: 900_000 })
        }
        true => Answer::new(206, content.slice(300_001..)).with("content-range", "bytes 300001-899999/900000"),
        false => shelf.answer(seen),
    })
    .await;
    assert_eq!(Store::of(&server).refusal(&Shelf::reference(&server)).await.code(), "unexpected_answer");
}

#[tokio::test]
async fn a_download_that_always_breaks_off_ends_and_is_resumed_by_the_next_fetch() {
    let actor = wasm(900_000, 1);
    let (shelf, content, works) = (Shelf::with_actor(&actor), actor.clone(), AtomicUsize::new(0));
    let works = std::sync::Arc::new(works);
    let now = works.clone();
    let server = Server::start(move |seen| {
        if !is_blob(&seen.path) || now.load(Ordering::SeqCst) == 1 {
            return shelf.answer(seen);
        }
        match seen.header("range") {
            None => Answer::new(200, "").content(Content::Broken { bytes: content.slice(..300_000), of: 900_000 }),
            Some(_) => Answer::new(206, "")
                .with("content-range", "bytes 300000-899999/900000")
                .content(Content::Broken { bytes: bytes::Bytes::new(), of: 600_000 }),
        }
    })
    .await;
    let store = Store::of(&server);
    let error = store.refusal(&Shelf::reference(&server)).await;
    assert_eq!(error.code(), "cut_short");
    assert!(error.is_away(), "another try may help");
    assert_eq!(server.count("/blobs/"), 4, "one try that brought something and three repetitions");
    assert_eq!(store.store.cache().size(), 300_000, "what came is kept");

    works.store(1, Ordering::SeqCst);
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.expect("an actor").bytes, actor);
    let last = server.seen().pop().expect("a request");
    assert_eq!(last.header("range"), Some("bytes=300000-"));
}

#[tokio::test]
async fn a_server_that_drips_is_not_listened_to_for_ever() {
    let actor = wasm(900_000, 1);
    let (shelf, content) = (Shelf::with_actor(&actor), actor.clone());
    let server = Server::start(move |seen| {
        if !is_blob(&seen.path) {
            return shelf.answer(seen);
        }
        let range =
            seen.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let start = range.unwrap_or(0usize);
        let drop = Content::Broken { bytes: content.slice(start..start + 1), of: (900_000 - start) as u64 };
        let status = if start == 0 { 200 } else { 206 };
        Answer::new(status, "").with("content-range", format!("bytes {start}-899999/900000")).content(drop)
    })
    .await;
    assert_eq!(Store::of(&server).refusal(&Shelf::reference(&server)).await.code(), "cut_short");
    assert!(server.count("/blobs/") < 50, "{} requests", server.count("/blobs/"));
}

#[tokio::test]
async fn what_an_earlier_process_left_damaged_is_fetched_anew() {
    let actor = wasm(900_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let store = Store::of(&server);
    let partial = store.directory.path().join(format!("partial/{}.partial", Digest::of(&actor).hex()));
    for left in [vec![7u8; 300_000], vec![7u8; 900_000], vec![7u8; 2_000_000]] {
        std::fs::write(&partial, left).expect("written");
        assert_eq!(store.fetch(&Shelf::reference(&server)).await.expect("an actor").bytes, actor);
        store.store.cache().clear().expect("cleared");
    }
}

#[tokio::test]
async fn a_manifest_without_end_is_cut_at_its_bound() {
    for announced in [true, false] {
        let server = Server::start(move |_| {
            let content = Content::Endless(bytes::Bytes::from(vec![b' '; 65_536]));
            let answer = Answer::new(200, "").content(content);
            if announced { answer.with("content-length", "99999999999") } else { answer }
        })
        .await;
        let error = Store::of(&server).refusal(&Shelf::reference(&server)).await;
        assert_eq!(error.code(), "too_large");
        assert!(error.to_string().contains("4194304"), "{error}");
    }
}

#[tokio::test]
async fn a_manifest_with_another_digest_than_asked_for_or_announced_is_refused() {
    let shelf = Shelf::with_actor(&wasm(100, 1));
    let other = Digest::of(b"another");
    let text = shelf.answer(&common::Seen {
        method: "GET".into(),
        path: "/v2/demo/manifests/1".into(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
    });
    let Content::Whole(text) = text.content else { panic!("a manifest") };
    let manifest = text.clone();
    let server = Server::start(move |_| Answer::new(200, manifest.clone())).await;
    let error = Store::of(&server).refusal(&Shelf::pinned(&server, other)).await;
    assert_eq!(error.code(), "digest_mismatch");
    assert!(
        error.to_string().contains(&other.to_string()) && error.to_string().contains(&Digest::of(&text).to_string())
    );

    let server =
        Server::start(move |_| Answer::new(200, text.clone()).with("docker-content-digest", other.to_string())).await;
    assert_eq!(Store::of(&server).refusal(&Shelf::reference(&server)).await.code(), "digest_mismatch");
}

#[tokio::test]
async fn a_layer_beyond_the_bound_is_refused_before_it_is_asked_for() {
    let server = Shelf::with_actor(&wasm(2_000, 1)).serve().await;
    let small = RegistryOptions { max_artifact_bytes: 1_999, ..options(&server) };
    let store = Store::new(Registry::new(small).expect("a client"));
    assert_eq!(store.refusal(&Shelf::reference(&server)).await.code(), "too_large");
    assert_eq!(server.count("/blobs/"), 0);

    let exact = RegistryOptions { max_artifact_bytes: 2_000, ..options(&server) };
    let store = Store::new(Registry::new(exact).expect("a client"));
    store.fetch(&Shelf::reference(&server)).await.expect("exactly as large as allowed");
}

#[tokio::test]
async fn a_registry_that_hangs_is_left() {
    let shelf = Shelf::with_actor(&wasm(2_000, 1));
    for hangs_at in ["/manifests/", "/blobs/"] {
        let shelf = shelf.clone();
        let server = Server::start(move |seen| match seen.path.contains(hangs_at) {
            true => Answer::new(200, "").content(Content::Hangs),
            false => shelf.answer(seen),
        })
        .await;
        let store =
            Store::new(Registry::new(RegistryOptions { retries: 1, ..common::hurried(&server) }).expect("a client"));
        let error = store.refusal(&Shelf::reference(&server)).await;
        assert_eq!(error.code(), "registry_timeout", "{error}");
        assert_eq!(server.count(hangs_at), 2, "asked again once");
    }
}

#[tokio::test]
async fn what_is_fetched_past_the_cache_leaves_it_right() {
    let actor = wasm(2_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let directory = tempfile::tempdir().expect("a directory");
    let store = ArtifactStore::new(common::registry(&server), Cache::open(directory.path(), 1 << 20).expect("a cache"));
    let past = FetchOptions { no_cache: true, ..FetchOptions::default() };
    for _ in 0..2 {
        let fetched = store.fetch(&Shelf::reference(&server), &past, &artifacts::Silent).await.expect("an actor");
        assert_eq!((fetched.bytes, fetched.origin), (actor.clone(), Origin::Registry));
    }
    assert_eq!(server.count("/blobs/"), 2);
    assert_eq!(store.cache().get(&Digest::of(&actor)), Some(actor));
}
