//! `wasi:blobstore` in both versions, over an outbound that is a store in memory: containers, reading and lists.

use bytes::Bytes;
use contracts::blobstore::CONTRACT;
use runtime::{GuestLimits, LoadError};

use crate::blobs::{
    self, Blobs, DRAFT, PIECE, STREAMS, VERSIONS, blobstore, container, method, open, run, run_with, types,
};
use crate::script::{Arg, Script, call_once, link, text};
use crate::support::limits;

#[tokio::test]
async fn containers_are_made_found_described_and_removed() {
    for version in VERSIONS {
        let blobs = Blobs::default();
        let mut script = Script::new();
        let made = script.call(&blobstore(version), "create-container", &[text("c")]);
        let name = method(&mut script, version, "name", &[made.at(4)]);
        script.tell_list(name, 4);
        let info = method(&mut script, version, "info", &[made.at(4)]);
        script.tell(info, 16, 8);
        let exists = script.call(&blobstore(version), "container-exists", &[text("c")]);
        script.tell(exists, 4, 1);
        let missing = script.call(&blobstore(version), "get-container", &[text("d")]);
        script.tell_list(missing, 4);
        let deleted = script.call(&blobstore(version), "delete-container", &[text("c")]);
        script.tell(deleted, 0, 1);
        let again = script.call(&blobstore(version), "delete-container", &[text("c")]);
        script.tell_list(again, 4);
        script.drop(&container(version), "container", made.at(4));
        let told = run(script, &blobs).await;
        let created = blobs::CREATED.to_le_bytes();
        let expected: [&[u8]; 6] =
            [b"c", &created, b"\x01", b"there is no container `d`", b"\0", b"cannot remove `c`: no such container"];
        assert_eq!(told, expected, "{version}");
    }
}

