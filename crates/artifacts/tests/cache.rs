//! The cache directory: bounded, shared, and never believed.

mod common;

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use artifacts::{Cache, Digest};
use common::{Shelf, Store, wasm};

fn open(directory: &Path, max_bytes: u64) -> Cache {
    Cache::open(directory, max_bytes).expect("a cache")
}

fn used(cache: &Cache, digest: &Digest, ago: u64) {
    let file = File::options().write(true).open(cache.directory().join("blobs").join(digest.hex())).expect("there");
    let time = SystemTime::now() - Duration::from_secs(ago);
    file.set_times(FileTimes::new().set_modified(time)).expect("set");
}

fn age(path: &Path, seconds: u64) {
    let file = File::options().write(true).open(path).expect("there");
    file.set_times(FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(seconds))).expect("set");
}

#[test]
fn what_is_put_is_got_also_by_another_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(directory.path(), 1 << 20);
    let digest = cache.put(b"content").expect("put");
    assert_eq!(digest, Digest::of(b"content"));
    assert_eq!(cache.put(b"content").expect("put twice"), digest);
    let again = open(directory.path(), 1 << 20);
    assert_eq!(again.get(&digest).as_deref(), Some(&b"content"[..]));
    assert_eq!(again.get(&Digest::of(b"other")), None);
    assert_eq!(again.size(), 7);
}

#[test]
fn a_damaged_file_is_removed_and_missing() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(directory.path(), 1 << 20);
    let digest = cache.put(b"content").expect("put");
    let file = directory.path().join("blobs").join(digest.hex());
    for damage in [&b"c0ntent"[..], b"conten", b"contents", b""] {
        fs::write(&file, damage).expect("written");
        assert_eq!(cache.get(&digest), None);
        assert!(!file.exists());
    }
    cache.put(b"content").expect("put again");
    // More than any artifact, and nothing in it.
    File::options().write(true).open(&file).and_then(|file| file.set_len((4 << 30) + 1)).expect("sparse");
    assert_eq!(cache.get(&digest), None);
    assert!(!file.exists());
    cache.put(b"content").expect("put once more");
    assert!(cache.get(&digest).is_some(), "repaired");
}

#[test]
fn what_was_used_longest_ago_goes_first_and_what_was_just_written_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(directory.path(), 3_000);
    let digests: Vec<Digest> = (0..3).map(|seed| cache.put(&wasm(1_000, seed)).expect("put")).collect();
    for (digest, ago) in digests.iter().zip([300, 200, 100]) {
        used(&cache, digest, ago);
    }
    assert!(cache.get(&digests[0]).is_some(), "and so it was used just now");
    let fourth = cache.put(&wasm(1_000, 3)).expect("put");
    assert_eq!(cache.size(), 3_000);
    let there = |digest| cache.directory().join("blobs").join(Digest::hex(digest)).exists();
    assert_eq!([&digests[0], &digests[1], &digests[2], &fourth].map(there), [true, false, true, true]);

    // A clock that was wrong makes others look newer; what was just written stays all the same.
    for digest in [&digests[0], &digests[2], &fourth] {
        let file = File::options().write(true).open(directory.path().join("blobs").join(digest.hex())).expect("there");
        file.set_times(FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(3600))).expect("set");
    }
    let fifth = cache.put(&wasm(3_000, 4)).expect("put");
    assert_eq!(cache.size(), 3_000, "all others went");
    assert!(cache.get(&fifth).is_some());
    let too_large = cache.put(&wasm(3_001, 5)).expect("not kept, which is no error");
    assert_eq!(cache.get(&too_large), None);
    assert!(cache.get(&fifth).is_some(), "nothing went for what does not fit");
}

#[test]
fn a_smaller_bound_holds_from_the_next_start_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(directory.path(), 1 << 20);
    for seed in 0..4 {
        cache.put(&wasm(1_000, seed)).expect("put");
    }
    assert_eq!(open(directory.path(), 2_500).size(), 2_000);
}

#[tokio::test]
async fn what_one_process_keeps_another_one_with_a_smaller_bound_uses() {
    let actor = wasm(50_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let large = Store::of(&server);
    let small = artifacts::ArtifactStore::new(common::registry(&server), open(large.directory.path(), 1_000));
    large.fetch(&Shelf::reference(&server)).await.expect("an actor");
    let fetched = small.fetch(&Shelf::reference(&server), &Default::default(), &artifacts::Silent).await;
    assert_eq!(fetched.expect("an actor").origin, artifacts::Origin::Cache);
    large.store.cache().clear().expect("cleared");
    let fetched = small.fetch(&Shelf::reference(&server), &Default::default(), &artifacts::Silent).await;
    assert_eq!(fetched.expect("an actor").bytes, actor, "larger than its cache");
    assert_eq!(small.cache().size(), 0);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_replaced() {
    let actor = wasm(50_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let store = Store::of(&server);
    // Whoever we are, a directory cannot be read as a file, nor replaced by one.
    let place = store.directory.path().join("blobs").join(Digest::of(&actor).hex());
    fs::create_dir(&place).expect("made");
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.expect("an actor").bytes, actor);
    fs::remove_dir(&place).expect("still there");
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.expect("an actor").bytes, actor);
    assert!(place.is_file());
}

#[test]
fn what_dead_processes_left_is_removed_and_what_living_ones_write_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(directory.path(), 1_000);
    let [temporary, partial] = ["temporary", "partial"].map(|part| directory.path().join(part));
    fs::write(temporary.join("w-dead"), [0; 10]).expect("written");
    fs::write(temporary.join("w-young"), [0; 10]).expect("written");
    fs::write(temporary.join("w-alive"), [0; 10]).expect("written");
    let alive = File::open(temporary.join("w-alive")).expect("there");
    alive.lock().expect("locked");
    age(&temporary.join("w-dead"), 120);
    age(&temporary.join("w-alive"), 120);
    fs::write(partial.join("forgotten.partial"), [0; 10]).expect("written");
    age(&partial.join("forgotten.partial"), 8 * 24 * 3600);
    fs::write(partial.join("interrupted.partial"), [0; 10]).expect("written");
    fs::write(partial.join("writing.partial"), [0; 10]).expect("written");
    let writing = File::open(partial.join("writing.partial")).expect("there");
    writing.lock().expect("locked");
    age(&partial.join("writing.partial"), 9 * 24 * 3600);

    open(directory.path(), 1_000);
    let there = |path: std::path::PathBuf| path.exists();
    assert!(!there(temporary.join("w-dead")), "its writer died");
    assert!(there(temporary.join("w-young")), "its writer may be about to lock it");
    assert!(there(temporary.join("w-alive")), "its writer holds it");
    assert!(!there(partial.join("forgotten.partial")), "nobody came back for it");
    assert!(there(partial.join("interrupted.partial")), "somebody may resume it");
    assert!(there(partial.join("writing.partial")), "somebody writes it");

    // Room is made from what is interrupted, not from what is being written.
    cache.put(&wasm(990, 1)).expect("put");
    assert!(!there(partial.join("interrupted.partial")));
    assert!(there(partial.join("writing.partial")));
    assert_eq!(cache.size(), 1_000);
}