#[tokio::test]
async fn objects_are_read_described_and_removed() {
    for version in VERSIONS {
        let blobs = Blobs::with(&[("a", b"one"), ("b", b"two"), ("c", b"three")]);
        let mut script = Script::new();
        let handle = open(&mut script, version, "c");
        let range = [handle.clone(), text("c"), Arg::I64(1), Arg::I64(3)];
        let value = method(&mut script, version, "get-data", &range).at(4);
        let size = script.call(&types(version), "[method]incoming-value.size", std::slice::from_ref(&value));
        script.tell(size, 0, 8);
        let whole = script.call(&types(version), "[static]incoming-value.incoming-value-consume-sync", &[value]);
        script.tell_list(whole, 4);
        let info = method(&mut script, version, "object-info", &[handle.clone(), text("c")]);
        script.tell_list(info, 8);
        script.tell_list(info, 16);
        script.tell(info, 32, 8);
        method(&mut script, version, "delete-object", &[handle.clone(), text("a")]);
        let there = method(&mut script, version, "has-object", &[handle.clone(), text("a")]);
        script.tell(there, 4, 1);
        let [list, len] = script.list(&[b"b", b"locked"]);
        let failed = method(&mut script, version, "delete-objects", &[handle.clone(), list, len]);
        script.tell_list(failed, 4);
        let there = method(&mut script, version, "has-object", &[handle, text("b")]);
        script.tell(there, 4, 1);
        let told = run(script, &blobs).await;
        let (three, five) = (3u64.to_le_bytes(), 5u64.to_le_bytes());
        let locked = b"cannot remove `locked`: it is locked";
        let expected: [&[u8]; 8] = [&three, b"hre", b"c", b"c", &five, b"\0", locked, b"\0"];
        assert_eq!(told, expected, "{version}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said_in_a_sentence() {
    let blobs = Blobs::with(&[("a", b"one")]);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let missing = method(&mut script, DRAFT, "get-data", &[handle.clone(), text("z"), Arg::I64(0), Arg::I64(9)]);
    script.tell_list(missing, 4);
    let backwards = method(&mut script, DRAFT, "get-data", &[handle.clone(), text("a"), Arg::I64(2), Arg::I64(1)]);
    script.tell_list(backwards, 4);
    let beyond = method(&mut script, DRAFT, "get-data", &[handle, text("a"), Arg::I64(7), Arg::I64(9)]).at(4);
    let whole = script.call(&types(DRAFT), "[static]incoming-value.incoming-value-consume-sync", &[beyond]);
    script.tell(whole, 0, 1);
    script.tell(whole, 8, 4);
    let told = run(script, &blobs).await;
    let expected: [&[u8]; 4] =
        [b"no such object", b"the range from 2 to 1 ends before it begins", b"\0", &0u32.to_le_bytes()];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_stream_fetches_one_piece_at_a_time() {
    let object: Vec<u8> = (0..600_000u32).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let blobs = Blobs::with(&[("big", &object)]);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let range = [handle, text("big"), Arg::I64(10), Arg::I64(u64::MAX)];
    let value = method(&mut script, DRAFT, "get-data", &range).at(4);
    let stream = script.call(&types(DRAFT), "[static]incoming-value.incoming-value-consume-async", &[value]).at(4);
    // Larger than a piece: a read ends where the piece does.
    for _ in 0..3 {
        let read = [stream.clone(), Arg::I64(500_000)];
        let read = script.call(STREAMS, "[method]input-stream.blocking-read", &read);
        script.tell_list(read, 4);
    }
    let closed = script.call(STREAMS, "[method]input-stream.blocking-read", &[stream.clone(), Arg::I64(1)]);
    script.tell(closed, 0, 1);
    script.tell(closed, 4, 1);
    script.drop(STREAMS, "input-stream", stream);
    let told = run(script, &blobs).await;
    assert_eq!(told.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, 600_000 - 10 - 2 * PIECE, 1, 1]);
    assert!(told[..3].concat() == object[10..], "the bytes are those of the object");
    assert_eq!(told[3..], [&b"\x01"[..], b"\x01"]);
    assert_eq!(blobs.largest(), PIECE);
}

#[tokio::test]
async fn an_object_that_gets_shorter_while_it_is_read_is_an_error_of_the_stream() {
    let blobs = Blobs::with(&[("shrinking", &vec![7; 2 * PIECE])]);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let range = [handle, text("shrinking"), Arg::I64(0), Arg::I64(1 << 40)];
    let value = method(&mut script, DRAFT, "get-data", &range).at(4);
    let stream = script.call(&types(DRAFT), "[static]incoming-value.incoming-value-consume-async", &[value]).at(4);
    for _ in 0..3 {
        let read = script.call(STREAMS, "[method]input-stream.blocking-read", &[stream.clone(), Arg::I64(1 << 20)]);
        script.tell(read, 0, 1);
        script.tell(read, 4, 1);
    }
    let told = run(script, &blobs).await;
    // A list; last-operation-failed; closed.
    assert_eq!(
        (&told[0][..], &told[2..]),
        (&b"\0"[..], &[&b"\x01"[..], b"\0", b"\x01", b"\x01"].map(Bytes::from_static)[..])
    );
}

#[tokio::test]
async fn what_is_too_large_for_one_answer_must_be_read_as_a_stream() {
    let blobs = Blobs::with(&[("big", &[0; 2000])]);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let value = method(&mut script, DRAFT, "get-data", &[handle, text("big"), Arg::I64(0), Arg::I64(5000)]).at(4);
    let whole = script.call(&types(DRAFT), "[static]incoming-value.incoming-value-consume-sync", &[value]);
    script.tell_list(whole, 4);
    let told = run_with(script, &blobs, GuestLimits { response_bytes: 1000, ..limits() }).await.unwrap();
    assert_eq!(told, ["2000 bytes are too many to be read at once, `response_bytes` is 1000; read a stream"]);
}

#[tokio::test]
async fn a_list_is_read_across_its_pages() {
    let blobs = Blobs::with(&[("a", b""), ("b", b""), ("c", b""), ("d", b""), ("e", b"")]);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let names = method(&mut script, DRAFT, "list-objects", &[handle]).at(4);
    let skip = "[method]stream-object-names.skip-stream-object-names";
    let skipped = script.call(&container(DRAFT), skip, &[names.clone(), Arg::I64(1)]);
    script.tell(skipped, 8, 8);
    script.tell(skipped, 16, 1);
    let read = "[method]stream-object-names.read-stream-object-names";
    for len in [3, 100] {
        let some = script.call(&container(DRAFT), read, &[names.clone(), Arg::I64(len)]);
        script.tell(some, 8, 4);
        script.tell(some, 12, 1);
    }
    let told = run(script, &blobs).await;
    let (one, three) = (1u64.to_le_bytes(), 3u32.to_le_bytes());
    let last = 1u32.to_le_bytes();
    let expected: [&[u8]; 6] = [&one, b"\0", &three, b"\0", &last, b"\x01"];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn clearing_removes_all_pages() {
    let blobs = Blobs::with(&[("a", b""), ("b", b""), ("c", b""), ("d", b""), ("e", b"")]);
    let mut script = Script::new();
    let handle = open(&mut script, DRAFT, "c");
    let cleared = method(&mut script, DRAFT, "clear", &[handle]);
    script.tell(cleared, 0, 1);
    assert_eq!(run(script, &blobs).await, [&b"\0"[..]]);
    assert_eq!(blobs.object("e"), None);
}

#[tokio::test]
async fn a_component_needs_the_grant_to_import_it() {
    let mut script = Script::new();
    open(&mut script, DRAFT, "c");
    match script.try_load(&[], limits()).await.err().unwrap() {
        LoadError::NotGranted { imports } => {
            assert!(imports.contains(&(blobstore(DRAFT), CONTRACT.to_owned())), "{imports:?}");
        }
        other => panic!("expected a missing grant, got {other:?}"),
    }
}

#[tokio::test]
async fn the_guest_chooses_the_link() {
    let blobs = Blobs::with(&[]);
    let mut script = Script::new();
    let lattice = "wasmcloud:bus/lattice";
    let interface = script.call(lattice, "[static]target-interface.wasi-blobstore-blobstore", &[]);
    let name = text("archive");
    let list = script.place(&[0; 4]);
    script.copy(interface.at(0), list);
    let target = [Arg::I32(1), Arg::I32(0), Arg::I32(1), name];
    script.call(lattice, "set-target", &[&target[..], &[Arg::I32(list), Arg::I32(1)]].concat());
    open(&mut script, DRAFT, "c");
    let guest = script.try_load(&[CONTRACT], limits()).await.unwrap();
    let told = call_once(&guest, "Test.Run", Bytes::new(), move |call| {
        assert_eq!(call.target, link(CONTRACT, "archive"));
        blobs.serve(&call)
    });
    told.await.unwrap();
}