#[test]
fn clearing_says_how_much_that_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(directory.path(), 1 << 20);
    cache.put(&wasm(1_000, 1)).expect("put");
    let digest = cache.put(&wasm(2_000, 2)).expect("put");
    assert_eq!(cache.clear().expect("cleared"), 3_000);
    assert_eq!((cache.size(), cache.get(&digest)), (0, None));
    assert_eq!(cache.clear().expect("nothing to do"), 0);
    cache.put(&wasm(1_000, 1)).expect("usable as before");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_serves_what_it_holds() {
    let actor = wasm(50_000, 1);
    let server = Shelf::with_actor(&actor).serve().await;
    let filled = Store::of(&server);
    filled.fetch(&Shelf::reference(&server)).await.expect("an actor");

    // Files where directories should be: nothing can be written, whoever we are.
    for part in ["partial", "temporary"] {
        fs::remove_dir_all(filled.directory.path().join(part)).expect("removed");
        fs::write(filled.directory.path().join(part), b"").expect("written");
    }
    let cache = open(filled.directory.path(), 1 << 30);
    let store = artifacts::ArtifactStore::new(common::registry(&server), cache);
    let fetch = |reference| {
        let store = store.clone();
        async move { store.fetch(&reference, &artifacts::FetchOptions::default(), &artifacts::Silent).await }
    };
    let fetched = fetch(Shelf::reference(&server)).await.expect("an actor");
    assert_eq!(fetched.origin, artifacts::Origin::Cache);

    // What it does not hold is fetched beside it.
    let other = wasm(60_000, 2);
    let other_server = Shelf::with_actor(&other).serve().await;
    let store_of_both =
        artifacts::ArtifactStore::new(common::registry(&other_server), open(filled.directory.path(), 1 << 30));
    for _ in 0..2 {
        let reference = Shelf::reference(&other_server);
        let fetched = store_of_both.fetch(&reference, &artifacts::FetchOptions::default(), &artifacts::Silent).await;
        assert_eq!(fetched.expect("an actor").bytes, other);
    }
    assert_eq!(other_server.count("/blobs/"), 2, "there is no place to keep it");
}

#[test]
fn a_place_that_cannot_be_a_directory_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = Cache::open(file.path().join("cache"), 1).expect_err("below a file");
    assert_eq!(error.code(), "artifact_cache");
    assert!(error.next_step().contains("--cache-dir"), "{}", error.next_step());
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_look_into_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(&directory.path().join("a/b"), 1);
    let mode = fs::metadata(cache.directory()).expect("there").permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn what_a_reference_stood_for_is_not_believed_when_damaged() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = open(directory.path(), 1 << 20);
    assert_eq!(cache.recall("registry.test/demo:1"), None);
    let name = Digest::of(b"registry.test/demo:1").hex();
    let digest = Digest::of(b"x");
    let text =
        |key: &str| format!(r#"{{"key":"{key}","resolved":"{digest}","manifest":"{digest}","artifact":"{digest}"}}"#);
    for (content, known) in [
        (text("registry.test/demo:1"), true),
        (text("registry.test/other:1"), false),
        (text("registry.test/demo:1").replace("sha256", "sha512"), false),
        ("{".to_owned(), false),
        (" ".repeat(20_000) + &text("registry.test/demo:1"), false),
    ] {
        fs::write(directory.path().join("known").join(&name), content).expect("written");
        assert_eq!(cache.recall("registry.test/demo:1").is_some(), known);
    }
}

#[test]
fn references_are_forgotten_when_there_are_too_many() {
    let directory = tempfile::tempdir().expect("a directory");
    let known = open(directory.path(), 1 << 20).directory().join("known");
    for at in 0..=4096 {
        fs::write(known.join(at.to_string()), "{}").expect("written");
    }
    age(&known.join("7"), 100);
    open(directory.path(), 1 << 20);
    assert_eq!(fs::read_dir(&known).expect("there").count(), 4096);
    assert!(!known.join("7").exists(), "the oldest");
}
